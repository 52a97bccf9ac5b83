"""From the text of a query to a document that is admitted, not too costly and valid, before its execution."""

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NameNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    validate,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types import ExecutionContext

from api.context import Context
from api.cost import Limits, QueryTooCostly, Size, measure, sizes_of
from api.paging import MAX_PAGE
from api.parsing import parse
from api.request_errors import several_operations
from api.uploads import BYTES_OF_A_FILE
from jobs.errors import LimitExceeded
from jobs.metrics import REFUSALS, Limit
from jobs.settings import Settings

_PER_TOKEN = 16  # on average, with what stands between them; a query's own take 5
COST_OF_A_FILE = 240  # of `createUploads`, at most: all that can be asked of an upload target is 236
_MAX_ERRORS = 5  # each may repeat a long argument as a whole
_MIN_VALUES = 10_000  # of variables, whatever the settings
_MAX_KEYS = 1_000  # of one object; metadata of 4,096 bytes have fewer
_BYTES_OF_A_VALUE = 4  # of a file's metadata, at least on average
_ABORTED = "Parsing aborted."  # how the parser ends what it says of its limits
# A document takes up to 300 bytes of memory for each character.
REMEMBERED = 64  # queries
REMEMBERED_CHARACTERS = 2_048  # of each; the queries of a page have some hundred, an introspection 1,700


class Parsed:
    """A document that is hashed by its identity: by its content, all of it would be walked each time."""

    def __init__(self, query: str, max_tokens: int) -> None:
        """Parse; raises what the parser raises."""
        self.document = parse(query, max_tokens=max_tokens)
        self.operations = [
            node for node in self.document.definitions if isinstance(node, OperationDefinitionNode)
        ]

    def validate(
        self, schema: GraphQLSchema, rules: tuple[type[ASTValidationRule], ...]
    ) -> list[GraphQLError]:
        """What is wrong with it."""
        return validate(schema, self.document, rules, _MAX_ERRORS)

    def measure(self, schema: GraphQLSchema, sizes: tuple[tuple[str, Size], ...], limits: Limits) -> None:
        """See whether it is too costly.

        Raises:
            QueryTooCostly: it is.
        """
        measure(self.document, schema, dict(sizes), limits)


_remembered = lru_cache(maxsize=REMEMBERED)
_parse = _remembered(Parsed)
_validate = _remembered(Parsed.validate)
_measure = _remembered(Parsed.measure)


class Documents(SchemaExtension):
    """Counts operations, then parses, measures and validates, each step within the limits of the settings.

    Strawberry takes errors from a hook only when it validates: what was refused before has a stand-in until
    then.
    """

    _parsed: Parsed | None = None
    _refusal: GraphQLError | None = None

    async def on_operation(self) -> AsyncIterator[None]:
        """Count it, whatever it says: nothing is done for one that is one too many."""
        try:
            await self.execution_context.context.admit_operation()
        except LimitExceeded as refusal:
            REFUSALS.labels(Limit.OPERATIONS).inc()
            self._refusal = GraphQLError(refusal.message, original_error=refusal)
        yield

    def on_parse(self) -> Iterator[None]:
        """Parse, or know already."""
        execution = self.execution_context
        try:
            if self._refusal is not None:
                raise self._refusal
            _check_variables(execution.variables, _settings(execution))
            self._parsed = _parsed(execution.query, _settings(execution))
            execution.graphql_document = self._parsed.document
        except GraphQLError as error:
            self._refusal = error
            execution.graphql_document = _stand_in(execution.operation_name)
        yield

    def on_validate(self) -> Iterator[None]:
        """Measure and validate, or know already that it is valid."""
        execution = self.execution_context
        try:
            if self._parsed is None:
                raise self._refusal or RuntimeError("a document is parsed before it is validated")
            execution.pre_execution_errors = _validated(self._parsed, execution) or _unnamed(
                self._parsed, execution
            )
        except GraphQLError as error:
            if isinstance(error, QueryTooCostly):
                REFUSALS.labels(Limit.COST).inc()
            execution.pre_execution_errors = [error]
        yield


def _settings(execution: ExecutionContext) -> Settings:
    context: Context = execution.context
    return context.services.settings


def _check_variables(variables: object, settings: Settings) -> None:
    """Count what must be walked, level by level, and no further than is allowed."""
    if not isinstance(variables, dict | None):
        raise GraphQLError("Variables are a JSON object.")
    most = max(_MIN_VALUES, settings.max_upload_files * BYTES_OF_A_FILE // _BYTES_OF_A_VALUE)
    level: list[Any] = [variables]
    while level:
        inside = [item for item in level if isinstance(item, (dict, list))]
        most -= sum(map(len, inside))
        if most < 0 or any(isinstance(item, dict) and len(item) > _MAX_KEYS for item in inside):
            raise QueryTooCostly("The variables have too many values.")
        level = [value for item in inside for value in (item.values() if isinstance(item, dict) else item)]


def _parsed(query: object, settings: Settings) -> Parsed:
    if not isinstance(query, str):
        raise GraphQLError("A query is text.")
    tokens = settings.max_query_tokens
    if len(query) > tokens * _PER_TOKEN:
        raise QueryTooCostly(f"The query is too long: at most {tokens * _PER_TOKEN} characters.")
    try:
        return (_parse if _is_short(query) else Parsed)(query, max_tokens=tokens)
    except GraphQLSyntaxError as error:
        if error.message.endswith(_ABORTED):  # too many tokens, or too deep to be parsed
            raise QueryTooCostly(error.message.removeprefix("Syntax Error: ")) from None
        raise


def _validated(parsed: Parsed, execution: ExecutionContext) -> list[GraphQLError]:
    """The errors of a document that is not too costly."""
    settings = _settings(execution)
    schema = execution.schema._schema  # noqa: SLF001 - as extensions do
    limits = Limits(
        depth=settings.max_query_depth,
        aliases=settings.max_query_aliases,
        directives=settings.max_query_directives,
        cost=max(settings.max_query_cost, settings.max_upload_files * COST_OF_A_FILE),
        page=MAX_PAGE,
    )
    known = execution.query is not None and _is_short(execution.query)
    (_measure if known else Parsed.measure)(parsed, schema, sizes_of(execution.variables or {}), limits)
    rules = (*execution.validation_rules, MaybeNullValidationRule, OneOfInputValidationRule)
    if not settings.shows_schema:
        rules = (*rules, NoSchemaIntrospectionCustomRule)
    return (_validate if known else Parsed.validate)(parsed, schema, rules)


def _unnamed(parsed: Parsed, execution: ExecutionContext) -> list[GraphQLError]:
    """What is remembered of a document knows nothing of names."""
    named = execution._provided_operation_name is not None  # noqa: SLF001 - `operation_name` guesses
    return [] if named or len(parsed.operations) < 2 else [several_operations(parsed.operations)]


def _is_short(query: str) -> bool:
    return len(query) <= REMEMBERED_CHARACTERS


def _stand_in(operation_name: str | None) -> DocumentNode:
    """A document that Strawberry takes for the one that was refused."""
    return DocumentNode(
        definitions=(
            OperationDefinitionNode(
                operation=OperationType.QUERY,
                name=None if operation_name is None else NameNode(value=operation_name),
                selection_set=SelectionSetNode(selections=()),
            ),
        )
    )
