"""`darkroom upload` again: what was interrupted goes on, and each picture ends as one image."""

import asyncio
import json
import shutil
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

from api.upload_items import Item, describe, idempotency_key
from jobs.clock import now
from jobs.errors import ProblemCode
from jobs.images import SOURCES_PREFIX, Image, Move, Problem, Status
from jobs.ports import Services
from jobs.settings import Settings
from tests.imaging import samples
from tests.system import System, running_system
from tests.test_upload import started, upload

NOWHERE = "http://127.0.0.1:9"


def album(folder: Path, count: int) -> None:
    """So many pictures that differ, in folders below."""
    for number in range(count):
        below = folder / str(number % 7)
        below.mkdir(exist_ok=True)
        (below / f"{number}.png").write_bytes(samples.flat((number, count, 0), size=(8, 8)))


async def asked(system: System, path: Path) -> list[dict[str, Any]]:
    """What a run that was interrupted at once had got as far as."""
    file = describe(Item(path))
    return await system.client.create_uploads([file], None, idempotency_key=idempotency_key(file, None, 0))


async def records(services: Services) -> list[Image]:
    """Everything in the catalog."""
    return await services.catalog.by_id(limit=1_000)


async def sources(services: Services) -> dict[str, datetime]:
    """The keys of what is stored, and when it was."""
    return {item.key: item.last_modified async for item in services.storage.listing(SOURCES_PREFIX)}


async def test_an_interrupted_folder_ends_with_each_image_once(settings: Settings, tmp_path: Path) -> None:
    """Two hundred pictures, interrupted in the middle: the second run sends only what the first did not."""
    album(tmp_path, 200)
    async with running_system(settings) as system:
        process = await started("--json", "-r", "--url", system.url, tmp_path)
        assert process.stdout is not None
        ready: set[str] = set()
        async for text in process.stdout:
            line = json.loads(text)
            ready |= {line["id"]} if line["status"] == "READY" else set()
            if len(ready) == 70:
                process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        stored = await sources(system.services)
        assert 70 <= len(stored) < 200

        ended = await upload(tmp_path, "-r", url=system.url)

        assert (ended.status, ended.err) == (0, "")
        assert [line["status"] for line in ended.last.values()] == ["READY"] * 200
        first = {line["id"]: line["status"] for line in reversed(ended.lines)}
        assert {first[image_id] for image_id in ready} == {"READY"}  # known from the start
        images = await records(system.services)
        assert sorted(image.filename for image in images) == sorted(f"{n}.png" for n in range(200))
        assert {image.status for image in images} == {Status.READY}
        after = await sources(system.services)
        assert len(after) == 200
        assert after | stored == after


async def test_an_impatient_user_interrupts_it_as_well(settings: Settings, tmp_path: Path) -> None:
    """Whatever comes after the first interruption changes nothing."""
    album(tmp_path, 60)
    async with running_system(settings) as system:
        process = await started("--json", "-r", "--url", system.url, tmp_path)
        assert process.stdout is not None
        async for _ in process.stdout:
            process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert (process.returncode, err) == (130, b"")


async def test_all_done_is_told_at_once_the_second_time(settings: Settings, photo: Path) -> None:
    """In one line, with the same id and the variants."""
    async with running_system(settings) as system:
        first = await upload(photo, url=system.url)
        second = await upload(photo, url=system.url)
    assert (first.status, second.status) == (0, 0)
    assert [(line["id"], line["status"]) for line in second.lines] == [(first.lines[-1]["id"], "READY")]
    assert second.lines[0]["variants"]


async def test_what_was_sent_before_the_interruption_is_not_sent_again(
    settings: Settings, photo: Path
) -> None:
    """Nobody heard of it yet, and no PUT could get through."""
    async with running_system(settings, worker=False, events=False) as system:
        (target,) = await asked(system, photo)
        await system.client.put(photo, target, lambda _: None)
    cut = settings.model_copy(update={"s3_public_endpoint": NOWHERE})
    async with running_system(cut, worker=False, events=False) as system:
        ended = await upload(photo, "--no-wait", url=system.url)
    assert (ended.status, ended.err) == (0, "")
    statuses = [(line["id"], line["status"]) for line in ended.lines]
    assert statuses == [(target["image"]["id"], "PENDING"), (target["image"]["id"], "UPLOADED")]


async def test_what_was_only_asked_for_is_sent(settings: Settings, photo: Path) -> None:
    """An image that waits for its bytes gets them, and no second one is made."""
    async with running_system(settings) as system:
        (target,) = await asked(system, photo)
        ended = await upload(photo, url=system.url)
        assert len(await records(system.services)) == 1
    assert (ended.status, ended.lines[-1]["id"]) == (0, target["image"]["id"])


async def test_a_file_whose_image_is_gone_becomes_another(settings: Settings, photo: Path) -> None:
    """Deleted or expired, as often as that happens."""
    seen: set[str] = set()
    async with running_system(settings, worker=False) as system:
        catalog = system.services.catalog
        (target,) = await asked(system, photo)
        assert await catalog.move(target["image"]["id"], Move.EXPIRE, at=now())
        seen.add(target["image"]["id"])
        for _ in range(2):
            ended = await upload(photo, "--no-wait", url=system.url)
            assert ended.status == 0
            image_id = ended.lines[-1]["id"]
            seen.add(image_id)
            assert await catalog.move(image_id, Move.DELETE, at=now())
    assert len(seen) == 3


async def test_our_own_failure_is_tried_again(settings: Settings, photo: Path) -> None:
    """The file was not to blame: its image is queued again, and nothing is sent."""
    async with running_system(settings, worker=False) as system:
        services = system.services
        first = await upload(photo, "--no-wait", url=system.url)
        image_id = first.lines[-1]["id"]
        problem = Problem(code=ProblemCode.ATTEMPTS_EXHAUSTED, message="It failed.", retryable=True)
        failed = await services.catalog.move(image_id, Move.FAIL, at=now(), values={"problem": problem})
        assert failed is not None
        second = await upload(photo, "--no-wait", url=system.url)
        image = await services.catalog.get(image_id)
    assert (second.status, [line["status"] for line in second.lines]) == (0, ["UPLOADED"])
    assert image is not None
    assert (image.status, image.round) == (Status.UPLOADED, failed.round + 1)


async def test_the_same_file_twice_is_one_image(settings: Settings, photo: Path, tmp_path: Path) -> None:
    """Under one name in two folders; each path is told how it went."""
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        shutil.copy(photo, tmp_path / folder)
    async with running_system(settings) as system:
        process = await started(tmp_path / "one", tmp_path / "other", "--url", system.url)
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert len(await records(system.services)) == 1
    assert sorted(out.decode().splitlines()) == [
        f"{tmp_path / folder / 'photo.jpg'}: ready, 1 variant" for folder in ("one", "other")
    ]


async def test_another_name_or_preset_is_another_image(
    settings: Settings, photo: Path, tmp_path: Path
) -> None:
    """The key is made of content, name and preset together."""
    shutil.copy(photo, tmp_path / "other.jpg")
    async with running_system(settings, worker=False) as system:
        for preset in ([], ["--preset", "default"]):
            ended = await upload(tmp_path, "--no-wait", *preset, url=system.url)
            assert ended.status == 0
        assert len(await records(system.services)) == 4


async def test_two_runs_at_the_same_time_make_no_image_twice(settings: Settings, tmp_path: Path) -> None:
    """Whoever comes second finds the image, and what the store refuses it as known is no failure."""
    album(tmp_path, 20)
    async with running_system(settings) as system:
        runs = await asyncio.gather(*(upload(tmp_path, "-r", url=system.url) for _ in range(2)))
        assert [run.status for run in runs] == [0, 0]
        assert len(await records(system.services)) == 20


async def test_a_server_that_goes_while_one_file_waits_and_another_failed_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    """Of the file that was sent before, nothing more can be heard; that is said, not only of the other."""
    sent, unsent = tmp_path / "sent.png", tmp_path / "unsent.png"
    for number, path in enumerate((sent, unsent)):
        path.write_bytes(samples.flat((number, 0, 0), size=(8, 8)))
    async with running_system(settings, worker=False, events=False) as system:
        assert (await upload(sent, "--no-wait", url=system.url)).status == 0
    cut = settings.model_copy(update={"s3_public_endpoint": NOWHERE})
    async with running_system(cut, worker=False, events=False) as system:
        process = await started("--json", "--url", system.url, sent, unsent)
        assert process.stdout is not None
        async for text in process.stdout:
            if json.loads(text)["problem"]:
                break
    _, err = await process.communicate()
    assert process.returncode == 1
    (line,) = err.decode().splitlines()
    assert f"{system.url} does not answer" in line
