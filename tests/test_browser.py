"""What a browser lets pages do with the API, and what it does not."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import websockets
from starlette.responses import HTMLResponse
from structlog.testing import capture_logs

from api.headers import SecurityHeaders
from jobs.settings import Settings
from tests.system import System, running_system, serving
from tests.test_api import TRANSPORT_WS, connect

EVIL, SHOP, NEAR = "https://evil.example", "https://shop.example", "https://shop.example.evil.example"
HERE = "http://localhost:5173"


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """The API alone."""
    async with running_system(settings, worker=False, events=False) as running:
        yield running


@pytest.mark.parametrize(
    ("auth", "origins", "allowed"),
    [
        ("none", (), {HERE: HERE}),
        ("none", (SHOP,), {HERE: HERE, SHOP: SHOP}),
        ("keys", (), {}),
        ("keys", (SHOP,), {SHOP: SHOP}),
        ("keys", ("*",), dict.fromkeys([EVIL, SHOP, NEAR, HERE, "null"], "*")),
    ],
)
async def test_which_pages_may_call(
    settings: Settings, auth: str, origins: tuple[str, ...], allowed: dict[str, str]
) -> None:
    """By HTTP and by websocket alike; and never with what a browser would send along by itself."""
    chosen = settings.model_copy(update={"auth": auth, "cors_origins": origins})
    told = {}
    async with running_system(chosen, worker=False, events=False) as system:
        url = f"{system.url}/graphql"
        for origin in (EVIL, SHOP, NEAR, HERE, "null"):
            preflight = {
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, content-type, traceparent",
            }
            answers = [
                await system.http.options(url, headers=preflight),
                await system.http.post(url, json={"query": "{ __typename }"}, headers={"Origin": origin}),
                await system.http.post(url, json={}, headers={"Origin": origin, "Cookie": "a=b"}),
            ]
            assert not any("access-control-allow-credentials" in answer.headers for answer in answers)
            if (value := answers[0].headers.get("access-control-allow-origin")) is not None:
                told[origin] = value
                assert answers[1].headers["access-control-allow-origin"] == value
            else:
                assert "access-control-allow-origin" not in answers[1].headers
            if origin in allowed:
                async with connect(system, origin=origin) as socket:
                    assert socket.subprotocol == TRANSPORT_WS
            else:
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await connect(system, origin=origin)
                assert refused.value.response.status_code == 403
    assert told == allowed


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain; charset=application/json",
        "text/plain;application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "",
        None,
    ],
)
async def test_what_a_form_can_send_is_refused(system: System, content_type: str | None) -> None:
    """A browser sends it for any page without asking; so it is refused whatever page it comes from."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await system.http.post(
        f"{system.url}/graphql", content=b'{"query": "{ __typename }"}', headers=headers
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
async def test_json_is_taken(system: System, content_type: str) -> None:
    """However it is written."""
    answer = await system.http.post(
        f"{system.url}/graphql",
        content=b'{"query": "{ __typename }"}',
        headers={"Content-Type": content_type},
    )
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_a_link_changes_nothing(system: System) -> None:
    """GET answers queries only."""
    url = f"{system.url}/graphql"
    asked = await system.http.get(url, params={"query": "{ __typename }"})
    assert asked.json() == {"data": {"__typename": "Query"}}
    mutation = "mutation { deleteImages(ids: []) { results { __typename } } }"
    assert (await system.http.get(url, params={"query": mutation})).status_code == 405
    followed = await system.http.get(url, params={"query": "subscription { feed { cursor } }"})
    assert "data" not in followed.json()  # it is for a websocket
    both = "query A { __typename } mutation B { deleteImages(ids: []) { results { __typename } } }"
    assert (await system.http.get(url, params={"query": both, "operationName": "B"})).status_code == 405
    for method in ("PUT", "DELETE", "PATCH", "HEAD"):
        assert (await system.http.request(method, url)).status_code == 405, method


async def test_every_answer_tells_a_browser_to_be_careful(system: System) -> None:
    """Whatever the answer is; those of GraphQL are kept nowhere."""
    answers = [
        await system.http.get(f"{system.url}/healthz"),
        await system.http.get(f"{system.url}/nothing"),
        await system.http.post(f"{system.url}/hooks/storage"),
        await system.http.post(f"{system.url}/graphql", json={"query": "{ __typename }"}),
        await system.http.post(f"{system.url}/graphql", content=b"x" * 10**6),
        await system.http.get(f"{system.url}/graphql", headers={"Accept": "text/html"}),
        await system.http.get(f"{system.url}/"),
        await system.http.get(f"{system.url}/healthz", headers={"Host": "evil.example"}),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


async def test_a_page_can_say_itself_what_it_loads() -> None:
    """And how long it may be kept; what it does not say is said for it."""
    page = HTMLResponse(
        "", headers={"Content-Security-Policy": "script-src 'self'", "Cache-Control": "max-age=9"}
    )
    transport = httpx.ASGITransport(app=SecurityHeaders(page))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        headers = (await http.get("/")).headers
    assert headers.get_list("content-security-policy") == ["script-src 'self'"]
    assert headers.get_list("cache-control") == ["max-age=9"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_fault_outside_of_graphql_is_masked_too(system: System) -> None:
    """By an id that the log has, and nothing of our insides."""

    class Broken:
        """Fails in a way that nobody expected."""

        async def oldest(self) -> None:
            """Fail."""
            raise RuntimeError("the password is 1234")

    broken: Any = Broken()
    with capture_logs() as logs:
        async with serving(replace(system.services, queue=broken)) as url:
            answer = await system.http.get(f"{url}/metrics")
    assert answer.status_code == 500
    assert "1234" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [entry["id"] for entry in logs] == [answer.json()["id"]]
