"""`/metrics`: what a process counts, for Prometheus; of the API, and of processes that serve nothing else.

It tells of no owner and no image, but of how a business goes. So it is for who knows the token; where there
is none, for programs on this machine: not for a page in its browser, nor for who comes by a proxy.
"""

import asyncio
import hmac
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus

import structlog
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api.addresses import is_loopback
from api.bounded_request import BoundedRequest
from api.listener import listen_on
from jobs import metrics
from jobs.clock import now
from jobs.errors import SettingsError, Unavailable
from jobs.ports import Queue
from jobs.queue import RedisQueue, open_redis
from jobs.settings import LOOPBACK, Settings

log = structlog.get_logger(__name__)

_WITHIN = 2.0  # seconds that the queue has to answer
_OF_OTHERS = ("origin", "forwarded", "x-forwarded-for", "x-forwarded-host")


class MetricsEndpoint:
    """`GET /metrics`; the token goes as `Authorization: Bearer`."""

    def __init__(self, queue: Queue, token: SecretStr | None) -> None:
        self._queue = queue
        self._token = token.get_secret_value().encode() if token else None

    async def answer(self, request: Request) -> Response:
        """All metrics; of the queue, they are as of now."""
        if not self._admits(request):
            return PlainTextResponse(
                "Send DARKROOM_METRICS_TOKEN as “Authorization: Bearer TOKEN”. "
                "Without one, only programs on this machine are answered.\n",
                HTTPStatus.UNAUTHORIZED,
                {"WWW-Authenticate": 'Bearer realm="darkroom"'},
            )
        await self._ask_queue()
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)

    def _admits(self, request: Request) -> bool:
        if self._token is not None:
            # As it came: Starlette has read its bytes as Latin-1.
            scheme, _, offered = request.headers.get("authorization", "").encode("latin-1").partition(b" ")
            return scheme.lower() == b"bearer" and hmac.compare_digest(offered, self._token)
        return (
            request.client is not None
            and is_loopback(request.client.host)
            and request.url.hostname in LOOPBACK
            and not any(name in request.headers for name in _OF_OTHERS)
        )

    async def _ask_queue(self) -> None:
        depth = seconds = math.nan  # better than what was true a while ago
        try:
            async with asyncio.timeout(_WITHIN):
                oldest = await self._queue.oldest()
                depth = await self._queue.depth()
            seconds = max(0.0, (now() - oldest).total_seconds()) if oldest else 0.0
        except (Unavailable, TimeoutError) as error:
            log.warning("the queue could not be measured", reason=repr(error))
        metrics.QUEUE_DEPTH.set(depth)
        metrics.QUEUE_AGE.set(seconds)


class _Server(uvicorn.Server):
    """Leaves signals to whatever it serves beside."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving_metrics(settings: Settings, host: str, port: int) -> AsyncIterator[None]:
    """Serve `/metrics` and nothing else while the context lasts.

    Raises:
        ServiceFailed: the port is taken.
        SettingsError: there is no token, and others than this machine could ask.
        Unavailable: Redis does not answer.
    """
    if not settings.metrics_token and host not in LOOPBACK:
        raise SettingsError(f"DARKROOM_METRICS_TOKEN is missing: metrics would be told to all on {host}")
    with listen_on(host, port) as listener:
        async with open_redis(settings) as redis:
            endpoint = MetricsEndpoint(RedisQueue(redis, settings), settings.metrics_token)
            app = Starlette(routes=[Route("/metrics", endpoint.answer)])
            server = _Server(
                uvicorn.Config(
                    app,
                    http=BoundedRequest,
                    lifespan="off",
                    ws="none",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    timeout_graceful_shutdown=1,
                )
            )
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield
            finally:
                server.should_exit = True
                await serving
