"""What stands before every resource of scrapyd: who may ask, from where, and for how much."""
