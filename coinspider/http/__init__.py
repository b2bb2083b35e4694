"""Requests to an API: pagination, the rate limit, retries, links and credentials."""
