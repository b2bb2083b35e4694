"""The peculiarities of one API."""
