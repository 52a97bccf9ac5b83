"""How operations are executed: graphql-core's way, with less work for what is plain, and keeping less."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Self, cast

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
)
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from api.shared import SharedResults

PLAIN_FUNCTION = "darkroom-plain-function"
"""A field's metadata: what its resolver does without arguments, of the object and the context; never None."""

_HELPERS = GraphQLResolveInfoHelpers(gather=lambda values: asyncio.gather(*values), track=lambda _: None)
_PLAIN = "darkroom-plain"
_NOTHING = object()
_SHARED = SharedResults()


class Execution(StrawberryGraphQLCoreExecutionContext):
    """One operation.

    Most objects have nothing in them but attributes, down to scalars. Of each of these, graphql-core and
    Strawberry make ten calls and an `info` that nobody asks for: 12 µs, of which 2 are left here. Whatever is
    not plain, or goes wrong, goes their way: reading has no effects, so it can be left off at any point.

    graphql-core 3.3 remembers which fields an operation selects, by the identity of lists that it makes anew
    for each event of a subscription: 3 kB a message, for as long as somebody subscribes. And an execution
    holds itself by the helpers that it has for resolvers, which none of ours uses: of each request, 70
    objects were left to the garbage collector.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.async_helpers = _HELPERS
        self._is_plain = self.middleware_manager is None or not self.middleware_manager.middlewares

    def collect_and_execute_subfields(
        self, return_type: Any, field_details_list: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """An object: shared with all who are told of the same record, or read, or executed."""
        key = None
        record = getattr(result, "shared", None)
        if record is not None and not any(each.fragment_variable_values for each in field_details_list):
            nodes = [details.node for details in field_details_list]
            variables = self.variable_values.coerced
            key = _SHARED.key(record, self.context_value.owner, nodes, self.fragment_definitions, variables)
            if (known := _SHARED.get(key)) is not None:
                return known
        data = self._read_object(return_type, field_details_list, result) if self._is_plain else _NOTHING
        if data is _NOTHING:
            data = super().collect_and_execute_subfields(
                return_type, field_details_list, path, result, position_context
            )
        if key is not None and not self.is_awaitable(data) and not self.collected_errors.errors:
            _SHARED.put(key, (record, nodes), data)
        return data

    def execute_fields(
        self, parent_type: Any, source_value: Any, path: Any, grouped_field_set: Any, position_context: Any
    ) -> Any:
        """The fields of an object that is not plain as a whole: those that are, and the others."""
        if not self._is_plain:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        read, left = {}, {}
        for name, details in grouped_field_set.items():
            value = self._read_field(parent_type, details, source_value, leaves_only=True)
            if value is _NOTHING:
                left[name] = details
            else:
                read[name] = value
        if not left:
            return read
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

    def _read_object(self, object_type: GraphQLObjectType, details: Any, source: Any) -> Any:
        """All that is selected of `source`; `_NOTHING` if it cannot be had so simply."""
        fields, deferred, _ = self.collect_subfields(object_type, details)
        return _NOTHING if deferred else self._read_fields(object_type, fields, source)

    def _read_fields(self, object_type: GraphQLObjectType, fields: Any, source: Any) -> Any:
        data = {}
        for name, inner in fields.items():
            value = self._read_field(object_type, inner, source)
            if value is _NOTHING:
                return _NOTHING
            data[name] = value
        return data

    def _read_field(
        self, parent_type: GraphQLObjectType, details: Any, source: Any, *, leaves_only: bool = False
    ) -> Any:
        node = details[0].node
        name = node.name.value
        field = parent_type.fields.get(name)
        if field is None:
            return parent_type.name if name == "__typename" else _NOTHING
        plain = None if node.arguments else _plain(field)
        if plain is None or (leaves_only and plain.object_type is not None):
            return _NOTHING
        value = plain.function(source, self.context_value)
        if value is None:
            return None if plain.is_nullable else _NOTHING
        if plain.object_type is not None:
            if not plain.is_list:
                return self._read_item(plain.object_type, details, value)
            if not isinstance(value, list):
                return _NOTHING
            return self._read_items(plain.object_type, details, value)
        try:
            return [plain.coerce(item) for item in value] if plain.is_list else plain.coerce(value)
        except (GraphQLError, TypeError, ValueError):
            return _NOTHING

    def _read_item(self, object_type: GraphQLObjectType, details: Any, item: Any) -> Any:
        items = self._read_items(object_type, details, [item])
        return _NOTHING if items is _NOTHING else items[0]

    def _read_items(self, object_type: GraphQLObjectType, details: Any, items: list[Any]) -> Any:
        fields, deferred, _ = self.collect_subfields(object_type, details)
        if deferred:
            return _NOTHING
        read = []
        for item in items:
            if item is None or getattr(item, "shared", None) is not None:  # which is not for here to say
                return _NOTHING
            data = self._read_fields(object_type, fields, item)
            if data is _NOTHING:
                return _NOTHING
            read.append(data)
        return read


class _Plain(NamedTuple):
    """A field that is an attribute, or what a plain function makes: a leaf, an object, or a list of these."""

    function: Callable[[Any, Any], Any]
    coerce: Callable[[Any], Any]
    object_type: GraphQLObjectType | None
    is_list: bool
    is_nullable: bool


def _plain(field: GraphQLField) -> _Plain | None:
    """What is known of `field`, found out when it is first asked for."""
    try:
        known: _Plain | None = field.extensions[_PLAIN]
    except KeyError:
        known = field.extensions[_PLAIN] = _found(field)
    return known


def _found(field: GraphQLField) -> _Plain | None:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        return None
    function = definition.metadata.get(PLAIN_FUNCTION)
    if function is None:
        if not definition.is_basic_field:
            return None
        attribute = definition.python_name

        def function(source: Any, _: Any) -> Any:
            return getattr(source, attribute, None)

    whole = item = get_nullable_type(field.type)
    if is_list := is_list_type(whole):
        item = get_nullable_type(whole.of_type)
    if not is_leaf_type(item) and not is_object_type(item):
        return None
    return _Plain(
        function,
        item.coerce_output_value if is_leaf_type(item) else _itself,
        item if is_object_type(item) else None,
        is_list,
        whole is field.type,
    )


def _itself(value: Any) -> Any:
    return value


def _joined(names: Iterable[str], read: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """All of them in the order in which they were asked for."""
    both = read | others
    return {name: both[name] for name in names if name in both}


async def _joined_later(
    names: Iterable[str], read: dict[str, Any], others: Awaitable[dict[str, Any]]
) -> dict[str, Any]:
    return _joined(names, read, await others)
