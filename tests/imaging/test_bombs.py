"""Small files that cost much are refused at once, by a worker that goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from jobs.errors import ProblemCode, Rejection
from jobs.formats import SourceFormat
from jobs.imaging.budget import directories, scans
from jobs.imaging.messages import Finished, Message
from jobs.imaging.pool import DevelopingPool
from jobs.presets import DEFAULT_PRESET, Preset
from tests.imaging import bombs, samples
from tests.imaging.conftest import Develop, address_space

BOMBS: dict[str, tuple[Callable[[], bytes], ProblemCode]] = {
    "2,000 scans": (bombs.jpeg_of_scans, ProblemCode.TOO_COSTLY),
    "99 scans of 50 megapixels": (bombs.jpeg_of_large_scans, ProblemCode.TOO_COSTLY),
    "20,001 frames": (bombs.gif_of_frames, ProblemCode.TOO_COSTLY),
    "WebP of 176 megapixels": (bombs.webp_of_pixels, ProblemCode.TOO_MANY_PIXELS),
    "AVIF of 176 megapixels": (bombs.avif_of_pixels, ProblemCode.TOO_MANY_PIXELS),
    "100,000 directories": (bombs.tiff_of_directories, ProblemCode.TOO_COSTLY),
    "200 MB of text": (bombs.png_of_text, ProblemCode.TOO_COSTLY),
    "200 MB of profile": (bombs.png_of_profile, ProblemCode.TOO_COSTLY),
    "PNG of 900 megapixels": (samples.boundless_png, ProblemCode.TOO_MANY_PIXELS),
    "WebP of 256 megapixels": (samples.boundless_webp, ProblemCode.TOO_MANY_PIXELS),
}
# A file that is refused may not have cost more than this.
_MEMORY = 300 * 2**20  # bytes
_CPU_SECONDS = 1


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[DevelopingPool]:
    """Two children that a second of processor time, or 300 MB, would end."""
    limits = {"cpu_seconds": _CPU_SECONDS, "wall_seconds": 60.0, "memory": address_space() + _MEMORY}
    async with DevelopingPool(2, accepted=tuple(SourceFormat), **limits) as opened:  # type: ignore[arg-type]
        yield opened


async def _developed(
    pool: DevelopingPool, source: Path, out: Path, preset: Preset = DEFAULT_PRESET
) -> list[Message]:
    out.mkdir(exist_ok=True)
    async with aclosing(pool.develop(source, preset, out)) as messages:
        return [message async for message in messages]


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_while_others_are_developed(
    pool: DevelopingPool, tmp_path: Path, name: str
) -> None:
    """With its code, by the children that were there before and are there after it."""
    make, code = BOMBS[name]
    bomb, good = tmp_path / "bomb", tmp_path / "good"
    bomb.write_bytes(make())
    good.write_bytes(samples.source("jpeg", 600, 400))
    before = pool.pids

    async def explode() -> None:
        with pytest.raises(Rejection) as refused:
            await _developed(pool, bomb, tmp_path / "a")
        assert refused.value.code is code

    async def go_on() -> None:
        for number in range(5):
            messages = await _developed(pool, good, tmp_path / f"b{number}")
            assert isinstance(messages[-1], Finished)

    await asyncio.gather(explode(), go_on())
    assert pool.pids == before


async def test_what_no_header_tells_is_ended_by_the_kernel(tmp_path: Path) -> None:
    """A file that is merely slow: its child dies, its neighbour works on."""
    slow = Preset(variants=DEFAULT_PRESET.variants, max_scans=100_000)
    bomb, good = tmp_path / "bomb", tmp_path / "good"
    bomb.write_bytes(bombs.jpeg_of_scans(3_000))
    good.write_bytes(samples.source())
    async with DevelopingPool(2, cpu_seconds=1, wall_seconds=60) as pool:

        async def explode() -> None:
            with pytest.raises(Rejection) as refused:
                await _developed(pool, bomb, tmp_path / "slow", slow)
            assert refused.value.code is ProblemCode.TOO_COSTLY

        exploding = asyncio.create_task(explode())
        while not exploding.done():
            assert isinstance((await _developed(pool, good, tmp_path / "out"))[-1], Finished)
        await exploding


@pytest.mark.parametrize("make", [bombs.jpeg_and_html, bombs.gif_and_zip])
def test_what_is_two_things_at_once_is_an_image_here(developed: Develop, make: Callable[[], bytes]) -> None:
    """Nothing of the other comes through."""
    made = developed(make())
    for rendition in made.renditions:
        content = rendition.path.read_bytes()
        assert b"<script" not in content
        assert b"PK\x03\x04" not in content


@pytest.mark.parametrize(
    ("options", "count"),
    [({}, 1), ({"progressive": True}, 10), ({"progressive": True, "mode": "L"}, 6)],
)
def test_scans_are_counted(tmp_path: Path, options: dict[str, object], count: int) -> None:
    """As the encoder wrote them; a restart or a stuffed byte is none."""
    picture = samples.picture(300, 200).convert(str(options.pop("mode", "RGB")))
    path = tmp_path / "source"
    path.write_bytes(samples.saved(picture, "jpeg", restart_marker_blocks=1, **options))
    assert scans(path, 100) == (count, 300 * 200)
    assert scans(path, 3)[0] == min(count, 4)


def test_scans_of_a_preview_do_not_count(tmp_path: Path) -> None:
    """It lies inside the metadata, a whole JPEG by itself."""
    preview = samples.source()
    path = tmp_path / "source"
    exif = b"Exif\0\0" + preview
    whole = samples.source()
    path.write_bytes(whole[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + whole[2:])
    assert scans(path, 100) == (1, 96 * 64)


@pytest.mark.parametrize("cut", [3, 5, 30, 200])
def test_what_is_cut_short_is_counted_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    """Its decoder says that it is broken."""
    path = tmp_path / "source"
    path.write_bytes(samples.source()[:cut])
    assert scans(path, 100)[0] in {0, 1}
    path.write_bytes(samples.flat("red", format_="tiff")[:cut])
    assert directories(path, 100) in {0, 1}


def test_directories_are_counted(tmp_path: Path) -> None:
    """Those of a chain that ends, and of one that does not."""
    path = tmp_path / "source"
    path.write_bytes(bombs.tiff_of_directories(7))
    assert directories(path, 100) == 8
    ring = bytearray(samples.flat("red", format_="tiff", size=(8, 8)))
    at = int.from_bytes(ring[4:8], "little")
    end = at + 2 + 12 * int.from_bytes(ring[at : at + 2], "little")
    ring[end : end + 4] = ring[4:8]
    path.write_bytes(ring)
    assert directories(path, 100) == 101
    assert directories(path, 5) == 6


def test_a_file_can_be_too_long_for_its_preset(developed: Develop) -> None:
    """One byte more than it takes is too many."""
    source = samples.source()
    preset = Preset(variants=DEFAULT_PRESET.variants, max_bytes=len(source))
    assert developed(source, preset).inspected.width == 96
    with pytest.raises(Rejection) as refused:
        developed(source + b"\0", preset)
    assert refused.value.code is ProblemCode.FILE_TOO_LARGE


def test_a_side_can_be_too_long(developed: Develop) -> None:
    """However few pixels there are."""
    preset = Preset(variants=DEFAULT_PRESET.variants, max_side=100)
    assert developed(samples.source("png", 100, 1), preset).inspected.width == 100
    with pytest.raises(Rejection) as refused:
        developed(samples.source("png", 101, 1), preset)
    assert refused.value.code is ProblemCode.TOO_MANY_PIXELS
