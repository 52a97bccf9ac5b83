"""Who is asking: an API key or a token in `Authorization: Bearer …`, over HTTP as in a websocket."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import structlog

from api.tokens import Tokens
from jobs.access import EVERYDAY_ROLES, Role, keys_of
from jobs.errors import Unauthenticated
from jobs.settings import Settings
from jobs.sns import Fetch

log = structlog.get_logger(__name__)

_SCHEME = b"bearer "
_MAX_CREDENTIAL = 8 * 1024  # bytes of a key or a token
_MAX_OWNER = 255  # characters
_NEVER = 2**40  # seconds; far beyond any calendar

_REFUSALS = {
    "keys": "The key is unknown.",
    "jwt": "The token is not valid, or no longer.",
    "keys+jwt": "The key is unknown, or the token is not valid.",
}


@dataclass(frozen=True)
class Caller:
    """Somebody known."""

    owner: str  # whose images he sees and changes
    roles: frozenset[Role] = EVERYDAY_ROLES
    expires_at: float | None = None  # seconds since 1970; nothing: not before he is refused


class Authenticator:
    """Knows callers by what the settings say of keys and tokens."""

    def __init__(self, settings: Settings, fetch: Fetch) -> None:
        """
        Args:
            fetch: how the keys that tokens are checked with are reached, if they are at a URL.

        Raises:
            SettingsError: what tokens are checked with is missing, or cannot be used.
        """
        self._settings = settings
        self._keys = list(keys_of(settings.api_keys)) if "keys" in settings.auth else []
        self._tokens = Tokens(settings, fetch) if "jwt" in settings.auth else None

    async def caller(self, authorization: bytes | None) -> Caller:
        """Whom the value of an `Authorization` header speaks for; keys that are text are UTF-8.

        Whatever is wrong with a key or token, the answer is the same; only the log knows.

        Raises:
            Unauthenticated: the value is missing, or is nobody's.
            Unavailable: the keys that tokens are checked with cannot be had.
        """
        if self._settings.auth == "none":
            return Caller(owner="local", roles=frozenset(Role))
        if authorization is None or not authorization.lower().startswith(_SCHEME):
            raise Unauthenticated("Send your key as “Authorization: Bearer KEY”.")
        credential = authorization[len(_SCHEME) :].strip()
        try:
            if len(credential) > _MAX_CREDENTIAL:
                raise Unauthenticated("it is too long")
            return self._holder(credential) or await self._bearer(credential)
        except Unauthenticated as refused:
            log.info("a caller is refused", reason=refused.message)
            raise Unauthenticated(_REFUSALS[self._settings.auth]) from None

    def _holder(self, key: bytes) -> Caller | None:
        digest = hashlib.sha256(key).hexdigest()
        # Every hash is compared, so that the time taken tells nothing about any of them.
        found = [item for item in self._keys if hmac.compare_digest(item[1].hash, digest)]
        return Caller(owner=found[0][0], roles=found[0][1].roles) if found else None

    async def _bearer(self, token: bytes) -> Caller:
        if self._tokens is None:
            raise Unauthenticated("no key has its hash")
        return caller_of(
            await self._tokens.claims(token),
            owner_claim=self._settings.jwt_owner_claim,
            roles_claim=self._settings.jwt_roles_claim,
        )


def caller_of(claims: dict[str, Any], *, owner_claim: str, roles_claim: str) -> Caller:
    """Whom the claims of a token speak for.

    Roles stand in a claim of their own, as a list or with spaces between them, and in `scope` (RFC 8693);
    what is no role of ours is passed over. A token without either claim has those of everybody.

    Raises:
        Unauthenticated: no owner is named, or not by text that can be kept; the message is for the log.
    """
    owner = claims.get(owner_claim)
    if not isinstance(owner, str) or not 0 < len(owner) <= _MAX_OWNER or not owner.isprintable():
        raise Unauthenticated(f"its claim {owner_claim} names no owner")
    said = [claims[name] for name in (roles_claim, "scope") if name in claims]
    names = {name for value in said for name in _words(value)}
    roles = frozenset(role for role in Role if role in names) if said else EVERYDAY_ROLES
    return Caller(owner, roles, float(min(int(claims["exp"]), _NEVER)))


def _words(claim: object) -> list[str]:
    if isinstance(claim, str):
        return claim.split()
    return [item for item in claim if isinstance(item, str)] if isinstance(claim, list) else []
