"""The schedules of scrapyd.conf: what runs when, and how it is run."""
