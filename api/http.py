"""GraphQL over HTTP: media types, parameters and status codes.

After the draft of https://graphql.github.io/graphql-over-http/. To a client that accepts
`application/graphql-response+json`, the status tells whether its operation was executed. With
`application/json`, which a proxy may have written as well, every well-formed request gets a 200.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.http import process_result
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from api.context import Context
from api.errors import is_fault, mask
from api.request_errors import REQUEST_ERRORS, is_request_error, request_error
from jobs.errors import ProblemCode

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"

_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_EXACT = 2
_MOST_PARAMETERS = 8  # of a media type that are looked at
_FIELDS: dict[str, tuple[type, ...]] = {
    "query": (str,),
    "operationName": (str, NoneType),
    "variables": (dict, NoneType),
    "extensions": (dict, NoneType),
}


class NotWellFormed(Exception):
    """What came cannot be taken for a request, or not by this method.

    Attributes:
        message: what is wrong, for the client.
        status: of the answer.
        allow: the methods that would do, if this one does not.
    """

    def __init__(self, message: str, status: int = 400, allow: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.allow = allow


@dataclass(frozen=True)
class Parameters:
    """What a well-formed request says."""

    query: str
    operation_name: str | None
    variables: dict[str, Any] | None
    extensions: dict[str, Any] | None


class GraphQLOverHTTP(GraphQL[Context, None]):
    """Strawberry's view, with the protocol's answers to HTTP; websockets it leaves to Strawberry's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one websocket."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The answer to one HTTP request."""
        media_type = choose_media_type(", ".join(request.headers.getlist("accept")))
        headers = {"Vary": "Accept"}
        payload: dict[str, Any]
        try:
            if request.method not in {"GET", "POST"}:
                raise NotWellFormed("GraphQL is asked by GET or POST.", 405, allow="GET, POST")
            if self.graphql_ide and self.should_render_graphql_ide(self.request_adapter_class(request)):
                return await self.render_graphql_ide(request)
            if media_type is None:
                raise NotWellFormed(f"The answer can be {GRAPHQL_RESPONSE} or {JSON}.", 406)
            if request.method == "GET":
                parameters = from_query(request.query_params)
            else:
                parameters = from_body(request.headers.get("content-type", ""), await request.body())
            result = await self._execute(parameters, request)
        except NotWellFormed as refusal:
            status, payload = refusal.status, {"errors": [{"message": refusal.message}]}
            if refusal.allow:
                headers["Allow"] = refusal.allow
        else:
            status, payload = status_of(result, media_type), {**process_result(result)}
            if (seconds := retry_after(result)) is not None:
                status, headers["Retry-After"] = 429, str(seconds)
            if is_request_error(result):
                del payload["data"]
        content_type = f"{media_type or JSON}; charset=utf-8"
        return Response(self.encode_json(payload), status, headers, media_type=content_type)

    async def _execute(self, parameters: Parameters, request: Request) -> ExecutionResult:
        mutations = {OperationType.MUTATION} if request.method == "POST" else set()
        try:
            result = await self.schema.execute(
                parameters.query,
                variable_values=parameters.variables,
                operation_name=parameters.operation_name,
                operation_extensions=parameters.extensions,
                context_value=await self.get_context(request, Response()),
                allowed_operation_types={OperationType.QUERY} | mutations,
            )
        except REQUEST_ERRORS as error:
            told = request_error(error)
            if getattr(error, "operation_type", None) is OperationType.MUTATION:
                raise NotWellFormed(told.message, 405, allow="POST") from error
            return ExecutionResult(data=None, errors=[told])
        if is_request_error(result) and result.errors:
            # Strawberry masks nothing of what is raised before the execution.
            result.errors = [mask(error) for error in result.errors]
        return result


def choose_media_type(accept: str) -> str | None:
    """Which of the two media types the client likes best; None if it takes neither.

    Args:
        accept: what its `Accept` says (RFC 9110, section 12.5.1). If that is nothing, or names neither but
            by a wildcard, it is `application/json`; if it likes them the same, the newer one.
    """
    if not accept.strip():
        return JSON
    plain, response = _liking(accept, JSON), _liking(accept, GRAPHQL_RESPONSE)
    if max(plain, response)[0] == 0:
        return None
    by_name = response[1] == _EXACT
    return GRAPHQL_RESPONSE if response > plain or (response == plain and by_name) else JSON


def _liking(accept: str, media_type: str) -> tuple[float, int]:
    """The quality that the most precise range gives a media type, and how precise that is; -1 is no range."""
    found = {-1: 0.0}
    covering = ["*/*", "application/*", media_type]  # the last is the exact one
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        if media_range in covering:
            qualities = [match[1] for match in map(_QUALITY.fullmatch, parameters) if match]
            found[covering.index(media_range)] = float(qualities[0]) if qualities else 1.0
    precision = max(found)
    return found[precision], precision


def from_query(query: Mapping[str, str]) -> Parameters:
    """What the query of a GET says; an empty parameter is none.

    Raises:
        NotWellFormed: it is no request.
    """
    said: dict[str, Any] = {name: value for name, value in query.items() if value or name == "query"}
    for name in ("variables", "extensions"):
        if name in said:
            said[name] = _decoded(said[name], f"`{name}`")
    return _parameters(said)


def from_body(content_type: str, body: bytes) -> Parameters:
    """What the body of a POST says.

    Raises:
        NotWellFormed: it is no JSON in UTF-8, or no request.
    """
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";", _MOST_PARAMETERS))
    charsets = [part.partition("=")[2] for part in parameters if part.partition("=")[0].strip() == "charset"]
    if media_type != JSON or not all(charset.strip(' "') in {"utf-8", "utf8"} for charset in charsets):
        raise NotWellFormed(f"A request is {JSON} in UTF-8, and its `Content-Type` says so.", 415)
    return _parameters(_decoded(body, "The body"))


def decode(text: str | bytes) -> object:
    """What JSON in UTF-8 says.

    Raises:
        json.JSONDecodeError: it is none, however it tries to trip the parser.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:  # a thousand brackets, or a number of as many digits
        raise json.JSONDecodeError("not JSON", "", 0) from error


def _decoded(text: str | bytes, what: str) -> object:
    try:
        return decode(text)
    except json.JSONDecodeError as error:
        raise NotWellFormed(f"{what} is not JSON.") from error


def _parameters(said: object) -> Parameters:
    if not isinstance(said, dict):
        raise NotWellFormed("A request is a JSON object.")
    for name, types in _FIELDS.items():
        if not isinstance(said.get(name), types):
            kind = "an object" if dict in types else "text"
            raise NotWellFormed(f"`{name}` is {kind}.")
    return Parameters(said["query"], said.get("operationName"), said.get("variables"), said.get("extensions"))


def retry_after(result: ExecutionResult) -> int | None:
    """In how many seconds the operation can be asked for again, if it was one too many; else None."""
    for error in (result.errors or []) if is_request_error(result) else []:
        told = error.extensions or {}
        if told.get("code") == ProblemCode.RATE_LIMITED:
            seconds: int = told["retryAfter"]
            return seconds
    return None


def status_of(result: ExecutionResult, media_type: str | None) -> int:
    """The status of the answer to a well-formed request."""
    if media_type != GRAPHQL_RESPONSE or not is_request_error(result):
        return 200
    return 500 if any(is_fault(error) for error in result.errors or []) else 400
