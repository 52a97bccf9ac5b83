"""`darkroom doctor --orphans`, typed as an operator types it."""

import asyncio
import json
import signal
import sys

import pytest

from api.doctor import print_orphans
from jobs.images import Image, Status, new_fence, new_image_id, source_key, variant_key
from jobs.ports import Services
from jobs.settings import Settings
from tests.system import environment_for, until
from tests.test_orphans import BODY, MADE, kept, later, stored


async def started(settings: Settings, *arguments: str) -> asyncio.subprocess.Process:
    """The command, running."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api.cli", "doctor", *arguments, env=environment_for(settings),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def doctor(settings: Settings, *arguments: str) -> tuple[int | None, str, str]:
    """The command's status, and what it said."""
    process = await started(settings, *arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def a_repairable_image(services: Services) -> Image:
    """One whose variant is gone; the clock of a command of its own lets nothing else be found so soon."""
    return await kept(services, Status.READY, variants=2, without=["v1"])


async def test_nothing_to_find_ends_with_0(services: Services) -> None:
    """And one line says how much was seen."""
    await kept(services, Status.READY, variants=2)
    status, out, err = await doctor(services.settings, "--orphans")
    size = len(BODY) + 2 * len(MADE)
    assert (status, err) == (0, "")
    assert out == (
        f"3 objects of {size} bytes, 0 of them orphans, of 0 bytes; 1 records, 0 of them broken; "
        "0 findings remain\n"
    )


async def test_findings_end_with_1_until_they_are_fixed(services: Services) -> None:
    """Without `--fix` it only tells."""
    image = await a_repairable_image(services)
    line = f"READY record whose variants are gone: {image.id}, 1 object of {len(MADE)} bytes: "
    status, out, _ = await doctor(services.settings, "--orphans")
    assert (status, out.splitlines()[0]) == (1, f"{line}--fix develops it anew")
    assert await services.catalog.get(image.id) == image
    status, out, _ = await doctor(services.settings, "--orphans", "--fix")
    assert (status, out.splitlines()[0]) == (0, f"{line}is developed anew")
    assert await services.queue.depth() == 1


async def test_each_line_can_be_json(services: Services) -> None:
    """For programs: the findings, and the totals last."""
    image = await a_repairable_image(services)
    status, out, _ = await doctor(services.settings, "--orphans", "--json")
    finding, end = map(json.loads, out.splitlines())
    assert status == 1
    assert finding == {
        "fault": "VARIANTS_GONE",
        "id": image.id,
        "status": "READY",
        "keys": [image.variants[1].key],
        "byteSize": len(MADE),
        "remedy": "REPROCESS",
        "fixed": False,
    }
    assert end == {
        "totals": {
            "objects": 2,
            "bytes": len(BODY) + len(MADE),
            "orphans": 0,
            "orphanBytes": 0,
            "records": 1,
            "broken": 1,
            "remaining": 1,
        }
    }


async def test_orphans_are_told_and_removed(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each object, with its key and its size."""
    image = await kept(services, Status.READY, variants=1)
    replaced = variant_key(image.id, new_fence(), "v0.webp")
    unrecorded = source_key(new_image_id())
    await stored(services, replaced, unrecorded)
    lines = {
        f"object that its record does not name: {replaced}, {len(MADE)} bytes: ",
        f"object without a record: {unrecorded}, {len(MADE)} bytes: ",
    }
    assert not await print_orphans(later(services), fix=False, as_json=False)
    told = capsys.readouterr().out.splitlines()[:-1]
    assert set(told) == {f"{line}--fix removes it" for line in lines}
    assert await print_orphans(later(services), fix=True, as_json=False)
    told = capsys.readouterr().out.splitlines()[:-1]
    assert set(told) == {f"{line}removed" for line in lines}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.READY, "left as it is, for it cannot be developed anew"),
        (Status.UPLOADED, "left to its worker, which will say so in the record"),
    ],
)
async def test_what_cannot_be_fixed_says_why(
    services: Services, capsys: pytest.CaptureFixture[str], status: Status, outcome: str
) -> None:
    """And remains."""
    image = await kept(services, status, variants=1, without=["source"])
    assert not await print_orphans(services, fix=True, as_json=False)
    told = capsys.readouterr().out.splitlines()[0]
    size = f"1 object of {len(BODY)} bytes"
    assert told == f"{status} record whose source is gone: {image.id}, {size}: {outcome}"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mongo_url": "nonsense"}, "DARKROOM_MONGO_URL is wrong"),
        ({"s3_endpoint": "http://127.0.0.1:9"}, "DARKROOM_S3_ENDPOINT"),
    ],
)
async def test_what_keeps_it_from_looking_ends_with_2(
    settings: Settings, change: dict[str, str], complaint: str
) -> None:
    """In one line; it is not taken for a finding."""
    status, out, err = await doctor(settings.model_copy(update=change), "--orphans")
    assert (status, out) == (2, "")
    assert complaint in err.splitlines()[-1]


async def test_interrupted_it_ends_with_130(corner: Settings) -> None:
    """Without a traceback, while it waits for a store that says nothing."""
    callers: list[asyncio.StreamWriter] = []

    async def asked() -> bool:
        return bool(callers)

    async with await asyncio.start_server(lambda _, writer: callers.append(writer), "127.0.0.1") as silent:
        port = silent.sockets[0].getsockname()[1]
        silence = {"s3_endpoint": f"http://127.0.0.1:{port}"}
        process = await started(corner.model_copy(update=silence), "--orphans")
        try:
            await until(asked)
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
            for caller in callers:
                caller.close()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
