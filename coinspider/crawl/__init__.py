"""One crawl: the spider it runs on, its arguments, its progress and its end."""
