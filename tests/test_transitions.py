"""The log: one line for each change of a record, by which it can be followed, and no secrets."""

import json
from collections.abc import MutableMapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.images import GRACE, Image, Move
from jobs.logs import excerpt
from jobs.ports import Services
from jobs.settings import Settings
from jobs.sweep import sweep
from tests import shapes
from tests.records import an_image
from tests.system import System, running_system
from tests.test_ingest import state
from tests.test_system import CREATE, a_photo, followed, put

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}

Lines = list[MutableMapping[str, Any]]


def moves(logs: Lines, image: Image) -> list[tuple[int, str]]:
    """What the log says of the changes of an image, by version; each has all that it can be found by."""
    found = [line for line in logs if line.get("image") == image.id and "version" in line]
    assert all(line["trace"] == image.trace and line["attempt"] >= 0 for line in found)
    return sorted((line["version"], line["event"]) for line in found)


async def asked(
    system: System, body: bytes, headers: dict[str, str] = HEADER, **fields: Any
) -> dict[str, Any]:
    """A target, asked for as a part of a trace."""
    file = {"filename": "photo.jpg", "contentType": "image/jpeg", "byteSize": len(body)}
    answer = await system.http.post(
        f"{system.url}/graphql",
        json={"query": CREATE, "variables": {"input": {"files": [file], **fields}}},
        headers=headers,
    )
    target: dict[str, Any] = answer.json()["data"]["createUploads"]["results"][0]
    return target


async def test_each_change_of_a_record_is_one_line(settings: Settings) -> None:
    """Whoever made it, from the upload to the end; none is missing, and none is told twice."""
    with capture_logs() as logs:
        async with running_system(settings) as system:
            body = a_photo()
            target = await asked(system, body)
            image_id = target["image"]["id"]
            assert await put(system, target, body) == 200
            await followed(system, image_id)
            again = "mutation ($id: ID!) { reprocessImage(id: $id) { __typename } }"
            assert "errors" not in await system.execute(again, id=image_id)
            await followed(system, image_id)
            delete = "mutation ($id: ID!) { deleteImages(ids: [$id]) { results { __typename } } }"
            assert "errors" not in await system.execute(delete, id=image_id)
            image = await system.services.catalog.get(image_id)
    assert image is not None
    told = moves(logs, image)
    assert [version for version, _ in told] == list(range(2, image.version + 1))
    assert [event for _, event in told if event != "revealed"] == [
        "uploaded", "processing", "ready", "reprocessed", "processing", "ready", "deleted",
    ]  # fmt: skip
    assert (image.trace, image.span) == (TRACE, PARENT)
    everything = json.dumps(logs, default=str)
    assert settings.s3_secret_key.get_secret_value() not in everything
    assert "X-Amz-Signature" not in everything


async def test_what_the_sweep_ends_is_told(services: Services) -> None:
    """As everything else is; an image of earlier days has no trace."""
    image = an_image()
    await services.catalog.add([image])
    with capture_logs() as logs:
        await sweep(replace(services, clock=lambda: image.expires_at + GRACE))
        assert moves(logs, image) == []  # nothing is due
        due = an_image(due_at=image.expires_at)
        await services.catalog.add([due])
        await sweep(replace(services, clock=lambda: due.expires_at + GRACE))
    assert moves(logs, due) == [(2, "expired")]
    assert [line["code"] for line in logs if line["event"] == "expired"] == ["UPLOAD_EXPIRED"]


async def test_more_time_for_a_target_is_told(api: System) -> None:
    """The record keeps the trace of who asked first."""
    with capture_logs() as logs:
        target = await asked(api, b"abc", idempotencyKey="again")
        image = await state(api.services, an_image(id=target["image"]["id"]))
        earlier = {"expires_at": image.expires_at - timedelta(minutes=5)}
        assert await api.services.catalog.move(
            image.id, Move.RETARGET, at=api.services.clock(), values=earlier
        )
        file = {"filename": "photo.jpg", "contentType": "image/jpeg", "byteSize": 3}
        await api.execute(CREATE, input={"files": [file], "idempotencyKey": "again"})
    assert moves(logs, image) == [(3, "retargeted")]


@pytest.mark.parametrize(
    "body",
    [
        shapes.sns(shapes.s3("b", "k")),
        {
            "Type": "SubscriptionConfirmation",
            "Token": "very-secret",
            "SubscribeURL": "https://a/?x=very-secret",
        },
        {"UnsubscribeURL": "https://sns.example/?Action=Unsubscribe&SubscriptionArn=very-secret"},
        {"Message": json.dumps({"Token": "very-secret", "url": "https://a.example/b?token=very-secret"})},
        {"note": "https://a.example/b?X-Amz-Signature=very-secret and more"},
    ],
)
def test_an_excerpt_of_a_message_has_no_secrets(body: dict[str, Any]) -> None:
    """Who reads the log cannot confirm a subscription, nor end it."""
    text = json.dumps(body)
    for shown in (excerpt(text), excerpt(text.encode()), excerpt(text + "}")):
        assert "very-secret" not in shown
        assert "Action=Unsubscribe" not in shown
        assert shown[:8] == text[:8]
    assert len(excerpt("x" * 5_000)) == len(excerpt('http://?"' * 5_000)) == 1_000
    assert excerpt(b"\xff{").endswith("{")


@pytest.mark.parametrize("before", ["https://a.example/b?X-Amz-Signature=", '{"Token": "', r"{\"Token\": \""])
def test_an_excerpt_that_ends_in_a_secret_has_nothing_of_it(before: str) -> None:
    """Wherever in it, or in what it is known by, the cut falls."""
    for shown in range(1_001):
        text = "x" * shown + " " + before + "§" * 2_000
        assert "§" not in excerpt(text)
        assert excerpt(text)[:shown] == text[:shown]


def test_an_excerpt_is_of_the_beginning_alone() -> None:
    """However long a body is, and whatever it repeats, no more of it is searched."""
    text = "https://a.example/b?" + "x" * 2_000 + " and more"
    assert excerpt(text) == excerpt(text[:1_000]) == "https://a.example/b?…"
    assert excerpt("http://" * 150_000) == ("http://" * 150_000)[:1_000]
