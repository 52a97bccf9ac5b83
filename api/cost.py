"""What a query may cost, measured before anything else walks it.

A fragment that is spread twice by a fragment that is spread twice doubles what a query asks for with every
line. So each definition is measured once, from its leaves upwards, and what it comes to is remembered: the
time taken follows from the length of the text, whatever the text asks for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SchemaMetaFieldDef,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

SATURATED = 2**31 - 1  # what doubles a thousand times is a number that takes time to add
# Elements of a list whose length no argument says: of variants, say, or of what an introspection finds.
LIST, LISTS_OF = 4, {"__Schema": 15, "__Field": 1}
WEIGHT = "darkroom-weight"
"""A field's metadata: its `Weight`, if that is another than of most."""
# Types whose lists are as long as an argument of the field that gives them says: `first`, `ids`, `files`.
_SIZED = ("Connection", "Payload")
_DIGITS = 10  # of a number that is surely more than is ever given

_REFUSALS = {
    "depth": "is nested too deeply: at most {} levels are taken, fragments included.",
    "aliases": "renames or repeats too many fields: at most {} are taken.",
    "directives": "has too many directives: at most {} are taken.",
    "cost": "asks for too much: at most {} values are given at once.",
}


class Weight(NamedTuple):
    """What a field comes to, in plain values: each takes 2 µs, or 200 bytes of the answer at most."""

    value: int = 1
    told_more: int = 1  # if it has arguments
    items: int = LIST  # of its list


_ORDINARY = Weight()
_INTROSPECTION = Weight(5_000)  # there are more types than any list of them counts for


class QueryTooCostly(GraphQLError):
    """The query asks for more than is given; the client is told of what."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "QUERY_TOO_COSTLY"})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most of each part of a `Cost` that is taken."""

    depth: int
    aliases: int
    directives: int
    cost: int
    page: int  # elements of a page whose `first` cannot be told


class Size(NamedTuple):
    """What the cost of a document depends on of a variable."""

    number: int | None
    length: int  # of a list, or of the longest in an object; of anything else 1


_NO_SIZE = Size(None, 1)


def sizes_of(variables: Mapping[str, Any]) -> tuple[tuple[str, Size], ...]:
    """The sizes of variables as a client sent them, by name."""
    return tuple(
        (name, Size(value if isinstance(value, int) else None, _length(value)))
        for name, value in variables.items()
    )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the costliest definition of a document comes to, with all fragments that it spreads.

    Counts stop at `SATURATED`.
    """

    depth: int  # sets of selections inside each other, those of fragments included
    aliases: int  # fields that are renamed, or asked for once more in the same place
    directives: int
    cost: int  # values that the answer may have
    visits: int  # nodes of the document that were looked at, none twice


@dataclass
class _Part:
    """What a selection, or a set of them, comes to."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    keys: frozenset[str] = frozenset()  # of its fields, in the answer

    def add(self, other: "_Part") -> None:
        """Take what stands beside, or inside, as well."""
        self.depth = max(self.depth, other.depth)
        self.aliases = min(self.aliases + other.aliases, SATURATED)
        self.directives = min(self.directives + other.directives, SATURATED)
        self.cost = min(self.cost + other.cost, SATURATED)


def measure(
    document: DocumentNode, schema: GraphQLSchema, variables: Mapping[str, Size], limits: Limits
) -> Cost:
    """What `document` comes to; it need not be valid.

    Args:
        variables: the sizes of those that the client sent. Where one of them is to say how long a page is
            and is no number, the page counts as whole.

    Raises:
        QueryTooCostly: it is more than `limits`, or fragments spread each other in a circle.
    """
    walk = _Walk(document, schema, variables, limits)
    # Fragments that nothing spreads count as well: validation looks into them all the same.
    parts = [*walk.operations(), *walk.fragments()]
    most = {
        name: min(max((getattr(part, name) for part in parts), default=0), SATURATED) for name in _REFUSALS
    }
    for name, value in most.items():
        if value > getattr(limits, name):
            raise _refusal(name, limits)
    return Cost(**most, visits=walk.visits)


def _refusal(name: str, limits: Limits) -> QueryTooCostly:
    return QueryTooCostly(f"The query {_REFUSALS[name].format(getattr(limits, name))}")


class _Walk:
    """One measurement."""

    def __init__(
        self, document: DocumentNode, schema: GraphQLSchema, variables: Mapping[str, Size], limits: Limits
    ) -> None:
        self.visits = 0
        self._schema = schema
        self._variables = variables
        self._limits = limits
        nodes = document.definitions
        self._operations = [node for node in nodes if isinstance(node, OperationDefinitionNode)]
        self._fragments = {
            node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)
        }
        if len(nodes) > len(self._operations) + len(self._fragments):
            raise QueryTooCostly("The query has fragments of the same name, or what is neither of both.")
        self._known: dict[str, _Part | None] = {}  # by fragment; nothing while it is being measured

    def operations(self) -> Iterator[_Part]:
        """What each operation comes to."""
        for node in self._operations:
            self.visits += 1
            part = self._selections(node.selection_set, self._schema.get_root_type(node.operation), 0)
            part.directives += _directives(node)
            part.directives += sum(_directives(variable) for variable in node.variable_definitions or ())
            yield part

    def fragments(self) -> Iterator[_Part]:
        """What each fragment comes to."""
        return (self._fragment(name, 0) for name in self._fragments)

    def _fragment(self, name: str, level: int) -> _Part:
        if name in self._known:
            if (known := self._known[name]) is None:
                raise QueryTooCostly("The query has fragments that spread each other in a circle.")
            return known
        if (node := self._fragments.get(name)) is None:
            return _Part()  # validation will say so
        self._known[name] = None
        self.visits += 1
        part = self._selections(
            node.selection_set, self._schema.get_type(node.type_condition.name.value), level
        )
        part.directives += _directives(node)
        self._known[name] = part
        return part

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType | None, level: int) -> _Part:
        if level == self._limits.depth:  # which is also what bounds how deep this recurses
            raise _refusal("depth", self._limits)
        whole, keys = _Part(), set[str]()
        for selection in node.selections:
            self.visits += 1
            part = self._selection(selection, parent, level)
            whole.add(part)
            whole.directives += _directives(selection)
            whole.aliases += len(keys & part.keys)
            keys |= part.keys
        whole.depth += 1
        whole.keys = frozenset(keys)
        return whole

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None, level: int) -> _Part:
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value, level + 1)
        if isinstance(node, FieldNode):
            return self._field(node, parent, level)
        inline = cast("InlineFragmentNode", node)
        if inline.type_condition is not None:
            parent = self._schema.get_type(inline.type_condition.name.value)
        return self._selections(inline.selection_set, parent, level + 1)

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, level: int) -> _Part:
        key = (node.alias or node.name).value
        field = self._schema.get_field(parent, node.name.value) if is_composite_type(parent) else None
        weight = _weight(field)
        own = weight.told_more if node.arguments else weight.value
        part = _Part(cost=own, aliases=int(node.alias is not None), keys=frozenset([key]))
        if node.selection_set is None:
            return part
        of = get_named_type(field.type) if field else None
        inner = self._selections(node.selection_set, of, level + 1)
        times = self._asked_for(node, field)
        if field and parent and is_list_type(get_nullable_type(field.type)):
            times *= 1 if parent.name.endswith(_SIZED) else LISTS_OF.get(parent.name, weight.items)
        inner.cost = min(times * inner.cost, SATURATED)
        part.add(inner)
        return part

    def _asked_for(self, node: FieldNode, field: GraphQLField | None) -> int:
        """How many things the arguments of a field ask for."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        self.visits += len(given)
        sizes = [1, *(_length(value, self._variables) for value in given.values())]
        if field and "first" in field.args:
            sizes.append(self._page(given.get("first"), field.args["first"].default_value))
        return min(max(sizes), SATURATED)

    def _page(self, value: ValueNode | None, default: object) -> int:
        number: object = default if value is None else None
        if isinstance(value, IntValueNode):
            number = int(value.value) if len(value.value) < _DIGITS else SATURATED
        elif isinstance(value, VariableNode):
            number = self._variables.get(value.name.value, _NO_SIZE).number
        return number if isinstance(number, int) else self._limits.page


def _directives(
    node: OperationDefinitionNode | FragmentDefinitionNode | VariableDefinitionNode | SelectionNode,
) -> int:
    return len(node.directives or ())


def _length(value: object, variables: Mapping[str, Size] = MappingProxyType({})) -> int:
    """Of a list, or of the longest in an object, as it was sent or written; of anything else 1."""
    match value:
        case list():
            return len(value)
        case ListValueNode():
            return len(value.values)
        case VariableNode():
            return variables.get(value.name.value, _NO_SIZE).length
        case ObjectValueNode():
            inside: list[object] = [field.value for field in value.fields]
        case dict():
            inside = [item for item in value.values() if isinstance(item, list)]
        case _:
            return 1
    return max((_length(item, variables) for item in inside), default=1)


def _weight(field: GraphQLField | None) -> Weight:
    if field is SchemaMetaFieldDef:
        return _INTROSPECTION
    definition = field.extensions.get("strawberry-definition") if field else None
    weight: Weight = _ORDINARY if definition is None else definition.metadata.get(WEIGHT, _ORDINARY)
    return weight
