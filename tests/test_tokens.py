"""Whom a token speaks for; and that every other is the same nobody's."""

import base64
import json
import random
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.auth import Authenticator, Caller
from jobs.access import Role
from jobs.errors import SettingsError, Unauthenticated
from tests.tokens import (
    EC_KEY,
    NEXT_RSA_KEY,
    RSA_KEY,
    SECRET,
    caller,
    claims,
    compact,
    jwk,
    key_set,
    nowhere,
    settings_with,
    signed,
    unsigned,
)

READ, UPLOAD, ADMIN = Role.READ, Role.UPLOAD, Role.ADMIN
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
REFUSED = "The token is not valid, or no longer."
AUDIENCE, ISSUER = "darkroom", "https://login.example/"


@pytest.fixture
def jwks(tmp_path: Path) -> str:
    """A file with an RSA and an EC key, and others that sign no tokens."""
    path = tmp_path / "jwks.json"
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "secret"}
    encrypting = jwk(NEXT_RSA_KEY, kid="enc", use="enc")
    unknown = {"kty": "of tomorrow", "kid": "new"}
    path.write_bytes(
        key_set(jwk(RSA_KEY, kid="rsa"), jwk(EC_KEY, kid="ec", use="sig"), secret, encrypting, unknown)
    )
    return str(path)


async def test_a_token_speaks_for_its_subject() -> None:
    """Until it expires."""
    said = claims(roles=["admin"])
    assert await caller(signed(said), jwt_secret=SECRET) == Caller("ada", frozenset({ADMIN}), said["exp"])


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        ({}, {READ, UPLOAD}),
        ({"roles": []}, set()),
        ({"roles": ["read"]}, {READ}),
        ({"roles": "read upload"}, {READ, UPLOAD}),
        ({"roles": ["editor", 7, "read"]}, {READ}),
        ({"roles": {"admin": True}}, set()),
        ({"roles": 7}, set()),
        ({"scope": "openid profile"}, set()),
        ({"scope": "openid admin"}, {ADMIN}),
        ({"roles": ["read"], "scope": "upload"}, {READ, UPLOAD}),
        ({"permissions": ["admin"]}, {READ, UPLOAD}),
        ({"roles": ["Admin", "read,upload", "administrator"]}, set()),
    ],
)
async def test_roles_are_those_that_are_named(said: dict[str, Any], roles: set[Role]) -> None:
    """In either claim; whoever says nothing of roles has those of everybody, but never `admin`."""
    assert (await caller(signed(claims(**said)), jwt_secret=SECRET)).roles == roles


async def test_claims_can_have_names_of_their_own() -> None:
    """As some issuers insist."""
    said = claims(**{"https://shop.example/roles": ["read"], "email": "a@shop.example", "roles": ["admin"]})
    found = await caller(
        signed(said),
        jwt_secret=SECRET,
        jwt_owner_claim="email",
        jwt_roles_claim="https://shop.example/roles",
    )
    assert found == Caller("a@shop.example", frozenset({READ}), found.expires_at)


@pytest.mark.parametrize("owner", [None, "", "x" * 256, "a\0b", "a\nb", "\ud800", 7, ["ada"], {"a": 1}])
async def test_an_owner_is_a_text_that_can_be_kept(owner: object) -> None:
    """A token that names none is nobody's, though it is signed well."""
    token = compact({"alg": "HS256"}, json.dumps(claims(sub=None, owner=owner)).encode(), SECRET.encode())
    with pytest.raises(Unauthenticated):
        await caller(token, jwt_secret=SECRET, jwt_owner_claim="owner")


@pytest.mark.parametrize(
    "said",
    [
        {"exp": None},
        {"exp": int(time.time()) - 3_600},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": [1]},
        {"nbf": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 86_400},
        {"sub": None},
        {"sub": 7},
        {"aud": "somebody else"},
        {"aud": ["somebody else"]},
        {"aud": None},
        {"aud": []},
        {"aud": {"darkroom": 1}},
        {"iss": "https://evil.example/"},
        {"iss": ISSUER.rstrip("/")},
        {"iss": [ISSUER]},
        {"iss": None},
    ],
)
async def test_a_token_with_a_wrong_claim_is_nobodys(said: dict[str, Any]) -> None:
    """Signed well as it is; and the same with what is right is good."""
    where: dict[str, Any] = {"jwt_secret": SECRET, "jwt_audience": AUDIENCE, "jwt_issuer": ISSUER}
    good = claims(aud=["another", AUDIENCE], iss=ISSUER, nbf=int(time.time()), iat=int(time.time()))
    assert (await caller(signed(good), **where)).owner == "ada"
    bad = {name: value for name, value in (good | said).items() if value is not None}
    token = compact({"alg": "HS256"}, json.dumps(bad).encode(), SECRET.encode())
    with pytest.raises(Unauthenticated, match=REFUSED):
        await caller(token, **where)


async def test_a_token_for_others_is_not_taken_where_no_audience_is_configured() -> None:
    """Whoever can get one for another service could else come in with it."""
    with pytest.raises(Unauthenticated, match=REFUSED):
        await caller(signed(claims(aud="another")), jwt_secret=SECRET)


async def test_clocks_may_differ_by_seconds() -> None:
    """A token that has just expired, or will be good in a moment, is taken."""
    now = int(time.time())
    for said in ({"exp": now - 3}, {"nbf": now + 5, "iat": now + 5}):
        assert (await caller(signed(claims(**said)), jwt_secret=SECRET)).owner == "ada"


async def test_a_token_that_hardly_ever_expires_is_one_all_the_same() -> None:
    """Whatever number its issuer took for never."""
    assert (await caller(signed(claims(exp=10**300)), jwt_secret=SECRET)).expires_at == 2**40


@pytest.mark.parametrize(
    "token",
    [
        *map(unsigned, ("none", "None", "NONE", "", "HS256")),
        signed(claims(), "another secret, of the same length"),
        signed(claims(), RSA_KEY),
        jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
        jwt.encode(claims(), SECRET, algorithm="HS256", headers={"crit": ["exp"]}),
        compact({"alg": ["HS256"]}, json.dumps(claims()).encode(), SECRET.encode()),
        compact({"typ": "JWT"}, json.dumps(claims()).encode(), SECRET.encode()),
        compact({"alg": "HS256"}, b"[]", SECRET.encode()),
        compact({"alg": "HS256"}, b"{", SECRET.encode()),
        compact({"alg": "HS256"}, b"[" * 5_000, SECRET.encode()),
        compact({"alg": "HS256"}, b'{"exp": ' + b"9" * 5_000 + b"}", SECRET.encode()),
        signed(claims(filler="x" * 8_192)),
        signed(claims()) + "!",
        signed(claims()) + ".e30",
        "no token",
        "..",
        "",
        SECRET,
    ],
)
async def test_what_is_not_signed_with_the_secret_is_nobodys(token: str) -> None:
    """With one answer for all of it."""
    with pytest.raises(Unauthenticated) as refused:
        await caller(token, jwt_secret=SECRET)
    assert refused.value.message == REFUSED


async def test_a_token_that_was_changed_anywhere_is_nobodys() -> None:
    """Each character of it counts, and no bytes trip the parser."""
    token = signed(claims())
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    chance = random.Random(7)  # noqa: S311 - the same ones each time
    changed = [
        token[:at] + chance.choice(letters.replace(token[at], "")) + token[at + 1 :]
        for at in range(len(token))
    ]
    for item in changed:
        with pytest.raises(Unauthenticated):
            await caller(item, jwt_secret=SECRET)
    authenticator = Authenticator(settings_with(auth="jwt", jwt_secret=SECRET), nowhere)
    for length in range(200):
        with pytest.raises(Unauthenticated):
            await authenticator.caller(b"Bearer " + chance.randbytes(length))


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(), RSA_KEY, kid="rsa"),
        signed(claims(), EC_KEY, kid="ec"),
        signed(claims(), RSA_KEY),
        signed(claims(), EC_KEY),
    ],
)
async def test_a_token_is_checked_with_the_key_of_the_set(token: str, jwks: str) -> None:
    """That it names, or the only one for its algorithm."""
    assert (await caller(token, jwt_jwks=jwks)).owner == "ada"


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(), NEXT_RSA_KEY, kid="rsa"),
        signed(claims(), NEXT_RSA_KEY, kid="enc"),
        signed(claims(), RSA_KEY, kid="ec"),
        signed(claims(), EC_KEY, kid="rsa"),
        signed(claims(), RSA_KEY, kid="unknown"),
        signed(claims(), RSA_KEY, kid=""),
        compact({"alg": "RS256", "kid": 7}, json.dumps(claims()).encode(), PEM),
        signed(claims(), SECRET, kid="secret"),
        signed(claims(), SECRET),
        unsigned("none"),
        unsigned("RS256"),
        jwt.encode(claims(), RSA_KEY, algorithm="RS512", headers={"kid": "rsa"}),
        jwt.encode(claims(), RSA_KEY, algorithm="PS256", headers={"kid": "rsa"}),
        # The public key taken for the secret of an HMAC: as PEM, and as the set has it.
        compact({"alg": "HS256", "kid": "rsa"}, json.dumps(claims()).encode(), PEM),
        compact({"alg": "HS256"}, json.dumps(claims()).encode(), PEM),
        compact({"alg": "RS256", "kid": "rsa"}, json.dumps(claims()).encode(), PEM),
        compact(
            {"alg": "HS256", "kid": "rsa"}, json.dumps(claims()).encode(), json.dumps(jwk(RSA_KEY)).encode()
        ),
        # A key that the token brings along, or says where to find.
        signed(claims(), NEXT_RSA_KEY, jwk=jwk(NEXT_RSA_KEY)),
        signed(claims(), NEXT_RSA_KEY, kid="rsa", jku="https://evil.example/jwks.json"),
    ],
)
async def test_what_is_not_signed_with_a_key_of_the_set_is_nobodys(token: str, jwks: str) -> None:
    """Whatever algorithm and key it names."""
    with pytest.raises(Unauthenticated) as refused:
        await caller(token, jwt_jwks=jwks)
    assert refused.value.message == REFUSED


def test_a_public_key_is_no_secret() -> None:
    """Everybody could sign with it."""
    with pytest.raises(SettingsError, match="DARKROOM_JWT_SECRET is wrong"):
        Authenticator(settings_with(auth="jwt", jwt_secret=PEM.decode()), nowhere)


def test_tokens_need_something_to_be_checked_with() -> None:
    """Or nobody could ask for anything."""
    with pytest.raises(SettingsError, match="DARKROOM_JWT_SECRET or DARKROOM_JWT_JWKS is missing"):
        Authenticator(settings_with(auth="jwt"), nowhere)
