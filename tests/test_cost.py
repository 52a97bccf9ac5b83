"""What a query comes to is measured in one walk, however often its fragments are spread."""

import json
import random
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    get_introspection_query,
    parse,
)

from api import client
from api.cost import LIST, SATURATED, Cost, Limits, measure, sizes_of
from api.documents import COST_OF_A_FILE
from api.paging import MAX_PAGE
from api.schema import schema
from jobs.settings import Settings
from tests import hostile

ROOT = Path(__file__).parent.parent
CORE = schema._schema  # noqa: SLF001 - what validation is given
ANY = Limits(depth=150, aliases=SATURATED, directives=SATURATED, cost=SATURATED, page=MAX_PAGE)


def limits(**fewer: int) -> Limits:
    """Those of the settings, or fewer."""
    default = {
        name: Settings.model_fields[f"max_query_{name}"].default
        for name in ("depth", "aliases", "directives", "cost")
    }
    return Limits(**default | {"page": MAX_PAGE} | fewer)


def cost(query: str, **variables: Any) -> Cost:
    """What it comes to, whatever it is."""
    return measure(parse(query), CORE, dict(sizes_of(variables)), ANY)


_DELETE = "mutation { deleteImages(ids: IDS) { results { __typename } } }"
_CREATE = "mutation { createUploads(input: INPUT) { results { __typename } } }"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ presets { name } }", (2, 0, 0, 1 + LIST)),
        ("{ image(id: 1) { a: id b: id } }", (2, 2, 0, 3)),
        ("{ image(id: 1) { id id ... { id } } }", (3, 2, 0, 4)),
        ("{ image(id: 1) { ...f ...f } } fragment f on Image { id status }", (3, 2, 0, 5)),
        ("query @a { image(id: 1) @a { id @a } }", (2, 0, 3, 2)),
        ("query ($n: Int @a) { image(id: 1) { ... @a { id } } }", (3, 0, 2, 2)),
        ("{ image(id: 1) { ...f @a } } fragment f on Image @a { id @a }", (3, 0, 3, 2)),
        ("{ images { nodes { id } } }", (3, 0, 0, 1 + 20 * 2)),
        ("{ images(first: 7) { edges { node { variants { name } } } } }", (5, 0, 0, 1 + 7 * (3 + LIST))),
        ("query ($n: Int) { images(first: $n) { nodes { id } } }", (3, 0, 0, 1 + 3 * 2)),
        ("query ($m: Int = 5) { images(first: $m) { nodes { id } } }", (3, 0, 0, 1 + MAX_PAGE * 2)),
        ("{ images(first: null) { nodes { id } } }", (3, 0, 0, 1 + MAX_PAGE * 2)),
        (_DELETE.replace("IDS", '["a", "b"]'), (3, 0, 0, 1 + 2 * 2)),
        (_DELETE.replace("IDS", "$ids"), (3, 0, 0, 1 + 4 * 2)),
        (_CREATE.replace("INPUT", "$input"), (3, 0, 0, 1 + 6 * 2)),
        (_CREATE.replace("INPUT", "{files: [{}, {}, {}]}"), (3, 0, 0, 1 + 3 * 2)),
        (_CREATE.replace("INPUT", "{files: $ids}"), (3, 0, 0, 1 + 4 * 2)),
        ("{ image(id: 1) { variants { url } } }", (3, 0, 0, 2 + LIST * 5)),
        ("{ image(id: 1) { variants { url(expiresIn: null) } } }", (3, 0, 0, 2 + LIST * 20)),
        ("{ image(id: 1) { timeline { at } metadata } }", (3, 0, 0, 2 + 50 + 20)),
        ("{ __schema { types { name } } }", (3, 0, 0, 5_000 + 1 + 15)),
        ("{ image(id: 1) { id } } fragment f on Image { id id id }", (2, 2, 0, 3)),
        ("{ nothing { at { all } } ...unknown ... on Unknown { field { of { it } } } }", (4, 0, 0, 6)),
    ],
)
def test_what_a_query_comes_to(query: str, expected: tuple[int, int, int, int]) -> None:
    """Lists count as often as arguments say; what is unknown counts once, validation will refuse it."""
    found = cost(query, n=3, ids=["a"] * 4, input={"files": [{}] * 6, "preset": "a"})
    assert (found.depth, found.aliases, found.directives, found.cost) == expected


def nodes(document: DocumentNode) -> int:
    """How many nodes a document has."""
    return sum(1 for _ in below(document))


def below(value: Any) -> Iterator[Node]:
    """A node and all nodes inside it."""
    if isinstance(value, Node):
        yield value
        for key in value.keys:
            if key != "loc":
                yield from below(getattr(value, key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from below(item)


WALKED = {
    name: body
    for name, body in (hostile.TOO_COSTLY | hostile.WRONG).items()
    if not re.search("400 levels|circle|itself|name of two", name)  # refused before, or on the way
}


@pytest.mark.parametrize("name", WALKED)
def test_no_node_is_visited_twice(name: str) -> None:
    """Whatever is asked, the walk is over after as many steps as the document has nodes."""
    request = json.loads(WALKED[name])
    document = parse(request["query"])
    found = measure(document, CORE, dict(sizes_of(request.get("variables") or {})), ANY)
    assert 0 < found.visits <= nodes(document)


def test_doubling_stops_somewhere() -> None:
    """Twenty lines ask for a million fields, ninety for more than there are atoms in a gram of anything."""
    assert cost(hostile.fragments_twice(20)).aliases == 2**20 - 1
    ninety = cost(hostile.fragments_twice(90))
    assert (ninety.aliases, ninety.cost) == (SATURATED, SATURATED)
    assert ninety.visits < 300


@pytest.mark.parametrize("seed", range(300))
def test_the_memo_changes_nothing(seed: int) -> None:
    """Small documents come to what they come to when every spread is written out."""
    document = parse(random_document(random.Random(seed)))  # noqa: S311 - to be repeated
    found = measure(document, CORE, {}, ANY)
    assert (found.depth, found.aliases, found.directives, found.cost) == naive(document)
    assert found.visits <= nodes(document)


FIELDS: dict[str, dict[str, tuple[str, int] | None]] = {
    "Query": {"images": ("ImageConnection", 20), "image": ("Image", 1), "presets": ("Preset", LIST)},
    "ImageConnection": {"nodes": ("Image", 1), "edges": ("ImageEdge", 1), "pageInfo": ("PageInfo", 1)},
    "ImageEdge": {"node": ("Image", 1), "cursor": None},
    "Image": {"variants": ("Variant", LIST), "problem": ("ImageProblem", 1), "id": None, "status": None},
    "Preset": {"name": None},
    "PageInfo": {"hasNextPage": None},
    "Variant": {"name": None, "width": None},
    "ImageProblem": {"code": None},
}  # fmt: skip


def random_document(rng: random.Random) -> str:
    """Valid selections, with fragments of which each spreads only later ones."""
    kinds = [rng.choice(["Query", "ImageConnection", "Image"]) for _ in range(rng.randint(0, 6))]

    def selections(kind: str, level: int, first: int) -> str:
        parts = []
        for _ in range(rng.randint(1, 4)):
            later = [n for n in range(first, len(kinds)) if kinds[n] == kind]
            directive = rng.choice(["", "", "", " @include(if: true)"])
            if later and rng.random() < 0.5:
                parts.append(f"...f{rng.choice(later)}{directive}")
            elif level < 4 and rng.random() < 0.2:
                condition = rng.choice(["", f" on {kind}"])
                parts.append(f"...{condition}{directive} {{ {selections(kind, level + 1, first)} }}")
            else:
                name, of = rng.choice(list(FIELDS[kind].items()))
                alias = rng.choice(["", "", "x: ", "y: "])
                inner = f" {{ {selections(of[0], level + 1, first)} }}" if of else ""
                parts.append(f"{alias}{name}{directive}{inner}")
        return " ".join(parts)

    fragments = [
        f"fragment f{n} on {kind} {{ {selections(kind, 0, n + 1)} }}" for n, kind in enumerate(kinds)
    ]
    return " ".join(rng.sample([f"{{ {selections('Query', 0, 0)} }}", *fragments], 1 + len(fragments)))


def naive(document: DocumentNode) -> tuple[int, ...]:
    """Depth, aliases, directives and cost: the most of any definition, with every spread written out."""
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }

    def directives(node: Any) -> int:
        return len(node.directives or ())

    def walk(found: SelectionSetNode, kind: str, seen: list[str]) -> tuple[int, int, int, int]:
        """The same of a set of selections; `seen` are the fields that stand beside it."""
        depths, aliases, count, values = [0], 0, 0, 0
        for node in found.selections:
            count += directives(node)
            inside, beside, of, times = None, seen, kind, 1
            if isinstance(node, FragmentSpreadNode):
                count += directives(fragments[node.name.value])
                inside = fragments[node.name.value].selection_set
            elif isinstance(node, InlineFragmentNode):
                inside = node.selection_set
            elif isinstance(node, FieldNode):
                key = (node.alias or node.name).value
                aliases += (node.alias is not None) + (key in seen)
                seen.append(key)
                values += 1
                inside, beside = node.selection_set, []
                of, times = FIELDS[kind][node.name.value] or ("", 0)
            if inside is not None:
                part = walk(inside, of, beside)
                depths.append(part[0])
                aliases, count, values = aliases + part[1], count + part[2], values + times * part[3]
        return 1 + max(depths), aliases, count, values

    each = []
    for node in document.definitions:
        if isinstance(node, FragmentDefinitionNode):
            part = walk(node.selection_set, node.type_condition.name.value, [])
            each.append((part[0], part[1], part[2] + directives(node), part[3]))
        elif isinstance(node, OperationDefinitionNode):
            each.append(walk(node.selection_set, "Query", []))
    return tuple(map(max, zip(*each, strict=True)))


def queries() -> Iterator[Any]:
    """Those that people are told of, and those that our own client sends."""
    readme = (ROOT / "README.md").read_text()
    number = count(1)
    for block in re.findall(r"```graphql\n(.*?)```", readme, re.DOTALL):
        yield pytest.param(block, {}, id=f"README {next(number)}")
    yield pytest.param(client._CREATE, {"input": {"files": [{}] * 100}}, id="create")  # noqa: SLF001
    yield pytest.param(client._UPDATES, {"ids": ["a"] * 200}, id="updates")  # noqa: SLF001
    yield pytest.param(client._COMPLETE, {}, id="complete")  # noqa: SLF001
    whole = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    yield pytest.param(whole, {}, id="introspection")


@pytest.mark.parametrize(("query", "variables"), list(queries()))
def test_what_is_asked_in_earnest_has_room(query: str, variables: dict[str, Any]) -> None:
    """A quarter more of anything would be taken."""
    found = measure(parse(query), CORE, dict(sizes_of(variables)), limits())
    allowed = limits()
    for name in ("depth", "aliases", "directives", "cost"):
        assert getattr(found, name) * 1.25 <= getattr(allowed, name)


def test_as_many_files_as_may_be_asked_for_whole_have_room() -> None:
    """Whatever a client wants to know of each upload target."""
    query = """
    mutation ($input: CreateUploadsInput!) {
      createUploads(input: $input) {
        __typename
        results {
          ... on UploadTarget {
            image { WHOLE } method url headers { name value } fields { name value } expiresAt curl
          }
          ... on InvalidFile { code message filename retryAfter }
        }
      }
    }
    """.replace("WHOLE", hostile.WHOLE)
    assert cost(query, input={"files": [{}] * 100}).cost <= 100 * COST_OF_A_FILE


@pytest.mark.parametrize("name", hostile.ANSWERED)
def test_what_is_just_about_answered_is_allowed(name: str) -> None:
    """So that what it costs is measured with reason."""
    request = json.loads(hostile.ANSWERED[name])
    measure(parse(request["query"]), CORE, dict(sizes_of(request.get("variables") or {})), limits())
