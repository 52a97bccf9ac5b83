"""`darkroom upload`, typed as a user types it, against a whole system."""

import asyncio
import hashlib
import io
import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.ExifTags import Base
from PIL.Image import Transpose

from jobs.bucket import prepare_bucket
from jobs.embedded import Embedded
from jobs.images import Status
from jobs.settings import Settings
from jobs.supervise import free_port
from tests.conftest import settings_for
from tests.imaging import samples
from tests.system import System, running_system

DARKROOM = Path(sys.executable).with_name("darkroom")
WIDTH, HEIGHT = 1200, 800


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The changes that `--json` printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, dict[str, Any]]:
        """The last line of each file."""
        return {line["filename"]: line for line in self.lines}


async def started(*arguments: str | Path) -> asyncio.subprocess.Process:
    """The command, running."""
    return await asyncio.create_subprocess_exec(
        DARKROOM, "upload", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def upload(*arguments: str | Path, url: str) -> Ended:
    """The command's end, told in JSON."""
    process = await started("--json", "--url", url, *arguments)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture(scope="module")
async def system(embedded: Embedded) -> AsyncIterator[System]:
    """Everything, once for all of these tests."""
    settings = settings_for(embedded, "test-upload-command")
    queue_url = await prepare_bucket(settings, events_queue=settings.namespace)
    async with running_system(settings.model_copy(update={"events_queue_url": queue_url})) as running:
        yield running


def photographs(folder: Path) -> dict[str, Path]:
    """`CORNERS` in every kind of file that people have."""
    upright = samples.picture(WIDTH, HEIGHT)
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    seen_through = upright.convert("RGBA")
    seen_through.putalpha(Image.new("L", upright.size, 255))
    seen_through.paste(
        Image.merge("RGBA", (*upright.crop((0, 0, WIDTH // 2, HEIGHT)).split(), half_clear())), (0, 0)
    )
    files = {
        "phone.JPG": samples.saved(
            upright.transpose(Transpose.ROTATE_90), "jpeg", exif=exif.tobytes(), quality=95, subsampling=0
        ),
        "logo.png": samples.saved(seen_through, "png"),
        "web.webp": samples.source("webp", WIDTH, HEIGHT),
        "new.avif": samples.source("avif", WIDTH, HEIGHT),
        "print.jpeg": samples.saved(upright.convert("CMYK"), "jpeg", quality=95, subsampling=0),
    }
    for name, body in files.items():
        (folder / name).write_bytes(body)
    return {name: folder / name for name in files}


def half_clear() -> Image.Image:
    """The alpha of the left half of `logo.png`."""
    return Image.new("L", (WIDTH // 2, HEIGHT), 128)


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """The colors in the middle of each quarter, and how opaque they are."""
    width, height = image.size
    places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    colors = [image.convert("RGBA").getpixel(place) for place in places]
    return [color for color in colors if isinstance(color, tuple)]


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether nobody would see a difference."""
    return all(abs(a - b) <= 10 for a, b in zip(one, other, strict=True))


async def test_photographs_of_every_kind_become_variants_to_look_at(system: System, tmp_path: Path) -> None:
    """Upright, in their own colors, as large as told, and each change of each is one line."""
    files = photographs(tmp_path)
    ended = await upload(tmp_path, url=system.url)
    assert (ended.status, ended.err) == (0, "")
    assert ended.last.keys() == files.keys()
    assert all(line.keys() == {"filename", "id", "status", "variants", "problem"} for line in ended.lines)
    for name, last in ended.last.items():
        assert (last["status"], last["problem"]) == ("READY", None), name
        lines = [line for line in ended.lines if line["filename"] == name]
        counts = [len(line["variants"]) for line in lines]
        assert counts == sorted(counts), name  # they appear one after the other
        statuses = [status for status, _ in groupby(line["status"] for line in lines)]
        way = ["PENDING", "UPLOADED", "PROCESSING", "READY"]
        assert statuses == [status for status in way if status in statuses], name
        assert statuses[0] == "PENDING", name
        assert [(v["name"], v["width"], v["height"]) for v in last["variants"]] == [
            ("w320", 320, 213),
            ("w640", 640, 427),
            ("w1280", WIDTH, HEIGHT),
        ], name
        left = 128 if name == "logo.png" else 255
        expected = [(*color, alpha) for color, alpha in zip(samples.CORNERS, (left, 255) * 2, strict=True)]
        for variant in last["variants"]:
            assert variant.keys() == {"name", "format", "width", "height", "byteSize", "url"}
            answer = await system.http.get(variant["url"])
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/webp"
            assert len(answer.content) == variant["byteSize"]
            shown = Image.open(io.BytesIO(answer.content))
            assert (shown.format, shown.size) == ("WEBP", (variant["width"], variant["height"]))
            assert variant["format"] == "webp"
            assert all(map(near, corners(shown), expected)), (name, variant["name"], corners(shown))
            assert shown.getexif() == {}


async def test_what_only_calls_itself_a_picture_is_rejected(system: System, tmp_path: Path) -> None:
    """The bytes decide, and the command has failed."""
    path = tmp_path / "text.jpg"
    path.write_text("Dear diary,\n" * 20)
    ended = await upload(path, url=system.url)
    assert ended.status == 1
    last = ended.lines[-1]
    assert (last["status"], last["variants"], last["problem"]["code"]) == ("REJECTED", [], "NOT_AN_IMAGE")
    assert last["problem"].keys() == {"code", "message"}


async def test_one_bad_file_takes_no_good_one_with_it(system: System, tmp_path: Path, photo: Path) -> None:
    """All others get ready, though the command as a whole has failed."""
    text, note, empty = tmp_path / "text.jpg", tmp_path / "note.txt", tmp_path / "empty.png"
    text.write_text("no picture, among others")
    note.write_text("no picture either")
    empty.touch()
    other = tmp_path / "other.png"
    other.write_bytes(samples.source("png"))
    ended = await upload(text, photo, note, empty, other, url=system.url)
    assert ended.status == 1
    assert {name: last["status"] for name, last in ended.last.items()} == {
        "photo.jpg": "READY",
        "other.png": "READY",
        "text.jpg": "REJECTED",
        "note.txt": "REJECTED",
        "empty.png": "REJECTED",
    }
    assert ended.last["empty.png"]["problem"]["code"] == "EMPTY_FILE"


async def test_a_file_that_the_api_refuses_is_told_like_any_other(system: System, tmp_path: Path) -> None:
    """It never became an image, so its one line has no id."""
    path = tmp_path / "note.txt"
    path.write_text("no picture")
    ended = await upload(path, url=system.url)
    assert ended.status == 1
    (line,) = ended.lines
    assert line.keys() == {"filename", "id", "status", "variants", "problem"}
    assert (line["id"], line["status"], line["variants"]) == (None, "REJECTED", [])
    assert line["problem"]["code"] == "UNSUPPORTED_TYPE"


async def test_an_unknown_preset_is_named_as_the_problem(system: System, photo: Path) -> None:
    """Nothing is uploaded."""
    ended = await upload(photo, "--preset", "no-such", url=system.url)
    assert ended.status == 1
    (line,) = ended.lines
    assert (line["id"], line["problem"]["code"]) == (None, "UNKNOWN_PRESET")
    assert "default" in line["problem"]["message"]


@pytest.mark.parametrize("name", ["missing.jpg", "."])
async def test_nothing_to_upload_is_bad_usage(tmp_path: Path, name: str) -> None:
    """Neither a path that is not there nor a folder without images reaches the server."""
    (tmp_path / "note.txt").write_text("no picture")
    ended = await upload(tmp_path / name, url="http://127.0.0.1:1")
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1


async def test_folders_below_are_looked_into_only_when_asked(system: System, tmp_path: Path) -> None:
    """A folder stands for the images in it, whatever else lies there."""
    below = tmp_path / "below" / "deeper"
    below.mkdir(parents=True)
    for path in (tmp_path / "top.jpg", below / "deep.jpg"):
        path.write_bytes(samples.source())
    (below / "note.txt").write_text("no picture")
    flat, deep = await asyncio.gather(
        upload(tmp_path, url=system.url), upload(tmp_path, "-r", url=system.url)
    )
    assert (flat.status, set(flat.last)) == (0, {"top.jpg"})
    assert (deep.status, set(deep.last)) == (0, {"top.jpg", "deep.jpg"})


async def test_more_files_than_one_request_takes_all_get_ready(system: System, tmp_path: Path) -> None:
    """They go in batches, and none is lost between two."""
    for number in range(60):
        (tmp_path / f"{number}.png").write_bytes(samples.flat((number, 0, 0), size=(8, 8)))
    ended = await upload(tmp_path, "--concurrency", "16", url=system.url)
    assert ended.status == 0
    assert [last["status"] for last in ended.last.values()] == ["READY"] * 60


async def test_people_read_one_line_for_each_file(system: System, tmp_path: Path, photo: Path) -> None:
    """Without a terminal and without `--json`, it says how each file ended, and why."""
    text = tmp_path / "text.png"
    text.write_text("no picture")
    process = await started(photo, text, "--url", system.url)
    out, _ = await process.communicate()
    assert process.returncode == 1
    first, second = sorted(out.decode().splitlines())
    assert first == f"{photo}: ready, 1 variant"
    assert re.fullmatch(re.escape(f"{text}: rejected: ") + r".+ \(NOT_AN_IMAGE\)", second)


async def test_a_terminal_shows_bars(system: System, tmp_path: Path) -> None:
    """Whatever a file is called: brackets in its name are no markup."""
    path = tmp_path / "a [red] one.jpg"
    path.write_bytes(samples.source())
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    terminal, its_end = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            DARKROOM, "upload", path, text, "--url", system.url,
            stdin=asyncio.subprocess.DEVNULL, stdout=its_end, stderr=its_end,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        )  # fmt: skip
    finally:
        os.close(its_end)
    shown = " ".join((await asyncio.to_thread(_all_of, terminal)).split())
    assert await process.wait() == 1
    assert "a [red] one.jpg" in shown
    assert "ready, 1 variant" in shown
    # However narrow it is, the reason is all there.
    assert "rejected: Its content is not that of an image. (NOT_AN_IMAGE)" in shown


def _all_of(terminal: int) -> str:
    """What is written to a terminal until everybody has closed it."""
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as reader, suppress(OSError):
        while chunk := reader.read(4096):
            shown += chunk
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


async def test_a_name_from_another_time_is_uploaded_too(system: System, tmp_path: Path) -> None:
    """A file's name can be any bytes; those that are no text are replaced."""
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(samples.source())
    ended = await upload(path, url=system.url)
    assert (ended.status, ended.err) == (0, "")
    assert ended.last["caf�.jpg"]["status"] == "READY"


async def test_who_does_not_wait_is_done_when_the_bytes_are_stored(settings: Settings, photo: Path) -> None:
    """Though no worker has seen them."""
    async with running_system(settings, worker=False) as system:
        ended = await upload(photo, "--no-wait", url=system.url)
        assert (ended.status, ended.err) == (0, "")
        assert [line["status"] for line in ended.lines] == ["PENDING", "UPLOADED"]
        image = await system.services.catalog.get(ended.lines[-1]["id"])
        assert image is not None
        assert image.status is Status.UPLOADED


async def test_a_server_that_takes_few_files_at_once_gets_them_one_after_the_other(
    settings: Settings, tmp_path: Path
) -> None:
    """None is lost, whatever the server's limit."""
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(samples.source(width=10 + number))
    async with running_system(settings.model_copy(update={"max_upload_files": 2})) as system:
        ended = await upload(tmp_path, url=system.url)
    assert (ended.status, ended.err) == (0, "")
    assert {name: line["status"] for name, line in ended.last.items()} == {
        f"{number}.jpg": "READY" for number in range(5)
    }


async def test_a_server_that_takes_only_so_many_in_a_while_gets_them_all(
    settings: Settings, tmp_path: Path
) -> None:
    """Files and operations are held back for as long as it says."""
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(samples.source(width=10 + number))
    limits = {"rate_creations": "2/second", "rate_queries": "3/second"}
    async with running_system(settings.model_copy(update=limits)) as system:
        ended = await upload(tmp_path, url=system.url)
    assert ended.status == 0
    assert {name: line["status"] for name, line in ended.last.items()} == {
        f"{number}.jpg": "READY" for number in range(5)
    }
    assert all(re.fullmatch(r"the server takes more files in \d s", line) for line in ended.err.splitlines())
    assert ended.err


async def test_who_would_have_to_wait_for_long_is_told_so(settings: Settings, tmp_path: Path) -> None:
    """The files that were taken are uploaded; of the others it says why not."""
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(samples.source(width=10 + number))
    async with running_system(settings.model_copy(update={"rate_creations": "2/day"})) as system:
        ended = await upload(tmp_path, url=system.url)
    assert (ended.status, ended.err) == (1, "")
    assert [line["status"] for line in ended.last.values()].count("READY") == 2
    (problem,) = (line["problem"] for line in ended.last.values() if line["problem"])
    assert problem["code"] == "RATE_LIMITED"


async def test_ctrl_c_ends_the_waiting(settings: Settings, photo: Path) -> None:
    """At once, without a word, and with the status that shells know."""
    async with running_system(settings, worker=False) as system:
        process = await started("--json", "--url", system.url, photo)
        assert process.stdout is not None
        async for line in process.stdout:
            if json.loads(line)["status"] == "UPLOADED":
                process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert (process.returncode, err) == (130, b"")


async def test_only_who_has_a_key_can_upload(settings: Settings, photo: Path) -> None:
    """A key that is not known ends in one line, not in an upload."""
    keys = {"somebody": hashlib.sha256(b"the key").hexdigest()}
    async with running_system(settings.model_copy(update={"auth": "keys", "api_keys": keys})) as system:
        right, wrong = await asyncio.gather(
            upload(photo, "--key", "the key", url=system.url), upload(photo, "--key", "clé", url=system.url)
        )
    assert (right.status, right.lines[-1]["status"]) == (0, "READY")
    assert (wrong.status, wrong.out, len(wrong.err.splitlines())) == (1, "", 1)


async def test_a_server_that_is_not_there_is_named(photo: Path) -> None:
    """In the one line that says so."""
    url = f"http://127.0.0.1:{free_port()}"
    ended = await upload(photo, url=url)
    assert (ended.status, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert url in ended.err


@pytest.mark.parametrize(
    "url", ["http://[", "http://a b", "localhost:8000", "", "ftp://x", "http://127.0.0.1:99999"]
)
async def test_a_url_that_is_none_is_bad_usage(photo: Path, url: str) -> None:
    """Told in one line, with the status for it."""
    ended = await upload(photo, url=url)
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert url in ended.err


@pytest.mark.parametrize("key", ["wr\nong", "wrong\r"])
async def test_a_key_that_no_request_can_carry_is_bad_usage(photo: Path, key: str) -> None:
    """And what it is goes into no log."""
    ended = await upload(photo, "--key", key, url="http://127.0.0.1:9")
    assert (ended.status, ended.out) == (2, "")
    assert "key" in ended.err
    assert "wr" not in ended.err
    assert "ong" not in ended.err


async def test_this_machine_is_reached_directly(
    system: System, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever proxy the environment names for the world."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    ended = await upload(photo, url=system.url)
    assert (ended.status, ended.err, ended.lines[-1]["status"]) == (0, "", "READY")


async def test_without_waiting_a_line_tells_the_id(system: System, photo: Path) -> None:
    """By which the image can be followed later."""
    process = await asyncio.create_subprocess_exec(
        DARKROOM, "upload", "--no-wait", "--url", system.url, photo, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert re.search(r"photo\.jpg: (uploaded|processing|ready) as img_[0-9a-f]{32}", out.decode())


@pytest.mark.parametrize("url", ["{s3}", "{s3}/_ministack/health"])
async def test_a_url_that_is_no_darkroom_is_named(embedded: Embedded, photo: Path, url: str) -> None:
    """Whatever is there instead."""
    url = url.format(s3=embedded.s3_endpoint)
    ended = await upload(photo, url=url)
    assert (ended.status, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert url in ended.err


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no such file")
async def test_a_file_that_cannot_be_read_takes_no_other_with_it(system: System, photo: Path) -> None:
    """It is told like one that the API refuses."""
    ended = await upload("/proc/self/mem", photo, url=system.url)
    assert (ended.status, ended.err) == (1, "")
    assert ended.last["mem"]["id"] is None
    assert ended.last["mem"]["problem"]["code"] == "UNREADABLE_FILE"
    assert ended.last["photo.jpg"]["status"] == "READY"


@pytest.mark.parametrize("at", [b'"next"', b"completeUpload"])
async def test_a_lost_connection_loses_no_change(system: System, photo: Path, at: bytes) -> None:
    """A subscription is taken up again where it was cut, and a hint that got lost was only a hint."""
    async with _cutting(system.url, at) as (url, cuts):
        ended = await upload(photo, url=url)
    assert cuts == [at]
    assert (ended.status, ended.err) == (0, "")
    assert ended.lines[-1]["status"] == "READY"


@asynccontextmanager
async def _cutting(url: str, at: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Another way to `url`, which cuts the first connection that says `at`, before it is heard."""
    host, port = url.removeprefix("http://").split(":")
    cuts: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            if at in chunk and not cuts:
                cuts.append(at)
                return
            writer.write(chunk)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        api_reader, api_writer = await asyncio.open_connection(host, int(port))
        ways = [asyncio.create_task(pipe(*way)) for way in ((reader, api_writer), (api_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, api_writer):
            end.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cuts
