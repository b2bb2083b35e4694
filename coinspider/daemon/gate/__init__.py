"""The gate before every resource of scrapyd: who may send requests, from where, how large."""
