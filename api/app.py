"""The application: routes over services that somebody else opened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypedDict

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from api.auth import LOOPBACK_ORIGIN
from api.graphql import GraphQLEndpoint
from api.guards import BodyLimit
from api.hooks import StorageHook, fetch_body
from api.hub import Hub
from api.uploads import BYTES_OF_A_FILE
from jobs.errors import Unavailable
from jobs.ports import Services
from jobs.sns import Fetch

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MIN_BODY = 1024 * 1024  # bytes of a GraphQL request, whatever the settings
_MAX_EVENT = 1024 * 1024  # bytes of a storage event; no store sends as many
_READY_WITHIN = 2.0  # seconds that each service has to answer


class State(TypedDict):
    """What requests find in `request.state`."""

    services: Services
    hub: Hub


def create_app(services: Services, fetch: Fetch = fetch_body) -> Starlette:
    """The ASGI application over services that are open for as long as it runs.

    Args:
        fetch: how it reaches Amazon, if the settings name an SNS topic.
    """
    settings = services.settings

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        hub = Hub(services.catalog, services.bus)
        async with hub.running():
            yield {"services": services, "hub": hub}

    graphql = GraphQLEndpoint(settings)
    max_body = max(_MIN_BODY, settings.max_upload_files * BYTES_OF_A_FILE)
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route(
                "/hooks/storage",
                StorageHook(settings, fetch).answer,
                methods=["POST"],
                middleware=[Middleware(BodyLimit, _MAX_EVENT)],
            ),
            Route("/graphql", graphql, middleware=[Middleware(BodyLimit, max_body)]),
            WebSocketRoute("/graphql", graphql),
        ],
        middleware=[
            # Where nobody has to say who he is, a page must not reach us under a name of its own.
            *([Middleware(TrustedHostMiddleware, [*LOOPBACK, "[::1]"])] if settings.auth == "none" else []),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_origin_regex=LOOPBACK_ORIGIN.pattern if settings.auth == "none" else None,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type"],
            ),
        ],
        lifespan=lifespan,
    )


async def healthz(_: Request) -> Response:
    """The process lives."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Every service that the process needs answers, each within two seconds."""
    services: Services = request.state.services
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "catalog": services.catalog.ping,
        "queue": services.queue.ping,
        "storage": services.storage.ping,
    }
    answers = await asyncio.gather(*(_check(ping) for ping in checks.values()))
    status = 200 if all(answer == "ok" for answer in answers) else 503
    return JSONResponse(dict(zip(checks, answers, strict=True)), status_code=status)


async def _check(ping: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(_READY_WITHIN):
            await ping()
    except TimeoutError:
        return f"no answer within {_READY_WITHIN:.0f} s"
    except Unavailable as error:
        return error.message
    return "ok"
