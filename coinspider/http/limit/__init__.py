"""The limit of an API and a key: what is known of it, and which calls may go.

``state`` is the value that crawls share, ``turns`` lets their calls go, ``counting`` counts them,
and ``model`` learns from responses. ``call_limit`` is how a crawl uses all of it.
"""
