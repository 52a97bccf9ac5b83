"""Operations leave nothing behind, and what many are told at once is worked out once."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import strawberry
from graphql import OperationDefinitionNode
from strawberry.extensions import FieldExtension, ParserCache, ValidationCache
from strawberry.scalars import JSON
from strawberry.types import Info

from api.auth import Caller
from api.execution import PLAIN_FUNCTION, Execution
from api.schema import Schema
from jobs.access import Role
from tests.collector import no_collector

ADA = Caller("ada")


class ForAdmins(FieldExtension):
    """Keeps a field from all others."""

    def resolve(self, next_: Any, source: Any, info: Any, **kwargs: Any) -> Any:
        """The field, or an error.

        Raises:
            PermissionError: who asks is none.
        """
        if Role.ADMIN not in info.context.caller.roles:
            raise PermissionError("for others")
        return next_(source, info, **kwargs)


@strawberry.type
class Thing:
    """Fields of every kind."""

    name: str = "a"
    note: str | None = None
    missing: str = strawberry.field(default_factory=lambda: None)
    extra: JSON | None = None
    inner: "Thing | None" = None
    log: strawberry.Private[list[str]] = field(default_factory=list)
    shared: strawberry.Private[object] = None

    def look(self, plus: int = 0) -> int:
        """Note that somebody asked."""
        self.log.append("looked")
        return 3 + plus

    @strawberry.field(metadata={PLAIN_FUNCTION: lambda thing, _: thing.look()})
    def looked(self, plus: int | None = 1) -> int:
        """One that notes when it is asked, and is plain unless it is told more."""
        return self.look(plus or 0)

    @strawberry.field(metadata={PLAIN_FUNCTION: lambda thing, _: f"{thing.name}!"}, extensions=[ForAdmins()])
    def secret(self) -> str:
        """One that is not for everybody."""
        return f"{self.name}!"

    @strawberry.field
    async def later(self) -> str:
        """One that is waited for."""
        await asyncio.sleep(0)
        return "later"

    @strawberry.field(metadata={PLAIN_FUNCTION: lambda thing, _: thing.nothing})
    def broken(self) -> int:
        """One that fails."""
        raise ValueError("broken")


class Record:
    """What a thing was made from."""


@dataclass
class Events:
    """What a subscription tells, and in whose name it is asked."""

    things: list[Thing] = field(default_factory=list)
    caller: Caller = ADA


@strawberry.type
class Query:
    """A thing with things in it."""

    @strawberry.field
    def thing(self) -> Thing | None:
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


# As for what is remembered of documents: parsing and validating leave cycles.
schema = Schema(
    Query,
    subscription=Subscription,
    execution_context_class=Execution,
    extensions=[ParserCache, ValidationCache],
)
forgetful = Schema(Query, subscription=Subscription, execution_context_class=Execution)


@pytest.mark.parametrize(
    "query",
    [
        "{ thing { name inner { name note } } }",
        "{ thing { name inner { looked(plus: 2) later } } }",
        "{ thing { __typename ... on Thing { inner { later } } } }",
    ],
)
async def test_a_request_leaves_nothing_to_the_collector(query: str) -> None:
    """All that it was executed with is gone with the answer."""
    counts = []
    with no_collector():
        for _ in range(20):
            result = await schema.execute(query, context_value=Events())
            assert result.errors is None
            del result
            counts.append(len(gc.get_objects()))
    assert min(counts[10:]) <= max(counts[3:10])  # others' tasks make objects, too, but not with each request


@pytest.mark.parametrize(
    "query",
    [
        "{ thing { name inner { missing } } }",
        "{ thing { inner { broken later } } }",
        "query ($yes: Boolean = true) { thing { inner { name @include(if: $yes) } } }",
    ],
)
async def test_of_a_request_that_fails_nothing_stays(query: str) -> None:
    """Errors and the frames that they came through hold each other: they are left to the collector."""
    counts = []
    for _ in range(2):
        for _ in range(10):
            result = await schema.execute(query, {"yes": None}, context_value=Events())
            assert result.errors
            del result
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[1] <= counts[0]


@pytest.mark.parametrize("shared", [False, True])
async def test_a_subscription_keeps_nothing_of_its_events(shared: bool) -> None:
    """It may last for days, also where others are told the same."""
    records = [Record() if shared else None for _ in range(100)]
    context = Events([Thing(inner=Thing(), shared=record) for record in records])
    source = await schema.subscribe(
        "subscription { things { name inner { name looked } } }", context_value=context
    )
    counts: list[int] = []
    with no_collector():
        async with aclosing(source) as results:
            async for _ in results:
                records[len(counts)] = context.things[len(counts)].shared = None  # it was sent
                counts.append(len(gc.get_objects()))
    assert max(counts[50:]) <= max(counts[10:50])


async def told(query: str, thing: Thing, caller: Caller = ADA, **variables: Any) -> Any:
    """What a subscriber is told of `thing`: its fields, and what is wrong."""
    source = await schema.subscribe(query, variable_values=variables, context_value=Events([thing], caller))
    async with aclosing(source) as results:
        (result,) = [result async for result in results]
    errors = [error.message for error in result.errors or []]
    return (result.data and result.data["things"]), errors


async def test_many_are_told_of_a_record_what_was_worked_out_once() -> None:
    """Whatever differs outside the selection."""
    query = "subscription ($after: Int = 0) { things(after: $after) { looked inner { looked } } }"
    record, log = Record(), list[str]()
    for after in (0, -1):
        thing = Thing(inner=Thing(log=log), log=log, shared=record)
        assert await told(query, thing, after=after) == ({"looked": 3, "inner": {"looked": 3}}, [])
    assert log == ["looked", "looked"]


@pytest.mark.parametrize("differs", ["record", "owner", "roles", "condition", "selection", "name"])
async def test_what_makes_a_difference_is_worked_out_for_each(differs: str) -> None:
    """Nobody is told what was meant for somebody else."""
    query = """subscription ($more: Boolean = true) { things { ...all } }
    fragment all on Thing { looked note @include(if: $more) }"""
    record, log, ada = Record(), list[str](), replace(ADA, roles=frozenset({Role.READ}))
    await told(query, Thing(log=log, shared=record), ada)
    other = {
        "selection": query.replace("looked", "looked name"),
        "name": query.replace("looked", "a: looked"),
    }
    found, _ = await told(
        other.get(differs, query),
        Thing(log=log, shared=Record() if differs == "record" else record),
        replace(
            ada,
            owner="bob" if differs == "owner" else "ada",
            roles=frozenset({Role.ADMIN}) if differs == "roles" else ada.roles,
        ),
        **({"more": False} if differs == "condition" else {}),
    )
    assert log == ["looked", "looked"]
    assert list(found) == {
        "condition": ["looked"], "selection": ["looked", "name", "note"], "name": ["a", "note"],
    }.get(differs, ["looked", "note"])  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [({"n": 2}, 5), ({"n": None}, 3), ({}, 4)])
async def test_what_is_told_more_is_worked_out_for_each(given: dict[str, Any], expected: int) -> None:
    """Null is not the same as nothing, where an argument has a default."""
    record = Record()
    query = "subscription ($n: Int) { things { looked(plus: $n) } }"
    await told(query, Thing(shared=record), n=None)
    await told(query, Thing(shared=record))
    assert await told(query, Thing(shared=record), **given) == ({"looked": expected}, [])


async def test_a_field_that_is_not_for_everybody_is_asked_for_by_each() -> None:
    """Who may not see it does not see what another saw, and there is no shorter way to it."""
    record = Record()
    ada = replace(ADA, roles=frozenset({Role.ADMIN}))
    query = "subscription { things { name secret } }"
    assert await told(query, Thing(shared=record), ada) == ({"name": "a", "secret": "a!"}, [])
    for shared in (record, None):
        reader = replace(ada, roles=frozenset({Role.READ}))
        assert await told(query, Thing(shared=shared), reader) == (None, ["for others"])


async def test_errors_are_told_to_each() -> None:
    """Where they are in the answer is not for another."""
    record = Record()
    for _ in range(2):
        _, errors = await told("subscription { things { name broken } }", Thing(shared=record))
        assert errors == ["broken"]


class Mark(list[int]):
    """A JSON value whose end can be seen."""


async def test_what_was_told_goes_with_its_record() -> None:
    """A deleted image's metadata do not stay until others come."""
    record, mark = Record(), Mark()
    alive = weakref.ref(mark)
    query = "subscription { things { extra } }"
    thing = Thing(extra=JSON(mark), shared=record)
    assert await told(query, thing) == ({"extra": []}, [])
    del mark
    assert await told(query, Thing(extra=JSON([1]), shared=record)) == (
        {"extra": []},
        [],
    )  # what was worked out
    del thing
    assert alive() is not None
    del record
    assert alive() is None


async def test_no_document_is_kept() -> None:
    """However long it is; of those that are remembered, others take care."""
    record = Record()
    for n in range(3):
        source = await forgetful.subscribe(
            f"subscription ForOnce{n} {{ things {{ name }} }}",
            context_value=Events([Thing(shared=record)]),
        )
        async with aclosing(source) as results:
            assert [result.data async for result in results] == [{"things": {"name": "a"}}]
    del source, results
    gc.collect()
    operations = [each for each in gc.get_objects() if issubclass(type(each), OperationDefinitionNode)]
    assert not [each for each in operations if each.name and each.name.value.startswith("ForOnce")]
