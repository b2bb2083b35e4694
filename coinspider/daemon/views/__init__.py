"""Views for a browser."""
