"""Probes: objects that `darkroom doctor` stores to see whether their events come back.

They lie where sources do, so that the store tells of them, under keys that no image has.
"""

import secrets

from jobs.images import SOURCES_PREFIX

PROBES_PREFIX = f"{SOURCES_PREFIX}doctor-"


def new_probe_key() -> str:
    """A key that no other object has."""
    return f"{PROBES_PREFIX}{secrets.token_hex(16)}"


def is_probe(key: str) -> bool:
    """Whether an object is there for its event only."""
    return key.startswith(PROBES_PREFIX)
