"""The schema is the one that is written down, and says of everything what it is."""

import re
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType

from api import enums
from api.schema import schema
from jobs import errors, images, ports

SDL = Path(__file__).parent.parent / "schema.graphql"

# What clients rely on, without descriptions; more may be there.
CONTRACT = """
type Query
  node(id: ID!): Node
  image(id: ID!): Image
  images(first: Int = 20, after: String, filter: ImageFilter, orderBy: ImageOrder): ImageConnection!
  presets: [Preset!]!
type Mutation
  createUploads(input: CreateUploadsInput!): CreateUploadsPayload!
  completeUpload(id: ID!): ImageResult!
  reprocessImage(id: ID!): ImageResult!
  deleteImages(ids: [ID!]!): DeleteImagesPayload!
type Subscription
  imageUpdates(ids: [ID!]!): Image!
  feed(after: String): FeedEvent!
input CreateUploadsInput
  files: [FileInput!]!
  preset: String
  idempotencyKey: String
input FileInput
  filename: String!
  contentType: String!
  byteSize: Int!
  sha256: String
  metadata: JSON
type CreateUploadsPayload
  results: [CreateUploadResult!]!
type UploadTarget
  image: Image!
  method: String!
  url: URL!
  headers: [Header!]!
  fields: [Header!]!
  expiresAt: DateTime!
  curl: String!
type Header
  name: String!
  value: String!
interface Problem
  code: ProblemCode!
  message: String!
type Image
  id: ID!
  status: ImageStatus!
  version: Int!
  preset: String!
  filename: String!
  contentType: String!
  byteSize: Int!
  sha256: String
  metadata: JSON
  format: String
  width: Int
  height: Int
  frameCount: Int
  placeholder: Placeholder
  variants: [Variant!]!
  original: Source
  problem: ImageProblem
  attempts: Int!
  timeline: [StatusChange!]!
  createdAt: DateTime!
  uploadedAt: DateTime
  finishedAt: DateTime
type Placeholder
  thumbhash: String!
  dominantColor: String!
type Variant
  name: String!
  format: String!
  width: Int!
  height: Int!
  byteSize: Int!
  url(expiresIn: Int): URL!
type StatusChange
  status: ImageStatus!
  at: DateTime!
type ImageProblem
  code: ProblemCode!
  message: String!
  retryable: Boolean!
type FeedEvent
  cursor: String!
  image: Image!
"""


def fields() -> list[tuple[str, str]]:
    """Each type of the contract with each of its fields."""
    found, owner = [], ""
    for line in CONTRACT.strip().splitlines():
        if line.startswith("  "):
            found.append((owner, line.strip()))
        else:
            owner = line.split()[1]
    return found


def printed() -> str:
    """The schema without descriptions, a field a line."""
    bare = re.sub(r'""".*?"""', "", schema.as_str(), flags=re.DOTALL)

    def joined(arguments: re.Match[str]) -> str:
        return f"({', '.join(line.strip() for line in arguments[1].splitlines() if line.strip())})"

    return re.sub(r"\(([^()]*)\)", joined, bare)


@pytest.mark.parametrize(("owner", "field"), fields())
def test_what_clients_rely_on_is_there(owner: str, field: str) -> None:
    """Every field of the contract, with its arguments and its type."""
    body = re.search(rf"(?:type|input|interface) {owner}\b[^{{]*{{(.*?)}}", printed(), re.DOTALL)
    assert body is not None
    assert field in [line.strip() for line in body[1].splitlines()]


@pytest.mark.parametrize(
    "union",
    [
        "union CreateUploadResult = UploadTarget | InvalidFile",
        "union ImageResult = Image | ImageNotFound | ImageConflict",
        "type Image implements Node",
        "type ImageProblem implements Problem",
    ],
)
def test_types_are_related_as_clients_rely_on(union: str) -> None:
    """The unions and interfaces of the contract."""
    assert union in printed()


def test_the_written_schema_is_the_one_that_is_served() -> None:
    """`darkroom schema` prints what is in the repository."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "schema"], capture_output=True, text=True, check=True
    )
    assert done.stdout == SDL.read_text()


def test_everything_has_a_description() -> None:
    """Types, fields, arguments and values: whoever opens the playground can read what they are."""
    silent = []
    for name, kind in schema._schema.type_map.items():  # noqa: SLF001 - Strawberry has no public way
        if name.startswith("__") or name in {"String", "Int", "Float", "Boolean", "ID"}:
            continue
        parts = {name: kind.description}
        if isinstance(kind, GraphQLEnumType):
            parts |= {f"{name}.{value}": item.description for value, item in kind.values.items()}
        if isinstance(kind, GraphQLInputObjectType):
            parts |= {f"{name}.{field}": item.description for field, item in kind.fields.items()}
        if isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)):
            for field, item in kind.fields.items():
                parts[f"{name}.{field}"] = item.description
                parts |= {f"{name}.{field}({arg})": a.description for arg, a in item.args.items()}
        silent += [part for part, description in parts.items() if not description]
    assert silent == []


@pytest.mark.parametrize(
    ("seen", "domain"),
    [
        (enums.ImageStatus, images.Status),
        (enums.ProblemCode, errors.ProblemCode),
        (enums.ImageOrder, ports.ImageOrder),
    ],
)
def test_enums_have_the_names_of_the_domain(seen: type[Enum], domain: type[Enum]) -> None:
    """No state or code exists on one side only."""
    assert {member.name for member in seen} == {member.name for member in domain}
