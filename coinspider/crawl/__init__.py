"""One crawl: the base of its spider, its arguments, its progress and its end."""
