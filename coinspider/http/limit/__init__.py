"""The limit of an API and a key: what is known of it, and which calls may go.

``state`` is the value that crawls share. ``turns`` and ``shares`` let their calls go, ``counting``
counts them, and ``model`` learns from responses. A crawl uses all of it through ``call_limit``.
"""
