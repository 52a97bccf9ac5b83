"""Operations give what graphql-core's own execution gives, with less work, and leave nothing behind."""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
import strawberry
from graphql import FieldNode, OperationDefinitionNode, parse
from strawberry.extensions import ParserCache
from strawberry.types import Info

from api.execution import PLAIN_FUNCTION, Execution
from api.shared import variables_below


@strawberry.enum
class Colour(Enum):
    """Something to choose."""

    RED = "red"
    BLUE = "blue"


@strawberry.type
class Thing:
    """Fields of every kind, some of them filled with what they cannot hold."""

    name: str = "a"
    note: str | None = None
    missing: str = strawberry.field(default_factory=lambda: None)
    size: int = 3
    huge: int = 2**40
    colour: Colour = Colour.RED
    wrong: Colour = strawberry.field(default_factory=lambda: "green")
    words: list[str] = strawberry.field(default_factory=lambda: ["b", "c"])
    inner: "Thing | None" = None
    log: strawberry.Private[list[str]] = field(default_factory=list)
    shared: strawberry.Private[object] = None

    @strawberry.field(metadata={PLAIN_FUNCTION: lambda thing, _: f"{thing.name} 1"})
    def times(self, count: int = 1) -> str:
        """One that is plain unless it is told more."""
        return f"{self.name} {count}"

    @strawberry.field
    def computed(self, plus: int = 0) -> int:
        """One that notes when it is asked."""
        self.log.append("computed")
        return self.size + plus

    @strawberry.field
    async def later(self) -> str:
        """One that is waited for."""
        await asyncio.sleep(0)
        return "later"

    @strawberry.field
    def broken(self) -> int:
        """One that fails."""
        raise ValueError("broken")


@dataclass
class Events:
    """What a subscription tells, and in whose name it is asked."""

    things: list[Thing] = field(default_factory=list)
    caller: Caller = Caller("ada")


@strawberry.type
class Query:
    """A thing with things in it."""

    @strawberry.field
    def thing(self) -> Thing:
        """It."""
        return Thing(inner=Thing(name="b", note="c", inner=Thing()))


@strawberry.type
class Subscription:
    """Things one after the other."""

    @strawberry.subscription
    async def things(self, info: Info[Events, None], after: int = 0) -> AsyncGenerator[Thing, None]:
        """Those of the context."""
        for thing in info.context.things[after:]:
            yield thing


# What is parsed once is one selection, by which results are shared.
ours = strawberry.Schema(
    Query, subscription=Subscription, execution_context_class=Execution, extensions=[ParserCache]
)


@contextmanager
def no_collector() -> Iterator[None]:
    """Nothing is collected in between."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_a_request_leaves_nothing_to_the_collector() -> None:
    """What it was executed with is gone with the answer."""
    query = "{ thing { name inner { computed later } } }"
    await ours.execute(query, context_value=Events())
    with no_collector():
        await ours.execute(query, context_value=Events())
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Execution)]


async def test_a_subscription_keeps_nothing_of_its_events() -> None:
    """It may last for days."""
    context = Events([Thing(inner=Thing(), shared=None) for _ in range(100)])
    source = await ours.subscribe(
        "subscription { things { name inner { name computed } } }", context_value=context
    )
    counts: list[int] = []
    with no_collector():
        async with aclosing(source) as results:
            async for _ in results:
                context.things[len(counts)].log.clear()
                counts.append(len(gc.get_objects()))
    assert max(counts[50:]) <= max(counts[10:50])


async def told(query: str, thing: Thing, owner: str = "ada", **variables: Any) -> Any:
    """What a subscriber is told of `thing`."""
    context = Events([thing], owner)
    source = await ours.subscribe(query, variable_values=variables, context_value=context)
    async with aclosing(source) as results:
        return [(result.data, result.errors) async for result in results]


async def test_many_are_told_of_a_record_what_was_worked_out_once() -> None:
    """Whatever differs outside the selection."""
    query = "subscription ($after: Int = 0) { things(after: $after) { computed inner { computed } } }"
    record, log = SimpleNamespace(), list[str]()
    told_of = [
        await told(query, Thing(inner=Thing(log=log), log=log, shared=record), after=after)
        for after in (0, -1)
    ]
    assert told_of[0] == told_of[1] == [({"things": {"computed": 3, "inner": {"computed": 3}}}, None)]
    assert log == ["computed", "computed"]


@pytest.mark.parametrize("differs", ["record", "owner", "variable", "selection"])
async def test_what_makes_a_difference_is_worked_out_for_each(differs: str) -> None:
    """Nobody is told what was meant for somebody else."""
    query = (
        "subscription ($plus: Int = 0) { things { ...all } } fragment all on Thing { computed(plus: $plus) }"
    )
    record, log = SimpleNamespace(), list[str]()
    await told(query, Thing(log=log, shared=record), plus=1)
    (other,) = await told(
        query.replace("computed(", "name computed(") if differs == "selection" else query,
        Thing(log=log, shared=SimpleNamespace() if differs == "record" else record),
        owner="bob" if differs == "owner" else "ada",
        plus=2 if differs == "variable" else 1,
    )
    assert log == ["computed", "computed"]
    assert other[0]["things"]["computed"] == (5 if differs == "variable" else 4)


async def test_errors_are_told_to_each() -> None:
    """Where they are in the answer is not for another."""
    record = SimpleNamespace()
    for _ in range(2):
        (answer,) = await told("subscription { things { name broken } }", Thing(shared=record))
        assert [error.message for error in answer[1]] == ["broken"]


def test_variables_are_found_wherever_a_selection_uses_them() -> None:
    """In arguments, directives and fragments, but not outside."""
    document = parse(
        """subscription ($a: Int, $b: Int, $c: Boolean!, $d: Int, $e: Int) {
          things(after: $a) { computed(plus: $b) name @skip(if: $c) ...one }
        }
        fragment one on Thing { inner { computed(plus: $d) ...one ...two } }
        fragment two on Thing { name }
        fragment other on Thing { computed(plus: $e) }"""
    )
    operation, *fragments = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    (node,) = operation.selection_set.selections
    assert isinstance(node, FieldNode)
    by_name: Any = {fragment.name.value: fragment for fragment in fragments}  # type: ignore[attr-defined]
    assert variables_below([node], by_name) == {"b", "c", "d"}
