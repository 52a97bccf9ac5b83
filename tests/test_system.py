"""The whole way, on real services: from `createUploads` to the pushed completion."""

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs.clock import now
from jobs.images import GRACE, Status
from jobs.settings import Settings
from jobs.sweep import sweep
from tests.system import System, running_system, until, working

CREATE = """
mutation ($input: CreateUploadsInput!) {
  createUploads(input: $input) {
    results {
      __typename
      ... on UploadTarget {
        image { id status version } method url headers { name value } fields { name } curl
      }
      ... on InvalidFile { filename code message retryAfter }
    }
  }
}
"""
IMAGE = """
query ($id: ID!) {
  image(id: $id) {
    id status version format width height frameCount attempts
    placeholder { thumbhash dominantColor }
    variants { name format width height byteSize url }
    original { byteSize url }
    problem { code message retryable }
    timeline { status at }
  }
}
"""
COMPLETE = "mutation ($id: ID!) { completeUpload(id: $id) { __typename ... on Image { status } } }"
RED = (200, 30, 40)


def a_photo(width: int = 500, height: int = 400, fmt: str = "JPEG") -> bytes:
    """A picture, red all over."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), RED).save(buffer, fmt)
    return buffer.getvalue()


async def create(system: System, body: bytes, **fields: Any) -> dict[str, Any]:
    """A target for `body`, declared as a JPEG."""
    file = {"filename": "photo.jpg", "contentType": "image/jpeg", "byteSize": len(body), **fields}
    answer = await system.execute(CREATE, input={"files": [file]})
    assert "errors" not in answer, answer
    result: dict[str, Any] = answer["data"]["createUploads"]["results"][0]
    return result


async def put(system: System, target: dict[str, Any], body: bytes) -> int:
    """Do what the target says, as a browser would."""
    headers = {header["name"]: header["value"] for header in target["headers"]}
    answer = await system.http.request(target["method"], target["url"], content=body, headers=headers)
    return answer.status_code


async def uploaded(system: System, body: bytes, **fields: Any) -> str:
    """The id of an image whose source has just been stored."""
    target = await create(system, body, **fields)
    assert await put(system, target, body) == 200
    image_id: str = target["image"]["id"]
    return image_id


async def followed(system: System, image_id: str) -> list[dict[str, Any]]:
    """Every state that a subscriber is told, until the image is at rest."""
    async with aclosing(system.client.updates([image_id])) as updates:
        return [image async for image in updates]


async def the_image(system: System, image_id: str) -> dict[str, Any]:
    """The image as the API shows it."""
    image: dict[str, Any] = (await system.execute(IMAGE, id=image_id))["data"]["image"]
    return image


async def is_ready(system: System, image_id: str) -> bool:
    """Whether the record says so."""
    image = await system.services.catalog.get(image_id)
    return image is not None and image.status is Status.READY


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """Everything, as `make run` starts it."""
    async with running_system(settings) as running:
        yield running


async def test_an_upload_becomes_variants_that_anybody_can_see(system: System) -> None:
    """With nothing but the store's own event to tell of it."""
    image_id = await uploaded(system, a_photo(1_000, 800))
    states = await followed(system, image_id)
    assert states[-1]["status"] == "READY"

    image = await the_image(system, image_id)
    assert (image["format"], image["width"], image["height"], image["frameCount"]) == ("jpeg", 1000, 800, 1)
    assert image["problem"] is None
    assert image["placeholder"]["dominantColor"].startswith("#c")
    assert [change["status"] for change in image["timeline"]] == [
        "PENDING", "UPLOADED", "PROCESSING", "READY",
    ]  # fmt: skip
    assert [(v["name"], v["width"], v["height"]) for v in image["variants"]] == [
        ("w320", 320, 256),
        ("w640", 640, 512),
        ("w1280", 1000, 800),
    ]
    for variant in image["variants"]:
        answer = await system.http.get(variant["url"])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/webp"
        assert len(answer.content) == variant["byteSize"]
        picture = Image.open(io.BytesIO(answer.content))
        assert picture.size == (variant["width"], variant["height"])
        red, green, blue = picture.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert max(abs(red - RED[0]), abs(green - RED[1]), abs(blue - RED[2])) < 8


async def test_the_original_is_saved_and_never_shown(system: System) -> None:
    """What somebody uploaded comes back as an attachment."""
    body = a_photo()
    image_id = await uploaded(system, body)
    await followed(system, image_id)
    answer = await system.http.get((await the_image(system, image_id))["original"]["url"])
    assert answer.content == body
    assert answer.headers["content-disposition"] == "attachment"


async def test_a_text_file_called_jpg_is_rejected(system: System) -> None:
    """Known by its content, with a reason, for good."""
    image_id = await uploaded(system, b"once upon a time " * 20)
    last = (await followed(system, image_id))[-1]
    assert (last["status"], last["problem"]["code"]) == ("REJECTED", "NOT_AN_IMAGE")
    assert last["variants"] == []


async def test_a_wrong_checksum_is_refused_by_the_store(system: System) -> None:
    """And nothing is lost: the right bytes still get in."""
    body = a_photo()
    target = await create(system, body, sha256=hashlib.sha256(body).hexdigest())
    assert await put(system, target, body[::-1]) == 400
    assert await put(system, target, body) == 200
    assert (await followed(system, target["image"]["id"]))[-1]["status"] == "READY"


async def test_the_event_alone_is_enough(system: System) -> None:
    """No hint, no sweep."""
    image_id = await uploaded(system, a_photo())
    await until(lambda: is_ready(system, image_id))


async def test_the_hint_alone_is_enough(settings: Settings) -> None:
    """With events switched off."""
    async with running_system(settings, events=False) as system:
        image_id = await uploaded(system, a_photo())
        answer = await system.execute(COMPLETE, id=image_id)
        assert answer["data"]["completeUpload"]["status"] == "UPLOADED"
        await until(lambda: is_ready(system, image_id))


async def test_the_sweep_alone_is_enough(settings: Settings) -> None:
    """With events switched off, and a client that went away after its PUT."""
    eager = settings.model_copy(update={"sweep_seconds": 0.001})
    async with running_system(eager, events=False) as system:
        image_id = await uploaded(system, a_photo())
        await sweep(system.services)
        await until(lambda: is_ready(system, image_id))


async def test_events_wait_for_whoever_consumes_them(settings: Settings) -> None:
    """An upload made while the consumer was down is found when it comes up."""
    async with running_system(settings, events=False) as system:
        image_id = await uploaded(system, a_photo())
    async with running_system(settings) as system:
        await until(lambda: is_ready(system, image_id))


async def test_the_same_image_is_developed_once(system: System) -> None:
    """However many hints and events speak of it."""
    image_id = await uploaded(system, a_photo())
    await asyncio.gather(*(system.execute(COMPLETE, id=image_id) for _ in range(10)))
    await followed(system, image_id)
    image = await the_image(system, image_id)
    assert image["attempts"] == 1
    assert [change["status"] for change in image["timeline"]].count("PROCESSING") == 1
    await system.execute(COMPLETE, id=image_id)
    assert await the_image(system, image_id) | {"variants": 0, "original": 0} == image | {
        "variants": 0,
        "original": 0,
    }


async def test_a_subscriber_before_the_upload_sees_its_whole_way(settings: Settings) -> None:
    """From PENDING to READY, in order, each at most once."""
    async with running_system(settings, worker=False) as system:
        body = a_photo()
        target = await create(system, body)
        seen: list[str] = []
        variants: list[int] = []
        async with aclosing(system.client.updates([target["image"]["id"]])) as updates:
            async for image in updates:
                seen.append(image["status"])
                if image["status"] == "PENDING":
                    assert await put(system, target, body) == 200
                if image["status"] == "UPLOADED":
                    break
            assert seen == ["PENDING", "UPLOADED"]
            async with working(settings):
                async for image in updates:
                    seen.append(image["status"])
                    variants.append(len(image["variants"]))
    # Latest wins: a state that lasts for less than a read of the catalog may be passed over.
    assert [status for status, _ in groupby(seen)] in (
        ["PENDING", "UPLOADED", "PROCESSING", "READY"],
        ["PENDING", "UPLOADED", "READY"],
    )
    assert variants == sorted(variants)


async def test_a_subscriber_in_the_middle_sees_the_state_and_then_the_end(settings: Settings) -> None:
    """It came after the upload and before the worker."""
    async with running_system(settings, worker=False) as system:
        image_id = await uploaded(system, a_photo())

        async def is_uploaded() -> bool:
            return bool((await the_image(system, image_id))["status"] == "UPLOADED")

        await until(is_uploaded)
        async with aclosing(system.client.updates([image_id])) as updates:
            assert (await anext(updates))["status"] == "UPLOADED"
            async with working(settings):
                assert [image["status"] async for image in updates][-1] == "READY"


async def test_a_subscriber_after_the_end_sees_it_at_once(system: System) -> None:
    """One message, then the operation completes."""
    image_id = await uploaded(system, a_photo())
    await until(lambda: is_ready(system, image_id))
    states = await followed(system, image_id)
    assert [state["status"] for state in states] == ["READY"]


async def test_one_subscription_follows_several_images(system: System) -> None:
    """And completes when all of them are at rest, whichever way they went."""
    good, bad = await uploaded(system, a_photo()), await uploaded(system, b"no picture")
    last: dict[str, str] = {}
    async with aclosing(system.client.updates([good, bad])) as updates:
        async for image in updates:
            last[image["id"]] = image["status"]
    assert last == {good: "READY", bad: "REJECTED"}


async def test_an_unused_target_expires(settings: Settings) -> None:
    """Its image says so, and the store refuses the bytes."""
    brief = settings.model_copy(update={"upload_seconds": 1, "sweep_seconds": 0.001})
    async with running_system(brief) as system:
        body = a_photo()
        target = await create(system, body)

        async def refused() -> bool:
            answer: httpx.Response = await system.http.put(target["url"], content=b"")
            return b"expired" in answer.content.lower()

        await until(refused)
        assert await put(system, target, body) == 403
        later = replace(system.services, clock=lambda: now() + GRACE + timedelta(seconds=1))
        await sweep(later)
        image = await the_image(system, target["image"]["id"])
        assert (image["status"], image["problem"]["code"]) == ("EXPIRED", "UPLOAD_EXPIRED")


async def test_curl_does_the_same(system: System, tmp_path: Any) -> None:
    """The command of a target, pasted into a shell where the file lies."""
    body = a_photo()
    name = "it's a $(photo) {a,b}[1-3].jpg"
    (tmp_path / name).write_bytes(body)
    target = await create(system, body, filename=name)
    shell = await asyncio.create_subprocess_shell(target["curl"], cwd=tmp_path)
    assert await shell.wait() == 0
    assert (await followed(system, target["image"]["id"]))[-1]["status"] == "READY"


async def test_reprocessing_keeps_what_can_be_seen_until_it_is_replaced(settings: Settings) -> None:
    """New variants take the place of the old ones, which then are gone when the sweep comes by."""
    async with running_system(settings) as system:
        image_id = await uploaded(system, a_photo())
        await until(lambda: is_ready(system, image_id))
    async with running_system(settings, worker=False) as system:
        before = await system.services.catalog.get(image_id)
        assert before is not None
        query = (
            "mutation ($id: ID!) { reprocessImage(id: $id) { ... on Image { status variants { name } } } }"
        )
        answer = (await system.execute(query, id=image_id))["data"]["reprocessImage"]
        assert answer["status"] == "UPLOADED"
        assert len(answer["variants"]) == len(before.variants)
        async with working(settings):
            await until(lambda: is_ready(system, image_id))
            after = await system.services.catalog.get(image_id)
            assert after is not None

        due = after.due_at
        assert due is not None
        assert await sweep(replace(system.services, clock=lambda: due)) == Counter(tidied=1)
        listing = system.services.storage.listing(f"variants/{image_id}/")
        assert [listed.key async for listed in listing] == sorted(variant.key for variant in after.variants)
        assert {variant.key for variant in before.variants}.isdisjoint(v.key for v in after.variants)


async def test_deleting_removes_every_object_and_tells_subscribers(system: System) -> None:
    """A tombstone stays; deleting again changes nothing."""
    image_id = await uploaded(system, a_photo())
    await until(lambda: is_ready(system, image_id))
    query = """
    mutation ($ids: [ID!]!) {
      deleteImages(ids: $ids) { results { __typename ... on Image { status variants { name } } } }
    }
    """
    first = (await system.execute(query, ids=[image_id, "img_unknown"]))["data"]["deleteImages"]["results"]
    assert first[0] == {"__typename": "Image", "status": "DELETED", "variants": []}
    assert first[1]["__typename"] == "ImageNotFound"
    again = (await system.execute(query, ids=[image_id]))["data"]["deleteImages"]["results"]
    assert again == first[:1]
    assert [listed async for listed in system.services.storage.listing("")] == []
    tombstone = await the_image(system, image_id)
    assert (tombstone["placeholder"], tombstone["original"]) == (None, None)
    assert (await followed(system, image_id))[-1]["status"] == "DELETED"
