"""Queries by chance over a schema: fragments, aliases, directives and arguments, wherever they may stand."""

import random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    parse,
    validate,
)

_DECLARED = {"yes": "Boolean = true", "no": "Boolean! = false", "n": "Int = 3"}
VARIABLES: dict[str, list[Any]] = {
    "yes": [True, False, None],
    "no": [True, False],
    "n": [1, None],
}  # values that they may have
_DIRECTIVES = ["@include(if: $yes)", "@skip(if: $no)", "@include(if: false)", "@skip(if: $yes)"]
_ARGUMENTS = ["expiresIn: 5", "expiresIn: $n", "expiresIn: null"]
_DEPTH = 5
_FRAGMENTS = 3


def random_query(rng: random.Random, schema: GraphQLSchema) -> str:
    """One that is valid; variables have the names of `VARIABLES`."""
    while True:
        query = _Query(rng, schema).text()
        if not validate(schema, parse(query)):
            return query


class _Query:
    def __init__(self, rng: random.Random, schema: GraphQLSchema) -> None:
        self._rng = rng
        self._schema = schema
        kinds = sorted(kind for kind in schema.type_map if is_composite_type(schema.type_map[kind]))
        kinds = [kind for kind in kinds if not kind.startswith("__")]
        self._fragments = [rng.choice(kinds) for _ in range(_FRAGMENTS)]
        self._spread: set[int] = set()

    def text(self) -> str:
        """The whole, with those fragments that something spreads."""
        parts = [self._selections(self._schema.query_type, 0, 0)]
        for n, kind in enumerate(self._fragments):
            if n in self._spread:
                body = self._selections(self._schema.type_map[kind], 1, n + 1)
                parts.append(f"fragment f{n} on {kind} {body}")
        whole = " ".join(parts)
        used = [f"${name}: {kind}" for name, kind in _DECLARED.items() if f"${name}" in whole]
        return f"query ({', '.join(used)}) {whole}" if used else whole

    def _selections(self, kind: GraphQLNamedType | None, level: int, first: int) -> str:
        """Some of a type, which spread no fragment before the `first`."""
        rng = self._rng
        return f"{{ {' '.join(self._selection(kind, level, first) for _ in range(rng.randint(1, 5)))} }}"

    def _selection(self, kind: GraphQLNamedType | None, level: int, first: int) -> str:
        rng = self._rng
        directive = rng.choice(_DIRECTIVES) if rng.random() < 0.15 else ""
        chance = rng.random()
        if chance < 0.15 and level < _DEPTH:
            possible = [kind] if not is_abstract_type(kind) else self._schema.get_possible_types(kind)
            of = rng.choice([kind, *possible])
            return f"... on {of} {directive} {self._selections(of, level + 1, first)}"
        if chance < 0.3 and (later := self._spreadable(kind, first)):
            chosen = rng.choice(later)
            self._spread.add(chosen)
            return f"...f{chosen} {directive}"
        fields: dict[str, GraphQLField] = getattr(kind, "fields", {})
        name = rng.choice([*fields, "__typename"] if chance < 0.95 else ["__typename"])
        of = get_named_type(fields[name].type) if name in fields else None
        if is_composite_type(of) and level >= _DEPTH:
            name, of = "__typename", None
        alias = rng.choice(["", "", "", f"a{name}: ", f"b{name}: "])
        arguments = f"({rng.choice(_ARGUMENTS)})" if name == "url" and rng.random() < 0.4 else ""
        inner = self._selections(of, level + 1, first) if is_composite_type(of) else ""
        return f"{alias}{name}{arguments} {directive} {inner}"

    def _spreadable(self, kind: GraphQLNamedType | None, first: int) -> list[int]:
        return [n for n in range(first, _FRAGMENTS) if kind is not None and self._fragments[n] == kind.name]
