"""Documents are those of graphql-core, and smaller."""

import gc
from contextlib import suppress

import graphql
import pytest
from graphql import DocumentNode, GraphQLSyntaxError, Token, get_introspection_query

from api.parsing import parse

QUERY = "query A($a: [Int!] = [1, 2]) { # a comment\n  b: c(d: {e: $a}) @f { ...G } } fragment G on H { i }"


@pytest.mark.parametrize("query", [QUERY, get_introspection_query()], ids=["short", "introspection"])
def test_a_document_is_the_same(query: str) -> None:
    """With all the places in it."""
    assert parse(query, max_tokens=1_000) == graphql.parse(query)


def tokens_of(document: DocumentNode) -> int:
    """How many tokens are reached from it."""
    reached: list[object] = [document]
    known = {id(document)}
    for each in reached:
        more = [
            other for other in gc.get_referents(each) if not isinstance(other, type) and gc.is_tracked(other)
        ]
        reached += [other for other in more if id(other) not in known]
        known.update(map(id, more))
    return sum(type(each) is Token for each in reached)


def test_a_document_keeps_no_tokens() -> None:
    """Those of graphql-core's are there to be found."""
    assert tokens_of(graphql.parse(QUERY)) > 30
    assert tokens_of(parse(QUERY, max_tokens=1_000)) == 0


@pytest.mark.parametrize("query", [QUERY, "{ a( }"], ids=["a document", "none"])
def test_nothing_is_left_to_the_collector(query: str) -> None:
    """A document is gone when nobody has it."""
    gc.collect()
    gc.disable()
    try:
        before = sum(type(each) is Token for each in gc.get_objects())
        with suppress(GraphQLSyntaxError):
            parse(query, max_tokens=1_000)
        assert sum(type(each) is Token for each in gc.get_objects()) == before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("query", "said"), [("{ a" * 5_000, "too deeply"), ("{ a b }", "more than 3 tokens"), ("{", "Expected")]
)
def test_what_cannot_be_parsed_is_told(query: str, said: str) -> None:
    """As graphql-core does."""
    with pytest.raises(GraphQLSyntaxError, match=said):
        parse(query, max_tokens=3 if "b" in query else 100_000)
