"""Who may do what: roles, and the API keys that carry them."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Role(StrEnum):
    """What a caller may do with his own images; each role includes those before it."""

    READ = "read"
    UPLOAD = "upload"
    ADMIN = "admin"


EVERYDAY_ROLES = frozenset({Role.READ, Role.UPLOAD})  # of who is known, where nothing else is said
_RANKS = {role: rank for rank, role in enumerate(Role)}

_KeyHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # SHA-256


class ApiKey(BaseModel):
    """A key, known by its SHA-256 in hex, and the roles of who has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: _KeyHash
    roles: Annotated[frozenset[Role], Field(min_length=1)] = EVERYDAY_ROLES


def _form(value: object) -> str:
    if isinstance(value, str):
        return "hash"
    return "keys" if isinstance(value, (list, tuple)) else "key"


_Hash = Annotated[_KeyHash, Tag("hash")]
_Key = Annotated[ApiKey, Tag("key")]
_Keys = Annotated[tuple[Annotated[_Hash | _Key, Discriminator(_form)], ...], Field(min_length=1), Tag("keys")]
# An owner's one hash, one key with its roles, or several of them. Told apart first, so that a wrong one has
# one complaint.
OwnerKeys = Annotated[_Hash | _Key | _Keys, Discriminator(_form)]


def suffices(held: Iterable[Role], needed: Role) -> bool:
    """Whether one of the roles is the needed one, or includes it."""
    return any(_RANKS[role] >= _RANKS[needed] for role in held)


def keys_of(api_keys: Mapping[str, OwnerKeys]) -> Iterator[tuple[str, ApiKey]]:
    """Each key with its owner."""
    for owner, keys in api_keys.items():
        for key in keys if isinstance(keys, tuple) else (keys,):
            yield owner, key if isinstance(key, ApiKey) else ApiKey(hash=key)
