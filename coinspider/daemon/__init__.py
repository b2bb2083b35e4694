"""scrapyd with schedules: what ``scrapyd.conf`` names."""
