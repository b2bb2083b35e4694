"""Schedules of scrapyd.conf: what runs when, and running it."""
