"""Items into PostgreSQL, and back out."""
