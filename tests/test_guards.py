"""Hostile requests are refused, each with a code or a status that stays."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from graphql import get_introspection_query

from api import documents
from jobs.settings import Settings
from tests import hostile
from tests.system import System, running_system
from tests.test_api import codes, connect


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """The API alone."""
    async with running_system(settings, worker=False, events=False) as running:
        yield running


async def post(system: System, body: bytes) -> httpx.Response:
    """The answer to a body of JSON."""
    return await system.http.post(
        f"{system.url}/graphql", content=body, headers={"Content-Type": "application/json"}
    )


async def test_what_costs_too_much_is_refused(system: System) -> None:
    """With one code, and a sentence that says of what it was too much."""
    answers = {name: (await post(system, body)).json() for name, body in hostile.TOO_COSTLY.items()}
    assert {name: codes(answer) for name, answer in answers.items()} == {
        name: ["QUERY_TOO_COSTLY"] for name in hostile.TOO_COSTLY
    }
    assert not any("data" in answer for answer in answers.values())  # nothing was executed


async def test_it_is_refused_over_a_websocket_too(system: System) -> None:
    """As an error of that operation: the others go on."""
    fits = {name: body for name, body in hostile.TOO_COSTLY.items() if len(body) < 60_000}
    refused = {}
    async with connect(system) as socket:
        await socket.send('{"type": "connection_init"}')
        await socket.recv()
        for name, body in fits.items():
            await socket.send(json.dumps({"type": "subscribe", "id": name, "payload": json.loads(body)}))
            message = json.loads(await socket.recv())
            refused[message["id"]] = (message["type"], message["payload"][0]["extensions"]["code"])
    assert refused == dict.fromkeys(fits, ("error", "QUERY_TOO_COSTLY"))


async def test_what_is_no_request_is_refused_by_its_status(system: System) -> None:
    """A body that is too large, a batch, and what trips a parser."""
    statuses = {name: (await post(system, body)).status_code for name, (_, body) in hostile.REFUSED.items()}
    assert statuses == {name: status for name, (status, _) in hostile.REFUSED.items()}


async def test_errors_are_no_larger_than_what_caused_them(system: System) -> None:
    """A few of them are told, and none is taken for a fault of ours."""
    for name, body in hostile.WRONG.items():
        answer = await post(system, body)
        errors = answer.json()["errors"]
        assert not any("code" in error.get("extensions", {}) for error in errors), name
        assert len(answer.content) < max(20_000, 8 * len(body)), name


async def test_each_limit_is_a_setting(settings: Settings) -> None:
    """One more than allowed is refused, what is allowed is taken."""
    wide = "{ images(first: 100) { nodes { filename contentType byteSize } } }"
    taken_and_refused = {
        "max_query_depth": (2, "{ presets { name } }", "{ presets { variants { name } } }"),
        "max_query_aliases": (1, "{ a: __typename }", "{ a: __typename b: __typename }"),
        "max_query_directives": (1, "{ __typename @skip(if: false) }", "{ ... @a { __typename @a } }"),
        "max_query_tokens": (15, "{ images(first: 100) { nodes { id } } }", wide),
        "max_query_cost": (300, "{ images(first: 100) { nodes { id } } }", wide),
    }
    for name, (limit, taken, refused) in taken_and_refused.items():
        few = settings.model_copy(update={name: limit, "max_upload_files": 1})
        async with running_system(few, worker=False, events=False) as system:
            assert "errors" not in await system.execute(taken), name
            assert codes(await system.execute(refused)) == ["QUERY_TOO_COSTLY"], name


async def test_as_many_files_as_may_be_uploaded_can_be_asked_for(settings: Settings) -> None:
    """Whoever allows more files need not think of what a query may cost, or of the length of its body."""
    many = settings.model_copy(update={"max_upload_files": 1_000})
    file = {"contentType": "text/plain", "byteSize": 3, "metadata": {"x": "y" * 4_000}}
    query = """
    mutation ($input: CreateUploadsInput!) {
      createUploads(input: $input) {
        results {
          ... on UploadTarget {
            image { id status variants { name format width height byteSize url } timeline { status at } }
            method url headers { name value } fields { name value } expiresAt curl
          }
          ... on InvalidFile { code message filename }
        }
      }
    }
    """
    async with running_system(many, worker=False, events=False) as system:
        files = [file | {"filename": f"{number}.txt"} for number in range(1_000)]
        answer = await system.execute(query, input={"files": files})
    assert len(answer["data"]["createUploads"]["results"]) == 1_000


async def test_the_schema_is_told_where_it_is_allowed(system: System) -> None:
    """An introspection passes, and a slip is answered by what may have been meant."""
    assert "errors" not in await system.execute(get_introspection_query())
    answer = await system.execute("{ image(id: 1) { idd } }")
    assert "Did you mean" in answer["errors"][0]["message"]


async def test_the_schema_is_not_told_where_it_is_not(settings: Settings) -> None:
    """Neither asked for, nor guessed at; the codes and places of errors stay."""
    closed = settings.model_copy(update={"introspection": False, "playground": False})
    by_variable = "query ($order: ImageOrder) { images(orderBy: $order) { nodes { id } } }"
    async with running_system(closed, worker=False, events=False) as system:
        assert "data" not in await system.execute(get_introspection_query())
        assert "data" not in await system.execute('{ __type(name: "Image") { name } }')
        assert (await system.execute("{ __typename }"))["data"] == {"__typename": "Query"}
        slips = [
            await system.execute("{ image(id: 1) { idd } }"),
            await system.execute("{ image(idd: 1) { id } }"),
            await system.execute("{ ... on Imag { id } }"),
            await system.execute("{ images(orderBy: NEWEST_FIRS) { nodes { id } } }"),
            await system.execute(by_variable, order="NEWEST_FIRS"),
        ]
        page = await system.http.get(f"{system.url}/graphql", headers={"Accept": "text/html"})
    assert page.status_code == 406  # there is no such page
    for slip in slips:
        (error, *_) = slip["errors"]
        assert error["message"]
        assert error["locations"]
        assert "Did you mean" not in json.dumps(slip)


def test_the_schema_is_told_by_default_where_nobody_says_who_he_is(settings: Settings) -> None:
    """Where keys are asked for, it is to be wished for."""
    keyed = settings.model_copy(update={"auth": "keys"})
    assert (settings.shows_schema, settings.shows_playground) == (True, True)
    assert (keyed.shows_schema, keyed.shows_playground) == (False, False)
    wished = keyed.model_copy(update={"introspection": True, "playground": True})
    assert (wished.shows_schema, wished.shows_playground) == (True, True)


async def test_only_short_queries_are_remembered(system: System) -> None:
    """So many, and none that could fill the memory."""
    documents._parse.cache_clear()  # noqa: SLF001
    padding = " " * documents.REMEMBERED_CHARACTERS
    assert "errors" not in await system.execute("{ __typename }" + padding)
    assert documents._parse.cache_info().currsize == 0  # noqa: SLF001
    for number in range(documents.REMEMBERED + 5):
        assert "errors" not in await system.execute(f"query Q{number} {{ __typename }}")
    assert documents._parse.cache_info().currsize == documents.REMEMBERED  # noqa: SLF001
