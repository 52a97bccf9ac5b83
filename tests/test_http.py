"""GraphQL over HTTP: media types and status codes, by the audits of `graphql-http` and by a table of ours."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from graphql import GraphQLError
from strawberry.types import ExecutionResult

from api.http import GRAPHQL_RESPONSE, JSON, choose_media_type, status_of
from jobs.settings import Settings
from tests.node import run_node
from tests.system import System, running_system

QUERY = "{ __typename }"
FOLLOW = "subscription { feed { cursor } }"
DELETE = "mutation { deleteImages(ids: []) { results { __typename } } }"
DELETE_C = DELETE.replace("mutation", "mutation C")
TWO = "query A { __typename } query B { presets { name } }"


async def test_every_audit_passes(api: System, node_modules: Path) -> None:
    """MUST, SHOULD and MAY alike."""
    told = await run_node(node_modules, "audit.js", f"{api.url}/graphql")
    results = [json.loads(line) for line in told.splitlines()]
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        ("Application/GraphQL-Response+JSON", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON};q=0.9", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON}", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE};q=0.9", JSON),
        (f"{GRAPHQL_RESPONSE};q=0.2,{JSON};q=0.1,*/*", GRAPHQL_RESPONSE),
        (f"{JSON}, text/plain, */*", JSON),
        (f"{GRAPHQL_RESPONSE};q=0, */*", JSON),
        (f"{JSON};q=0, */*;q=0.1", GRAPHQL_RESPONSE),
        (f"text/event-stream, {GRAPHQL_RESPONSE} ; q=1.000", GRAPHQL_RESPONSE),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("text/html", None),
        (f"{JSON};q=0", None),
        ("*/*;q=0.0", None),
        ("nonsense", None),
    ],
)
def test_the_client_chooses_the_media_type(accept: str, media_type: str | None) -> None:
    """By quality, then by how precisely it is named; the newer one of two that are liked the same."""
    assert choose_media_type(accept) == media_type


@pytest.mark.parametrize(
    ("body", "plain", "response", "said"),
    [
        ({"query": QUERY}, 200, 200, None),
        ({"query": QUERY, "operationName": None, "variables": None, "extensions": None}, 200, 200, None),
        ({"query": QUERY, "variables": {"unused": 1}, "extensions": {"any": 1}}, 200, 200, None),
        ({"query": TWO, "operationName": "A"}, 200, 200, None),
        ({"query": '{ image(id: "x") { id } }'}, 200, 200, None),
        ({"query": "{ images(first: 0) { nodes { id } } }"}, 200, 200, "`first` is"),
        ({"query": "{"}, 200, 400, "Syntax Error"),
        ({"query": ""}, 200, 400, "There is no query."),
        ({"query": "{ a" * 5_000}, 200, 400, "nested too deeply"),
        ({"query": "{ nothing }"}, 200, 400, "Cannot query field"),
        ({"query": "query ($id: ID!) { image(id: $id) { id } }"}, 200, 400, "Variable '$id'"),
        ({"query": "query A { __typename }", "operationName": "B"}, 200, 400, "no operation “B”"),
        ({"query": "query A { __typename }", "operationName": ""}, 200, 400, "no operation “”"),
        ({"query": "fragment A on Query { __typename }"}, 200, 400, "There is no operation."),
        ({"query": TWO}, 200, 400, "`operationName` says which"),
        ({"query": FOLLOW}, 200, 400, "over a websocket"),
        ({}, 400, 400, "`query` is text."),
        ({"query": None}, 400, 400, "`query` is text."),
        ({"query": 5}, 400, 400, "`query` is text."),
        ({"query": QUERY, "operationName": 5}, 400, 400, "`operationName` is text."),
        ({"query": QUERY, "operationName": {}}, 400, 400, "`operationName` is text."),
        ({"query": QUERY, "variables": "{}"}, 400, 400, "`variables` is an object."),
        ({"query": QUERY, "variables": []}, 400, 400, "`variables` is an object."),
        ({"query": QUERY, "extensions": True}, 400, 400, "`extensions` is an object."),
        ([{"query": QUERY}], 400, 400, "A request is a JSON object."),
        (None, 400, 400, "A request is a JSON object."),
        ("text", 400, 400, "A request is a JSON object."),
    ],
)
async def test_the_status_depends_on_the_media_type(
    api: System, body: Any, plain: int, response: int, said: str | None
) -> None:
    """An error before the execution has no data, and a status of its own only where it can be believed."""
    for media_type, status in ((JSON, plain), (GRAPHQL_RESPONSE, response)):
        headers = {"Content-Type": JSON, "Accept": media_type}
        answer = await api.http.post(f"{api.url}/graphql", content=json.dumps(body), headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (
            status,
            f"{media_type}; charset=utf-8",
        )
        payload = answer.json()
        if said is None:
            assert payload.keys() == {"data"}
        else:
            assert said in payload["errors"][0]["message"]
            assert "INTERNAL" not in answer.text
            assert ("data" in payload) == (response == 200)


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("application/json", b'{"query": "{ __typename }"}', 200),
        ("application/json; charset=UTF-8", b'{"query": "{ __typename }"}', 200),
        ('Application/JSON;charset="utf-8"', b'{"query": "{ __typename }"}', 200),
        ("application/json", '{"query": "{ __typename } # ü"}'.encode(), 200),
        ("application/json", '{"query": "{ __typename } # ü"}'.encode("latin-1"), 400),
        ("application/json", '{"query": "{ __typename }"}'.encode("utf-16"), 400),
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ('application/json; a="' + ";" * 60_000, b'{"query": "{ __typename }"}', 200),
        (f"application/json; charset*{'1' * 5_000}=utf-8", b'{"query": "{ __typename }"}', 200),
        ("application/json; charset=utf-16", '{"query": "{ __typename }"}'.encode("utf-16"), 415),
        (None, b'{"query": "{ __typename }"}', 415),
        ("", b'{"query": "{ __typename }"}', 415),
        ("application/jsonp", b'{"query": "{ __typename }"}', 415),
        ("text/application/json", b'{"query": "{ __typename }"}', 415),
        ("application/graphql", b"{ __typename }", 415),
        ("text/plain", b'{"query": "{ __typename }"}', 415),
        ("application/x-www-form-urlencoded", b"query=%7B__typename%7D", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
    ],
)
async def test_a_request_is_json_in_utf8(
    api: System, content_type: str | None, content: bytes, status: int
) -> None:
    """And says so: what a page of another origin can send without asking first is nothing else."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await api.http.post(f"{api.url}/graphql", content=content, headers=headers)
    assert answer.status_code == status
    assert ("errors" in answer.json()) == (status != 200)


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({"query": QUERY}, 200, None),
        ({"query": QUERY, "operationName": "", "variables": "", "extensions": ""}, 200, None),
        ({"query": TWO, "operationName": "A"}, 200, None),
        ({"query": "query ($id: ID!) { image(id: $id) { id } }", "variables": '{"id": "x"}'}, 200, None),
        ({"query": ""}, 400, "There is no query."),
        ({"variables": "{}"}, 400, "`query` is text."),
        ({"query": QUERY, "variables": "{"}, 400, "`variables` is not JSON."),
        ({"query": QUERY, "variables": "[]"}, 400, "`variables` is an object."),
        ({"query": QUERY, "variables": "[" * 5_000}, 400, "`variables` is not JSON."),
        ({"query": QUERY, "extensions": "5"}, 400, "`extensions` is an object."),
        ({"query": QUERY, "operationName": "null"}, 400, "no operation “null”"),
        ({"query": FOLLOW}, 400, "over a websocket"),
        ({"query": DELETE}, 405, "Mutations are sent by POST."),
        ({"query": f"{TWO} {DELETE_C}", "operationName": "C"}, 405, "Mutations are sent by POST."),
    ],
)  # fmt: skip
async def test_a_query_can_be_asked_by_get(
    api: System, parameters: dict[str, str], status: int, said: str | None
) -> None:
    """And nothing that changes anything."""
    answer = await api.http.get(f"{api.url}/graphql", params=parameters, headers={"Accept": GRAPHQL_RESPONSE})
    assert answer.status_code == status
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)
    if said is None:
        assert answer.json().keys() == {"data"}
    else:
        assert said in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY"])
async def test_other_methods_are_not_allowed(api: System, method: str) -> None:
    """The answer says which are."""
    answer = await api.http.request(method, f"{api.url}/graphql", json={"query": QUERY})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


async def test_a_client_that_takes_neither_media_type_gets_none(api: System) -> None:
    """It is told which there are."""
    answer = await api.http.post(f"{api.url}/graphql", json={"query": QUERY}, headers={"Accept": "text/html"})
    assert answer.status_code == 406
    assert GRAPHQL_RESPONSE in answer.json()["errors"][0]["message"]


async def test_caches_are_told_that_the_answer_depends_on_accept(api: System) -> None:
    """Beside what depends on the origin."""
    answer: httpx.Response = await api.http.get(
        f"{api.url}/graphql", params={"query": QUERY}, headers={"Origin": "http://localhost:5173"}
    )
    assert {name.strip() for name in answer.headers["vary"].split(",")} == {"Accept", "Origin"}


async def test_a_client_that_hangs_up_is_no_fault(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of what it says: nothing is logged."""
    caplog.set_level(logging.WARNING)
    async with running_system(settings, worker=False, events=False) as system:
        address = urlsplit(system.url)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 100\r\n\r\n{")
        await writer.drain()
        assert (await system.http.get(f"{system.url}/healthz")).is_success  # by now it has been read
        writer.transport.abort()
    assert caplog.records == []


def test_a_fault_before_the_execution_is_not_the_clients() -> None:
    """Nor is a fault of a field a status of its own: other fields may have been executed."""
    fault = GraphQLError("…", extensions={"code": "INTERNAL"})
    assert status_of(ExecutionResult(data=None, errors=[fault]), GRAPHQL_RESPONSE) == 500
    fault.path = ["images"]
    assert status_of(ExecutionResult(data=None, errors=[fault]), GRAPHQL_RESPONSE) == 200
