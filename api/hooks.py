"""The storage-event endpoint: what the store says by webhook goes to `ingest`.

It answers 2xx only after the record has moved, 4xx for what can never succeed, and 503 when a service is
away, so that the store delivers again.
"""

import asyncio
import base64
import hmac

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jobs.errors import InvalidInput, Unavailable
from jobs.events import decode_events
from jobs.ingest import ingest_event
from jobs.ports import Services

log = structlog.get_logger(__name__)


async def storage_hook(request: Request) -> Response:
    """`POST /hooks/storage` with the token of the settings."""
    services: Services = request.state.services
    token = services.settings.hook_token
    if token is None:
        return _answer(404, "No webhook is configured: set DARKROOM_HOOK_TOKEN.")
    if not is_allowed(request.headers.get("authorization", ""), token.get_secret_value()):
        return _answer(401, "Send the token as “Authorization: Bearer TOKEN”, or as the password of Basic.")
    body = await request.body()
    try:
        events = decode_events(body)
    except InvalidInput as error:
        log.warning("a webhook makes no sense", reason=error.message, body=body[:1_000])
        return _answer(400, error.message)
    # Each for itself: one that has to come again must not hold up the others.
    done = await asyncio.gather(
        *(ingest_event(event, services, via="webhook") for event in events), return_exceptions=True
    )
    results: list[str] = []
    for outcome in done:
        if isinstance(outcome, Unavailable):
            return _answer(503, outcome.message, {"Retry-After": "5"})
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return JSONResponse({"results": results})


def is_allowed(authorization: str, token: str) -> bool:
    """Whether the header says the token.

    It is `Bearer TOKEN`, or `Basic` with the token as the password: some stores can be told no more than
    `https://anybody:TOKEN@…`.
    """
    scheme, _, credentials = authorization.partition(" ")
    said = credentials.encode("latin-1", "replace")
    if scheme == "Basic":
        try:
            said = base64.b64decode(said, validate=True).partition(b":")[2]
        except ValueError:
            return False
    elif scheme != "Bearer":
        return False
    return hmac.compare_digest(said, token.encode())


def _answer(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"message": message}, status_code=status, headers=headers)
