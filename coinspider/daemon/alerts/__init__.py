"""Alerts by webhook when the crawls of a schedule fail or their data gets old."""
