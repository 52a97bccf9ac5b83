"""Parts of libraries that we only assign, read or take away are still there under their names.

If one had another name, nothing would fail: it would cost memory or time, or let something pass.
"""

from dataclasses import fields
from inspect import isfunction

from graphql import parse
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.graphql import OperationType
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.schema import schema


def test_what_we_reach_into_is_still_there() -> None:
    """Each as the library itself uses it."""
    core = schema._schema  # noqa: SLF001 - what is executed
    execution = StrawberryGraphQLCoreExecutionContext.build(core, parse("{ __schema { __typename } }"))
    assert isinstance(execution, StrawberryGraphQLCoreExecutionContext)
    assert isinstance(execution.async_helpers, GraphQLResolveInfoHelpers)
    execution.execute_operation()
    assert execution._relevant_sub_fields  # noqa: SLF001 - `api.execution` forgets it

    assert "from_input" in {field.name for field in fields(StrawberryObjectDefinition)}
    context = ExecutionContext("{ a }", schema, [OperationType.QUERY], provided_operation_name="a")
    assert context._provided_operation_name == "a"  # noqa: SLF001 - `api.request_errors` asks for it

    methods = [method for method in vars(WebSocketsSansIOProtocol).values() if isfunction(method)]
    used = {name for method in methods for name in method.__code__.co_names}
    assert {"queue", "request", "response"} <= used  # which `api.bounded_socket` replaces or drops
