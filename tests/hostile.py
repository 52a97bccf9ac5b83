"""Requests made to cost a server more than they cost who sends them; for tests and for `make bench`."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any


def body(query: str, **more: Any) -> bytes:
    """A request as it is sent."""
    return json.dumps({"query": query, **more}).encode()


def of_images(selections: str, fragments: str = "") -> str:
    """A query for these of every image."""
    return f"{{ images {{ nodes {{ {selections} }} }} }} {fragments}"


def fragments_twice(count: int) -> str:
    """Each spreads the next one twice: as many fields as two to the power of `count`."""
    spreading = (f"fragment f{n} on Image {{ ...f{n + 1} ...f{n + 1} }}" for n in range(count))
    return of_images("...f0", " ".join([*spreading, f"fragment f{count} on Image {{ id }}"]))


def chained(names: Iterable[str]) -> str:
    """Fragments of which each spreads the next; in a circle, if the last name is the first."""
    return " ".join(f"fragment {one} on Image {{ ...{two} }}" for one, two in pairwise(names))


def nested(levels: int) -> str:
    """Types of types."""
    return f'{{ __type(name: "Image") {{ {"ofType { " * levels} name {"} " * levels} }} }}'


def renamed(field: str, count: int) -> str:
    """The same field under as many names."""
    return " ".join(f"a{n}: {field}" for n in range(count))


def branching(levels: int) -> str:
    """Inline fragments, two inside each."""
    return f"... {{ {branching(levels - 1)} }} " * 2 if levels else "id"


def introspections(count: int) -> str:
    """The schema, again and again."""
    return f"{{ {renamed('__schema { ...S }', count)} }} fragment S on __Schema {{ {_SCHEMA} }}"


_WIDE = "id status version preset filename contentType byteSize attempts"
_SCHEMA = (
    "types { name fields { name args { name type { kind name ofType { kind name ofType { name } } } } } }"
)
_DELETE = "mutation ($ids: [ID!]!) { deleteImages(ids: $ids) { results { __typename } } }"
_CREATE = "mutation ($input: CreateUploadsInput!) { createUploads(input: $input) { results { __typename } } }"
_LIST = (
    "query ($filter: ImageFilter, $first: Int) { images(filter: $filter, first: $first) { nodes { id } } }"
)

# Each is refused with `QUERY_TOO_COSTLY`.
TOO_COSTLY = {
    "22 fragments, each spread twice": body(fragments_twice(22)),
    "90 fragments, each spread twice": body(fragments_twice(90)),
    "a chain of 100 fragments": body(
        of_images("...f0", chained(f"f{n}" for n in range(100)) + " fragment f99 on Image { id }")
    ),
    "a circle of 20 fragments": body(of_images("...f0", chained([*(f"f{n}" for n in range(20)), "f0"]))),
    "a fragment of itself": body(of_images("...f", "fragment f on Image { id ...f }")),
    "a circle that nothing spreads": body(of_images("id", chained(["f", "g", "f"]))),
    "a name of two fragments": body(of_images("...f", "fragment f on Image { id } " * 2)),
    "40 levels of fields": body(nested(40)),
    "400 levels of fields": body(nested(400)),
    "60 inline fragments inside each other": body(of_images("... { " * 60 + "id" + " }" * 60)),
    "256 inline fragments in a tree": body(of_images(branching(7))),
    "5,000 aliases": body(of_images(renamed("id", 5_000))),
    "300 aliases": body(of_images(renamed("id", 300))),
    "900 times the same field": body(of_images("id " * 900)),
    "160 times the same fields": body("{ " + "images { nodes { id } } " * 160 + "}"),
    "70 fragments of the same fields": body(
        of_images(
            " ".join(f"...f{n}" for n in range(70)),
            " ".join(f"fragment f{n} on Image {{ id status }}" for n in range(70)),
        )
    ),
    "90 KB of the same field": body(of_images("id " * 30_000)),
    "90 KB of a name": body(f"{{ {'a' * 90_000} }}"),
    "90 KB of comments": body("#\n" * 45_000 + "{ __typename }"),
    "15 KB of comments": body("#\n" * 7_500 + "{ __typename }"),
    "90 KB of a text": body('{ image(id: "' + "\\u0041" * 15_000 + '") { id } }'),
    "200 directives": body(of_images("id " + "@include(if: true) " * 150)),
    "30 pages": body("{ " + renamed(f"images(first: 100) {{ nodes {{ {_WIDE} }} }}", 30) + " }"),
    "a page of a billion": body("{ images(first: 1000000000) { nodes { id } } }"),
    "a page of a billion, by a variable": body(_LIST, variables={"first": 10**9}),
    "30 introspections": body(introspections(30)),
    "40,000 ids": body(_DELETE, variables={"ids": ["a"] * 40_000}),
    "40,000 files": body(_CREATE, variables={"input": {"files": [1] * 40_000}}),
    "250,000 numbers": body(_CREATE, variables={"input": {"files": [[1] * 1_000] * 250}}),
    "20,000 fields of an input": body(_CREATE, variables={"input": {f"k{n}": 1 for n in range(20_000)}}),
    "20,000 states": body(_LIST, variables={"filter": {"status": ["READY"] * 20_000}}),
}

# Each is refused for what it is, by its status.
REFUSED = {
    "1 MB of the same field": (413, body(of_images("id " * 350_000))),
    "10 MB of nothing": (413, b" " * 10_000_000),
    "a batch of 100": (400, json.dumps([{"query": "{ __typename }"}] * 100).encode()),
    "100,000 brackets": (400, b"[" * 100_000),
    "a number of 100,000 digits": (400, b'{"query": ' + b"9" * 100_000 + b"}"),
}

# Each is no more than is allowed, and wrong: the errors must not cost more than the query.
WRONG = {
    "450 unknown fields": body("{ " + " ".join(f"imagez{n}" for n in range(450)) + " }"),
    "300 unknown arguments": body(
        "{ images(" + " ".join(f"firsz{n}: 1" for n in range(300)) + ") { nodes { id } } }"
    ),
    "300 unknown fields of an input": body(
        "{ images(filter: {" + " ".join(f"statuz{n}: 1" for n in range(300)) + "}) { nodes { id } } }"
    ),
    "900 unknown states": body("{ images(filter: {status: [" + "READZ " * 900 + "]}) { nodes { id } } }"),
    "240 unused variables": body("query (" + " ".join(f"$v{n}: ID" for n in range(240)) + ") { __typename }"),
    "100 files of 1,000 numbers": body(_CREATE, variables={"input": {"files": [[1] * 1_000] * 100}}),
    "lists 900 deep": body(_DELETE, variables={"ids": json.loads("[" * 900 + "]" * 900)}),
}

# Each is answered, and comes to about as much as is allowed; a page has 100 images.
WHOLE = """
id status version preset filename contentType byteSize sha256 metadata format width height frameCount
perceptualHash attempts notes { code message } camera { make model lens takenAt }
placeholder { thumbhash dominantColor } variants { name format width height byteSize url }
original { byteSize url } problem { code message retryable } timeline { status at }
createdAt uploadedAt finishedAt
"""


def page_of(selections: str) -> bytes:
    """A request for these of a hundred images."""
    return body(f"{{ images(first: 100) {{ nodes {{ {selections} }} }} }}")


def signed(count: int) -> str:
    """A URL, signed for as many lifetimes."""
    return " ".join(f"u{n}: url(expiresIn: {n + 60})" for n in range(count))


ANSWERED = {
    "100 whole images": page_of(WHOLE),
    "2 timelines of 100 images": page_of(renamed("timeline { status at }", 2)),
    "11 times the metadata of 100 images": page_of(renamed("metadata", 11)),
    "2 more URLs of each variant of 100 images": page_of(f"variants {{ url {signed(2)} }}"),
    "10 URLs of the sources of 100 images": page_of(f"original {{ {signed(11)} }}"),
    "7 sets of URLs of 100 images": page_of(renamed("variants { name url }", 7)),
    "30 whole images by their aliases": body(
        f"{{ {renamed('images(first: 1) { nodes { ...i } }', 30)} }} fragment i on Image {{ {WHOLE} }}"
    ),
    "30 URLs of one image": body(f"{{ images(first: 1) {{ nodes {{ variants {{ {signed(30)} }} }} }} }}"),
    "100 new files": body(
        _CREATE.replace("__typename", f"... on UploadTarget {{ image {{ {WHOLE} }} url curl }}"),
        variables={
            "input": {"files": [{"filename": "a.jpg", "contentType": "image/jpeg", "byteSize": 3}] * 100}
        },
    ),
    "4 introspections": body(introspections(4)),
}
