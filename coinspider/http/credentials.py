"""What an API knows its users by, from the settings; it goes to the API's own origin only."""

from base64 import b64encode

from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError

# The key in a request's meta that lets a token go into its query.
TOKEN_META = "api_token_allowed"  # noqa: S105


def credential_headers(
    settings: BaseSettings, credential_setting: str = "API_TOKEN"
) -> dict[str, str]:
    """The ``Authorization`` header of the token or of ``API_USERNAME`` and ``API_PASSWORD``.

    Nothing where none is set, or where the token goes into the query (``API_TOKEN_PARAMETER``).
    Raises :exc:`ConfigurationError` where more than one kind is set.
    """
    token, user = settings.get(credential_setting), settings.get("API_USERNAME")
    if token and user:
        raise ConfigurationError(f"set {credential_setting} or API_USERNAME, not both")
    if user:
        pair = f"{user}:{settings.get('API_PASSWORD') or ''}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    if token and not settings.get("API_TOKEN_PARAMETER"):
        return {"Authorization": f"{settings.get('API_TOKEN_SCHEME') or 'Token'} {token}"}
    return {}
