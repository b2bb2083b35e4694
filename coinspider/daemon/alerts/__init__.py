"""Word to people, by a webhook, when the crawls of a schedule fail or their data gets old."""
