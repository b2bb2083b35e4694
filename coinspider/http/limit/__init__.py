"""The limit of an API and a key: what is known of it, and which calls may go.

``state`` is the value that crawls share, ``turns`` lets their calls go, ``learning`` learns from
responses, ``headers`` reads what these say, and ``credits`` counts the calls of a month.
"""
