"""What coinspider is measured against; each reads ``API_URL`` and ``DATABASE_URL``."""
