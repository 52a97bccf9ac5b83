"""Request errors: what is wrong with an operation before any of it is executed."""

from collections.abc import Iterator

from graphql import GraphQLError, OperationDefinitionNode
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

# What Strawberry raises for them; all else that is raised before the execution is a fault of ours.
REQUEST_ERRORS = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)


def request_error(error: Exception) -> GraphQLError:
    """One of `REQUEST_ERRORS` as the client is told of it."""
    match error:
        case CannotGetOperationTypeError(operation_name=str(name)):
            return GraphQLError(f"There is no operation “{name}”.")
        case CannotGetOperationTypeError():
            return GraphQLError("There is no operation.")
        case InvalidOperationTypeError(operation_type=OperationType.MUTATION):
            return GraphQLError("Mutations are sent by POST.")
        case InvalidOperationTypeError():
            return GraphQLError("Subscriptions are sent over a websocket.")
        case _:
            return GraphQLError("There is no query.")


def too_many_operations(of: str) -> GraphQLError:
    """Says that as many run at the same time as may.

    Args:
        of: who has them.
    """
    message = f"Too many operations of {of} run at the same time: end one of them."
    return GraphQLError(message, extensions={"code": "TOO_MANY_OPERATIONS"})


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing was executed, as for a syntax error or a variable of the wrong type.

    Only what the execution of a field raises has a path, see “Errors” in the GraphQL specification.
    """
    return result.data is None and all(error.path is None for error in result.errors or [])


class NamedOperation(SchemaExtension):
    """Refuses a document with several operations if none is named; Strawberry would take the first."""

    def on_validate(self) -> Iterator[None]:
        """Look when others have validated: what they remember of a document knows nothing of names."""
        context = self.execution_context
        operations = [
            node
            for node in (context.graphql_document.definitions if context.graphql_document else ())
            if isinstance(node, OperationDefinitionNode)
        ]
        named = context._provided_operation_name is not None  # noqa: SLF001 - `operation_name` guesses
        if len(operations) > 1 and not named and not context.pre_execution_errors:
            context.pre_execution_errors = [
                GraphQLError("There are several operations: `operationName` says which.", operations)
            ]
        yield
