"""Tokens, and the keys that sign them, as tests need them."""

import base64
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.auth import Authenticator, Caller
from jobs.errors import Unavailable
from jobs.settings import Settings
from jobs.sns import Fetch

SECRET = "a secret of the tests, long enough"
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
NEXT_RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())

Key = str | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def claims(**more: Any) -> dict[str, Any]:
    """What a token of `ada` says that outlives the tests; a claim that is None is left out."""
    said = {"sub": "ada", "exp": int(time.time()) + 86_400} | more
    return {name: value for name, value in said.items() if value is not None}


def signed(said: dict[str, Any], key: Key = SECRET, **header: Any) -> str:
    """The token, with the algorithm that suits the key."""
    algorithm = (
        "HS256" if isinstance(key, str) else "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    )
    return jwt.encode(said, key, algorithm=algorithm, headers=header)


def compact(header: dict[str, Any], payload: bytes, key: bytes | None) -> str:
    """A token put together by hand, as no library would; signed by HMAC if there is a key."""
    parts = [json.dumps(header).encode(), payload]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = b"" if key is None else hmac.digest(key, text, "sha256")
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def unsigned(algorithm: str) -> str:
    """A token that says that it is not signed."""
    return compact({"alg": algorithm, "typ": "JWT"}, json.dumps(claims()).encode(), None)


def bearer(token: str) -> bytes:
    """The value of an `Authorization` header."""
    return f"Bearer {token}".encode()


def jwk(key: Key, **more: Any) -> dict[str, Any]:
    """The public key as a JSON Web Key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | more
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | more


def key_set(*keys: dict[str, Any]) -> bytes:
    """A set of such keys, as it is published."""
    return json.dumps({"keys": keys}).encode()


def settings_with(**more: Any) -> Settings:
    """Settings whose services nobody asks."""
    return Settings.model_validate(
        {
            "mongo_url": "mongodb://127.0.0.1:1",
            "redis_url": "redis://127.0.0.1:1",
            "s3_bucket": "pictures",
            "s3_access_key": "key",
            "s3_secret_key": "secret",
            **more,
        }
    )


async def nowhere(url: str) -> bytes:
    """Nobody answers."""
    raise Unavailable(f"Nobody answers at {url}")


async def caller(token: str, fetch: Fetch = nowhere, **settings: Any) -> Caller:
    """Whom it speaks for where these settings are, `jwt` among them.

    Raises:
        Unauthenticated: nobody.
    """
    return await Authenticator(settings_with(**{"auth": "jwt", **settings}), fetch).caller(bearer(token))
