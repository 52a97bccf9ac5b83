"""The storage-event endpoint: what the store says by webhook goes to `ingest`.

It answers 2xx only after the record has moved, 4xx for what can never succeed, and 503 when a service is
away, so that the store delivers again.
"""

import asyncio
import base64
import hmac
from urllib.parse import urlsplit

import httpx
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jobs.deadline import in_time
from jobs.errors import InvalidInput, Unauthenticated, Unavailable
from jobs.events import ObjectCreated, decode_events
from jobs.ingest import Ingested, ingest_event
from jobs.logs import excerpt
from jobs.ports import Services
from jobs.settings import Settings
from jobs.sns import Fetch, Topic

log = structlog.get_logger(__name__)

_AT_ONCE = 16  # events of one request: there may be thousands in it
_FETCH_WITHIN = 5.0  # seconds
_MAX_FETCHED = 1024 * 1024  # bytes


class StorageHook:
    """`POST /hooks/storage`: from a store that knows the token, or from SNS, signed, for our topic."""

    def __init__(self, settings: Settings, fetch: Fetch) -> None:
        token, arn = settings.hook_token, settings.sns_topic_arn
        self._token = token.get_secret_value().encode() if token else None
        self._topic = Topic(arn, fetch) if arn else None

    async def answer(self, request: Request) -> Response:
        """Follow the events of one request."""
        services: Services = request.state.services
        if self._token is None and self._topic is None:
            return _answer(404, "No webhook is configured: set DARKROOM_HOOK_TOKEN.")
        body = await request.body()
        try:
            said: str | bytes | None = body
            if self._token is None or not _knows(request, self._token):
                said = await self._admit_sns(request, body, services)
            events = decode_events(said) if said is not None else []
        except Unauthenticated as error:
            log.info("a webhook is refused", reason=error.message)
            # There are stores that send the password in their URL only after they were asked for it.
            return _answer(401, error.message, {"WWW-Authenticate": 'Basic realm="darkroom"'})
        except InvalidInput as error:
            log.warning("a webhook makes no sense", reason=error.message, body=excerpt(body))
            return _answer(400, error.message)
        except Unavailable as error:
            return _away(error)
        # Each for itself: one that has to come again must not hold up the others.
        gate = asyncio.Semaphore(_AT_ONCE)

        async def follow(event: ObjectCreated) -> Ingested:
            async with gate:
                return await ingest_event(event, services, via="webhook")

        try:
            async with in_time():
                done = await asyncio.gather(*map(follow, events), return_exceptions=True)
        except Unavailable as error:
            return _away(error)  # those that were followed need not be again
        results: list[str] = []
        for outcome in done:
            if isinstance(outcome, Unavailable):
                return _away(outcome)
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(outcome)
        return JSONResponse({"results": results})

    async def _admit_sns(self, request: Request, body: bytes, services: Services) -> str | None:
        if self._topic is None or "x-amz-sns-message-type" not in request.headers:
            raise Unauthenticated("Send the token as “Authorization: Bearer TOKEN”.")
        return await self._topic.admit(body, at=services.clock())


async def fetch_body(url: str) -> bytes:
    """The body of `url`, which leads nowhere else.

    Raises:
        Unavailable: it cannot be had.
    """
    body = bytearray()
    try:
        async with (
            asyncio.timeout(_FETCH_WITHIN),
            httpx.AsyncClient() as http,
            http.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:  # a redirection among others
                raise Unavailable(f"{answer.url.host} answers with status {answer.status_code}.")
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _MAX_FETCHED:
                    raise Unavailable(f"{answer.url.host} answers with more than {_MAX_FETCHED} bytes.")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise Unavailable(f"{urlsplit(url).hostname} does not answer: {error}") from error
    return bytes(body)


def _knows(request: Request, token: bytes) -> bool:
    """Whether the token is there: as a bearer's, as the password of Basic, or as `token` in the query.

    Ceph can send only what stands in its URL, and Pub/Sub no more than the query of that.
    """
    # As it came: Starlette has read its bytes as Latin-1.
    scheme, _, credentials = request.headers.get("authorization", "").encode("latin-1").partition(b" ")
    offered = [request.query_params.get("token", "").encode()]
    if scheme.lower() == b"bearer":
        offered.append(credentials)
    elif scheme.lower() == b"basic":
        offered.append(_password(credentials))
    return any(hmac.compare_digest(item, token) for item in offered)


def _password(credentials: bytes) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _away(error: Unavailable) -> Response:
    return _answer(503, error.message, {"Retry-After": "5"})


def _answer(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"message": message}, status_code=status, headers=headers)
