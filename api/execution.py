"""How operations are executed: graphql-core's way, with less work for what is plain, and keeping less."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, cast

from graphql import (
    GraphQLID,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    Undefined,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
    is_union_type,
)
from graphql.pyutils import is_awaitable
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from api.shared import Kept

PLAIN_FUNCTION = "darkroom-plain-function"
"""A field's metadata: what its resolver does without arguments, of the object and the context."""

_HELPERS = GraphQLResolveInfoHelpers(gather=lambda values: asyncio.gather(*values), track=lambda _: None)
_PLAIN = "darkroom-plain"
_DEFINITION = "strawberry-definition"
_CERTAIN = frozenset({str, int, bool, float, dict})
_TAKES_TEXT = (str, GraphQLString.coerce_output_value, GraphQLID.coerce_output_value)
_PLANS = Kept(512)  # of operations; 12 kB at most
_SHARED = Kept(64)  # of records; 15 kB


class Execution(StrawberryGraphQLCoreExecutionContext):
    """One operation.

    Most objects have nothing in them but attributes, down to scalars. Of each of these, graphql-core and
    Strawberry make ten calls and an `info` that nobody asks for, most of which is spared here. Whatever is
    not plain goes their way, and so does a plain field with which anything goes wrong: reading has no
    effects, so it can be left off at any point.

    What is plain as a whole depends on nothing but its record and who asks, see `_read_object`: it is worked
    out once for all who are told of the same record.

    graphql-core 3.3 remembers which fields an operation selects, by the identity of lists that it makes anew
    for each event of a subscription: 3 kB a message, for as long as somebody subscribes. And an execution
    holds itself by the helpers that it has for resolvers, which none of ours uses: of each request, 70
    objects were left to the garbage collector. Those of one that fails still are: errors hold their frames.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.async_helpers = _HELPERS
        self._is_plain = self.middleware_manager is None or not self.middleware_manager.middlewares
        # Of variables, only these can say which fields are selected.
        self._conditions = tuple(
            [item for item in self.variable_values.coerced.items() if isinstance(item[1], bool)]
        )
        self._by_fields: dict[int, tuple[Any, _Plan]] = {}

    def collect_and_execute_subfields(
        self, return_type: Any, field_details_list: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """An object: read, if it is plain as a whole, or executed."""
        plan = self._whole(return_type, field_details_list)
        if plan is not None:
            try:
                return self._read_object(plan, result)
            except Exception:  # noqa: BLE001, S110 - it comes again, where it belongs
                pass
        return super().collect_and_execute_subfields(
            return_type, field_details_list, path, result, position_context
        )

    def execute_fields(
        self, parent_type: Any, source_value: Any, path: Any, grouped_field_set: Any, position_context: Any
    ) -> Any:
        """The fields of an object that is not plain as a whole: those that are, and the others."""
        read = {}
        for each in self._plan(parent_type, grouped_field_set):
            try:
                read[each.name] = self._read_field(each, source_value)
            except Exception:  # noqa: BLE001, S112 - likewise
                continue
        left = {name: details for name, details in grouped_field_set.items() if name not in read}
        others: Any = super().execute_fields(parent_type, source_value, path, left, position_context)
        if self.is_awaitable(others):
            return _joined_later(grouped_field_set, read, others)
        return _joined(grouped_field_set, read, others)

    def build_per_event_executor(self, payload: Any) -> Self:
        """One event of a subscription, with a memory of its own."""
        executor = cast("Self", super().build_per_event_executor(payload))  # a copy of this
        executor.forget()
        return executor

    def forget(self) -> None:
        """Begin without what was remembered."""
        self._relevant_sub_fields = {}
        self._by_fields = {}

    def _plan(self, object_type: GraphQLObjectType, fields: Any) -> "_Plan":
        """Those of the selected fields that are plain, down to their leaves."""
        known = self._by_fields.get(id(fields))
        if known is None:
            plain = [self._selected(object_type, *item) for item in fields.items()] if self._is_plain else ()
            known = self._by_fields[id(fields)] = fields, tuple([each for each in plain if each is not None])
        return known[1]

    def _selected(self, object_type: GraphQLObjectType, name: str, details: Any) -> "_Selected | None":
        node = details[0].node
        plain = None if node.arguments else _plain_field(object_type, node.name.value)
        if plain is None:
            return None
        plans = []
        for kind, possible in plain.possible.items():
            plan = self._whole(possible, details)
            if plan is None:
                return None
            plans.append((kind, plan))
        return _Selected(name, plain, tuple(plans))

    def _whole(self, object_type: GraphQLObjectType, details: Any) -> "_Plan | None":
        """All that is selected of an object; None if some of it is not plain."""
        key = (object_type, self._conditions, *[id(each.node) for each in details])
        known: tuple[_Plan | None] | None = _PLANS.get(self.operation, key)
        if known is None:
            try:
                fields = self.collect_subfields(object_type, details).grouped_field_set
            except Exception:  # noqa: BLE001 - a directive is at fault, which is said of objects that are there
                return None
            plan = self._plan(object_type, fields)
            known = (plan if len(plan) == len(fields) else None,)
            _PLANS.put(self.operation, key, known)
        return known[0]

    def _read_object(self, plan: "_Plan", source: Any) -> dict[str, Any]:
        """All of an object: shared with all who are told of the same record, or read."""
        record = getattr(source, "shared", None)
        if record is None:
            return {each.name: self._read_field(each, source) for each in plan}
        caller = self.context_value.caller
        key = (caller.owner, caller.roles, plan)
        data: dict[str, Any] | None = _SHARED.get(record, key)
        if data is None:
            data = {each.name: self._read_field(each, source) for each in plan}
            _SHARED.put(record, key, data)
        return data

    def _read_field(self, selected: "_Selected", source: Any) -> Any:
        """What an object has there; raises anything if it cannot be had so simply."""
        plain = selected.plain
        function = plain.function
        value = getattr(source, plain.attribute) if function is None else function(source, self.context_value)
        if value is None:
            if plain.is_nullable:
                return None
            raise _NotPlain
        if not plain.is_list:
            return self._read_item(selected, value)
        if not isinstance(value, (list, tuple)):
            raise _NotPlain
        return [self._read_item(selected, item) for item in value]

    def _read_item(self, selected: "_Selected", item: Any) -> Any:
        kind = type(item)
        for possible, plan in selected.plans:
            if kind is possible:
                return self._read_object(plan, item)
        plain = selected.plain
        return item if kind is plain.as_it_is else plain.coerce(item)


class _NotPlain(Exception):
    """A value is not what its field says, or is none yet."""


@dataclass(frozen=True, slots=True, eq=False)
class _Plain:
    """A field that is an attribute, or what a plain function makes: a leaf, an object, or a list of these."""

    attribute: str
    function: Callable[[Any, Any], Any] | None  # in its place
    is_list: bool
    is_nullable: bool
    coerce: Callable[[Any], Any]  # a leaf; raises anything for what is none
    as_it_is: type | None  # whose values `coerce` leaves as they are
    possible: Mapping[type, GraphQLObjectType]  # by the class of an object, which says what it is


class _Selected(NamedTuple):
    """A plain field as it is asked for. Equal ones of the same object are answered alike."""

    name: str
    plain: _Plain
    plans: "tuple[tuple[type, _Plan], ...]"  # of each object that there may be


_Plan = tuple[_Selected, ...]


def _plain_field(object_type: GraphQLObjectType, name: str) -> _Plain | None:
    """What is known of a field, found out when it is first asked for."""
    known: dict[str, _Plain | None] = object_type.extensions.setdefault(_PLAIN, {})
    if name not in known:
        known[name] = _found(object_type, name)
    return known[name]


def _found(object_type: GraphQLObjectType, name: str) -> _Plain | None:
    if name == "__typename":
        return _Plain(name, lambda *_: object_type.name, False, False, str, str, {})
    field = object_type.fields.get(name)
    definition = None if field is None else field.extensions.get(_DEFINITION)
    if field is None or not isinstance(definition, StrawberryField) or not _is_plain(definition):
        return None
    whole = item = get_nullable_type(field.type)
    if is_list_type(whole):
        item = get_nullable_type(whole.of_type)
    coerce = item.coerce_output_value if is_leaf_type(item) else _refuse
    possible = _possible(item)
    if coerce is _refuse and not possible:
        return None
    return _Plain(
        attribute=definition.python_name,
        function=definition.metadata.get(PLAIN_FUNCTION),
        is_list=item is not whole,
        is_nullable=whole is field.type,
        coerce=_guarded(coerce),
        as_it_is=str if coerce in _TAKES_TEXT else None,
        possible=possible,
    )


def _is_plain(field: StrawberryField) -> bool:
    """Whether nobody else has a say in the field's value."""
    if field.extensions:
        return False
    if field.base_resolver is None:
        return field.default_resolver is getattr
    return PLAIN_FUNCTION in field.metadata


def _possible(item: GraphQLOutputType) -> dict[type, GraphQLObjectType]:
    """The objects that there may be, by their classes; none if more than their class decides."""
    types = item.types if is_union_type(item) else (item,) if is_object_type(item) else ()
    found = {}
    for each in types:
        definition = each.extensions.get(_DEFINITION)
        if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
            return {}
        found[definition.origin] = each
    return found if len(found) == len(types) else {}


def _refuse(_: Any) -> Any:
    raise _NotPlain


def _guarded(coerce: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`coerce`, but nothing is taken that graphql-core would raise, await or refuse."""

    def guarded(value: Any) -> Any:
        if type(value) not in _CERTAIN and (
            value is None or value is Undefined or isinstance(value, Exception) or is_awaitable(value)
        ):
            raise _NotPlain
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise _NotPlain
        return coerced

    return guarded


def _joined(names: Iterable[str], read: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """All of them in the order in which they were asked for."""
    both = read | others
    return {name: both[name] for name in names if name in both}


async def _joined_later(
    names: Iterable[str], read: dict[str, Any], others: Awaitable[dict[str, Any]]
) -> dict[str, Any]:
    return _joined(names, read, await others)
