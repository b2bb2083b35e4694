"""scrapyd nodes that share one queue in PostgreSQL: ``queue = postgres`` in ``scrapyd.conf``.

It needs the extra ``fleet``: ``pip install coinspider[fleet]``.
"""
