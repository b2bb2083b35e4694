"""What is known of one API."""
