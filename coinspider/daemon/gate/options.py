"""The gate's options, from ``scrapyd.conf`` and the environment."""

from typing import NamedTuple

from scrapyd import Config

from coinspider.secrets import secret

BODY_MAX = 256 * 1024  # bytes
EGG_MAX = 64 * 1024 * 1024  # bytes


class GateOptions(NamedTuple):
    """``body_max`` and ``egg_max`` are bytes; without a ``password`` none is required."""

    bind_address: str = "127.0.0.1"
    username: str = ""
    password: str = ""
    hosts_allowed: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    egg_upload: bool = False
    body_max: int = BODY_MAX
    egg_max: int = EGG_MAX
    prefix_header: str = "x-forwarded-prefix"
    proxies_trusted: tuple[str, ...] = ()
    """Addresses of proxies whose ``X-Forwarded-For`` is believed."""

    @classmethod
    def from_config(cls, config: Config) -> "GateOptions":
        """The environment takes precedence, as in scrapyd."""

        def option(name: str, default: str = "") -> str:
            value = secret(f"SCRAPYD_{name.upper()}") or config.get(name, default)
            return str(value).strip()

        return cls(
            option("bind_address", "127.0.0.1"),
            option("username"),
            option("password"),
            _list(option("hosts_allowed")),
            _list(option("cors_origins")),
            config.getboolean("egg_upload", False),
            config.getint("body_max", BODY_MAX),
            config.getint("egg_max", EGG_MAX),
            config.get("prefix_header", "x-forwarded-prefix"),
            _list(option("proxies_trusted")),
        )


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
