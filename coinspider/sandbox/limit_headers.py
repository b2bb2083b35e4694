"""The headers in which APIs state their limit, by style."""

from math import ceil

from coinspider.sandbox.limits import Standing

# The IETF's draft, an older form of it, and what many APIs use, with seconds or with a Unix time:
# https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
STYLES = ("none", "ietf", "ratelimit", "x-seconds", "x-epoch")


def limit_headers(style: str, standing: Standing | None, now: float) -> dict[str, str]:
    """The headers of a response at ``now`` (Unix time); none if there is no limit."""
    if standing is None or style == "none":
        return {}
    if style == "ietf":
        return {
            "RateLimit-Policy": f'"default";q={standing.calls};w={standing.period:.0f}',
            "RateLimit": f'"default";r={standing.remaining};t={ceil(standing.reset)}',
        }
    prefix = "RateLimit" if style == "ratelimit" else "X-RateLimit"
    since = now if style == "x-epoch" else 0.0
    return {
        f"{prefix}-Limit": str(standing.calls),
        f"{prefix}-Remaining": str(standing.remaining),
        f"{prefix}-Reset": str(ceil(since + standing.reset)),
    }
