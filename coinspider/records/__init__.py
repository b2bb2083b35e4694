"""From a page's text to typed items."""
