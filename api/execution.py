"""How operations are executed: graphql-core's way, with less work for what is plain, and keeping less."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Self, cast

from graphql import GraphQLError, GraphQLField, get_nullable_type, is_leaf_type
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from api.shared import SharedResults

_HELPERS = GraphQLResolveInfoHelpers(gather=lambda values: asyncio.gather(*values), track=lambda _: None)
PLAIN_FUNCTION = "darkroom-plain-function"
"""A field's metadata: what its resolver does without arguments, of the object and the context; never None."""

_PLAIN = "darkroom-plain"
_NOTHING = object()
_SHARED = SharedResults()


class Execution(StrawberryGraphQLCoreExecutionContext):
    """One operation.

    Most fields are attributes with scalars in them. For these, graphql-core and Strawberry make ten calls
    and an `info` that nobody asks for: 12 µs, of which 2 are left here.

    graphql-core 3.3 remembers which fields an operation selects, by the identity of lists that it makes anew
    for each event of a subscription: 3 kB a message, for as long as somebody subscribes. And an execution
    holds itself by the helpers that it has for resolvers, which none of ours uses: of each request, 70
    objects were left to the garbage collector.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.async_helpers = _HELPERS
        self._is_plain = self.middleware_manager is None or not self.middleware_manager.middlewares

    def execute_fields(
        self, parent_type: Any, source_value: Any, path: Any, grouped_field_set: Any, position_context: Any
    ) -> Any:
        """Read attributes where that is all there is to do, and leave the rest to graphql-core."""
        if not self._is_plain:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        read, left = {}, {}
        for name, details in grouped_field_set.items():
            field = parent_type.fields.get(details[0].node.name.value)
            plain = None if field is None or details[0].node.arguments else _plain(field)
            value = _NOTHING if plain is None else plain.read(source_value, self.context_value)
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

    def collect_and_execute_subfields(
        self, return_type: Any, field_details_list: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """Take the selection of a record that many are told of from whoever was told first."""
        execute = super().collect_and_execute_subfields
        record = getattr(result, "shared", None)
        if record is None or any(details.fragment_variable_values for details in field_details_list):
            return execute(return_type, field_details_list, path, result, position_context)
        nodes = [details.node for details in field_details_list]
        key = _SHARED.key(
            record,
            self.context_value.owner,
            nodes,
            self.fragment_definitions,
            self.variable_values.coerced,
        )
        known = _SHARED.get(key)
        if known is None:
            known = execute(return_type, field_details_list, path, result, position_context)
            if not self.is_awaitable(known) and not self.collected_errors.errors:
                _SHARED.put(key, (record, nodes), known)
        return known

    def build_per_event_executor(self, payload: Any) -> Self:
        """One event of a subscription, with a memory of its own."""
        executor = cast("Self", super().build_per_event_executor(payload))  # a copy of this
        executor.forget()
        return executor

    def forget(self) -> None:
        """Begin without what was remembered."""
        self._relevant_sub_fields = {}


class _Plain(NamedTuple):
    """A field that is an attribute with a scalar or an enum's value in it, or is made by a plain function."""

    attribute: str
    function: Callable[[Any, Any], Any] | None
    coerce: Callable[[Any], Any]
    is_nullable: bool

    def read(self, source: Any, context: Any) -> Any:
        """What it says of `source`; `_NOTHING` if it cannot be said so simply."""
        if self.function is None:
            value = getattr(source, self.attribute, None)
        else:
            value = self.function(source, context)
        if value is None:
            return None if self.is_nullable else _NOTHING
        try:
            return self.coerce(value)
        except (GraphQLError, TypeError, ValueError):
            return _NOTHING


def _plain(field: GraphQLField) -> _Plain | None:
    """What is known of `field`, found out when it is first asked for."""
    try:
        known: _Plain | None = field.extensions[_PLAIN]
    except KeyError:
        known = field.extensions[_PLAIN] = _found(field)
    return known


def _found(field: GraphQLField) -> _Plain | None:
    definition = field.extensions.get("strawberry-definition")
    nullable = get_nullable_type(field.type)
    if not isinstance(definition, StrawberryField) or not is_leaf_type(nullable):
        return None
    function = definition.metadata.get(PLAIN_FUNCTION)
    if function is None and not definition.is_basic_field:
        return None
    return _Plain(definition.python_name, function, nullable.coerce_output_value, nullable is field.type)


def _joined(names: Iterable[str], read: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """All of them in the order in which they were asked for."""
    both = read | others
    return {name: both[name] for name in names if name in both}


async def _joined_later(
    names: Iterable[str], read: dict[str, Any], others: Awaitable[dict[str, Any]]
) -> dict[str, Any]:
    return _joined(names, read, await others)
