"""Passwords are taken out of every address that is printed, stored or sent.

What people type is often no valid URL: a bad port, an `@` or `/` that should have been %40 or %2F. So nothing is
parsed. All that could be a password is replaced, even where that replaces more than the password.
"""

import re
from urllib.parse import unquote

HIDDEN = "***"
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>\S*)", re.IGNORECASE)
_SECRET_NAME = re.compile(r"([?&;]?\w*(?:passw|pwd|secret|token|api_?key|access_?key|credential)\w*)=([^&;#\s]*)", re.I)
_SHORTEST_SECRET = 3
"""A shorter password is not replaced in other text, because that would hide ordinary words."""


def safe_url(url: str) -> str:
    """An address without its passwords: those before the last @, and those of parameters such as ?password=."""
    found = re.fullmatch(r"\s*([a-z][a-z0-9+.-]*)://(.*)", url, re.IGNORECASE | re.DOTALL)
    if found is None:
        return _hide_parameters(url)
    scheme, rest = found.groups()
    user_and_password, at, place = rest.rpartition("@")
    user, colon, _ = user_and_password.partition(":")
    start = f"{user}:{HIDDEN}" if colon else _hide_parameters(user)
    return f"{scheme}://{start}{at}{_hide_parameters(place)}"


def _hide_parameters(text: str) -> str:
    return _SECRET_NAME.sub(rf"\1={HIDDEN}", text)


def safe_text(text: str, *, url: str = "") -> str:
    """A message without the passwords of any address in it, nor of `url`, which a library may quote in parts."""
    for secret in sorted(_secrets_of(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _URL.sub(lambda found: safe_url(found[0]), text)


def _secrets_of(url: str) -> set[str]:
    """All that `safe_url` hides of an address: as it was typed, and decoded; and its parts, as a parser cuts them."""
    _, _, rest = url.partition("://")
    password = rest.rpartition("@")[0].partition(":")[2]
    values = {password, *re.split(r"[/?#@:]", password), *(found[2] for found in _SECRET_NAME.finditer(rest))}
    return {each for value in values for each in (value, unquote(value)) if len(each) >= _SHORTEST_SECRET}
