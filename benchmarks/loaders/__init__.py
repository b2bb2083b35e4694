"""What coinspider is compared with; each loader reads ``API_URL`` and ``DATABASE_URL``."""
