"""JSON Web Tokens (RFC 7519): what a signed token claims, once it is believed.

The algorithm is fixed by what is configured, never by what the token says (RFC 8725, section 3.1): HS256 with
a secret, RS256 or ES256 with the key of a set that is made for it.
"""

from typing import Any

import jwt

from api.keysets import ALGORITHMS, open_key_set
from jobs.errors import SettingsError, Unauthenticated
from jobs.settings import PREFIX, Settings
from jobs.sns import Fetch

LEEWAY = 10.0  # seconds by which the issuer's clock may differ
_OPTIONS: jwt.types.Options = {"require": ["exp"], "enforce_minimum_key_length": True}


class Tokens:
    """The tokens that the settings let in."""

    def __init__(self, settings: Settings, fetch: Fetch) -> None:
        """
        Raises:
            SettingsError: what they are checked with is missing, or cannot be used.
        """
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer
        self._secret = settings.jwt_secret.get_secret_value().encode() if settings.jwt_secret else None
        self._keys = open_key_set(settings.jwt_jwks, fetch) if settings.jwt_jwks else None
        if self._secret is not None:
            try:  # a public key is no secret
                jwt.get_algorithm_by_name("HS256").prepare_key(self._secret)
            except jwt.InvalidKeyError as error:
                raise SettingsError(f"{PREFIX}JWT_SECRET is wrong: {error}") from None
        elif self._keys is None:
            raise SettingsError(f"{PREFIX}JWT_SECRET or {PREFIX}JWT_JWKS is missing: {PREFIX}AUTH has jwt")

    async def claims(self, token: bytes) -> dict[str, Any]:
        """What the token says; `exp` is among it.

        Raises:
            Unauthenticated: it is not to be believed; the message is for the log.
            Unavailable: the keys to check it with cannot be had.
        """
        try:
            key, algorithm = await self._key(token)
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options=_OPTIONS,
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(str(error)) from None

    async def _key(self, token: bytes) -> tuple[jwt.PyJWK | bytes, str]:
        if self._keys is None:
            return self._secret or b"", "HS256"
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise Unauthenticated("its algorithm is not taken")
        key = await self._keys.find(algorithm, header.get("kid"))
        return key, key.algorithm_name
