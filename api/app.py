"""The application: routes over services that somebody else opened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypedDict

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from api.addresses import LOOPBACK_ORIGIN, THIS_MACHINE
from api.auth import Authenticator
from api.errors import MASK, log_fault
from api.expiry import SocketExpiry
from api.graphql import GraphQLEndpoint
from api.guards import BodyLimit
from api.headers import SECURITY_HEADERS, SecurityHeaders
from api.hooks import StorageHook, fetch_body
from api.hub import Hub
from api.limits import Limiter, open_limiter
from api.metrics import MetricsEndpoint
from api.pages import page_routes
from api.uploads import BYTES_OF_A_FILE
from jobs.errors import Unavailable
from jobs.ports import Services
from jobs.sns import Fetch

_MIN_BODY = 100 * 1024  # bytes of a GraphQL request, whatever the settings
_MAX_EVENT = 1024 * 1024  # bytes of a storage event; no store sends as many
_READY_WITHIN = 2.0  # seconds that each service has to answer


class State(TypedDict):
    """What requests find in `request.state`."""

    services: Services
    hub: Hub
    limiter: Limiter


def create_app(services: Services, fetch: Fetch = fetch_body, *, init_seconds: float = 5.0) -> Starlette:
    """The ASGI application over services that are open for as long as it runs.

    Args:
        fetch: how it reaches Amazon, if the settings name an SNS topic, and the keys for tokens.
        init_seconds: that a websocket has for its `connection_init`.

    Raises:
        SettingsError: what tokens are checked with is missing or cannot be read.
    """
    settings = services.settings

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        hub = Hub(services)
        async with hub.running(), open_limiter(settings, services.clock) as limiter:
            yield {"services": services, "hub": hub, "limiter": limiter}

    graphql = GraphQLEndpoint(settings, Authenticator(settings, fetch), init_seconds)
    # Nothing that is asked needs as much as a list of all files that may be uploaded at once.
    max_body = max(_MIN_BODY, settings.max_upload_files * BYTES_OF_A_FILE)
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", MetricsEndpoint(services.queue, settings.metrics_token).answer),
            Route(
                "/hooks/storage",
                StorageHook(settings, fetch).answer,
                methods=["POST"],
                middleware=[Middleware(BodyLimit, _MAX_EVENT)],
            ),
            Route("/graphql", graphql, middleware=[Middleware(BodyLimit, max_body)]),
            WebSocketRoute("/graphql", graphql, middleware=[Middleware(SocketExpiry)]),
            *page_routes(settings),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            # Where nobody has to say who he is, a page must not reach us under a name of its own.
            *([Middleware(TrustedHostMiddleware, THIS_MACHINE)] if settings.auth == "none" else []),
            # Whoever asks says so in a header of his own making: no cookie counts, and none is asked for.
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_origin_regex=LOOPBACK_ORIGIN.pattern if settings.auth == "none" else None,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "traceparent"],
                expose_headers=["retry-after"],
            ),
        ],
        exception_handlers={Exception: fault},
        lifespan=lifespan,
    )


async def fault(_: Request, error: Exception) -> Response:
    """What nobody expected, masked by an id that the log has too."""
    masked = {"message": MASK, "id": log_fault(error)}
    return JSONResponse(masked, HTTPStatus.INTERNAL_SERVER_ERROR, SECURITY_HEADERS)


async def healthz(_: Request) -> Response:
    """The process lives."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Every service that the process needs answers, each within two seconds."""
    services: Services = request.state.services
    hub: Hub = request.state.hub
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "bus": hub.ping,
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
    except Exception as error:  # noqa: BLE001 - whatever it is, the others are told of
        return f"{MASK} {log_fault(error)}"
    return "ok"
