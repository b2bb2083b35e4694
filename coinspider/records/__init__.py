"""Records on their way from a page's text to a typed item."""
