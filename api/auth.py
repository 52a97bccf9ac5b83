"""Who is asking: an API key in `Authorization: Bearer KEY`, the same over HTTP and in a websocket."""

import hashlib
import hmac
import re
from dataclasses import dataclass

from jobs.errors import Unauthenticated
from jobs.settings import Settings

_SCHEME = b"bearer "


@dataclass(frozen=True)
class Caller:
    """Somebody known; `owner` is whose images they see and change."""

    owner: str


# Who develops a page on this machine serves it from another port of it.
LOOPBACK_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


def authenticate(authorization: bytes | None, settings: Settings) -> Caller:
    """The caller that the value of an `Authorization` header speaks for; keys that are text are UTF-8.

    Raises:
        Unauthenticated: the value is missing or its key is unknown.
    """
    if settings.auth == "none":
        return Caller(owner="local")
    if authorization is None or not authorization.lower().startswith(_SCHEME):
        raise Unauthenticated("Send your key as “Authorization: Bearer KEY”.")
    digest = hashlib.sha256(authorization[len(_SCHEME) :].strip()).hexdigest()
    # Every hash is compared, so that the time taken tells nothing about any of them.
    found = [owner for owner, known in settings.api_keys.items() if hmac.compare_digest(known, digest)]
    if not found:
        raise Unauthenticated("The key is unknown.")
    return Caller(owner=found[0])
