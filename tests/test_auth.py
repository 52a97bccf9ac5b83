"""Whom a key speaks for, beside tokens or without them; and that of everything else it is the same nobody."""

import hashlib

import pytest
from structlog.testing import capture_logs

from api.auth import Authenticator, Caller
from jobs.access import Role
from jobs.errors import Unauthenticated
from tests.tokens import SECRET, bearer, claims, nowhere, settings_with, signed

READ, UPLOAD, ADMIN = Role.READ, Role.UPLOAD, Role.ADMIN


def sha256(key: str) -> str:
    """The hash of a key, as it is configured."""
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("plain", Caller("shop", frozenset({READ, UPLOAD}))),
        ("reader", Caller("blog", frozenset({READ}))),
        ("first", Caller("museum", frozenset({READ, UPLOAD}))),
        ("second", Caller("museum", frozenset({ADMIN}))),
    ],
)
async def test_a_key_has_an_owner_and_roles(key: str, known: Caller) -> None:
    """An owner has one key or several; one that is configured as its hash has the roles of everybody."""
    keys = {
        "shop": sha256("plain"),
        "blog": {"hash": sha256("reader"), "roles": ["read"]},
        "museum": [sha256("first"), {"hash": sha256("second"), "roles": ["admin"]}],
    }
    authenticator = Authenticator(settings_with(api_keys=keys), nowhere)
    assert await authenticator.caller(bearer(key)) == known
    for wrong in (f"{key}x", key[:-1], key.upper(), sha256(key), ""):
        with pytest.raises(Unauthenticated, match=r"The key is unknown\."):
            await authenticator.caller(bearer(wrong))


async def test_keys_and_tokens_can_be_taken_both() -> None:
    """A wrong one of either kind gets the same answer."""
    settings = settings_with(auth="keys+jwt", api_keys={"shop": sha256("plain")}, jwt_secret=SECRET)
    authenticator = Authenticator(settings, nowhere)
    assert (await authenticator.caller(bearer("plain"))).owner == "shop"
    assert (await authenticator.caller(bearer(signed(claims())))).owner == "ada"
    answers = set()
    for wrong in ("plan", signed(claims(), SECRET + "!"), signed(claims(exp=1)), "x" * 9_000):
        with pytest.raises(Unauthenticated) as refused:
            await authenticator.caller(bearer(wrong))
        answers.add(refused.value.message)
    assert len(answers) == 1


@pytest.mark.parametrize(("auth", "credential"), [("keys", signed(claims())), ("jwt", "plain")])
async def test_only_what_is_switched_on_is_taken(auth: str, credential: str) -> None:
    """Whatever else is configured."""
    settings = settings_with(auth=auth, api_keys={"shop": sha256("plain")}, jwt_secret=SECRET)
    with pytest.raises(Unauthenticated):
        await Authenticator(settings, nowhere).caller(bearer(credential))


@pytest.mark.parametrize("value", [None, b"", b"Bearer", b"plain", b"Basic cGxhaW4=", b"Token plain"])
async def test_who_says_nothing_is_told_how(value: bytes | None) -> None:
    """Another scheme is none of ours."""
    settings = settings_with(api_keys={"shop": sha256("plain")})
    with pytest.raises(Unauthenticated, match="Authorization: Bearer KEY"):
        await Authenticator(settings, nowhere).caller(value)


async def test_the_log_says_why_and_keeps_no_token() -> None:
    """A reason for who runs it; nothing that could be used."""
    token = signed(claims(exp=1))
    settings = settings_with(auth="keys+jwt", jwt_secret=SECRET)
    with capture_logs() as logs, pytest.raises(Unauthenticated):
        await Authenticator(settings, nowhere).caller(bearer(token))
    (entry,) = logs
    assert (entry["log_level"], entry["reason"]) == ("info", "Signature has expired")
    assert not [part for part in token.split(".") if part in str(entry)]
