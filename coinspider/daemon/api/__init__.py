"""What scrapyd answers to programs: JSON and metrics."""
