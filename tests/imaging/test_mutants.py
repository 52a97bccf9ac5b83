"""Ten thousand broken files: every one is developed or refused with a code, and no child is lost."""

import asyncio
import random
from collections import Counter
from contextlib import aclosing
from pathlib import Path

from jobs.errors import ProblemCode, Rejection
from jobs.formats import EVERYDAY, SourceFormat
from jobs.imaging.pool import DevelopingPool
from jobs.presets import Preset, VariantSpec
from tests.imaging import reels, samples
from tests.imaging.reels import Part
from tests.imaging.test_animation import moving

MUTANTS = 10_000
PRESET = Preset(variants=(VariantSpec(name="a", width=16),))
FORMATS = (*EVERYDAY, SourceFormat.TIFF, SourceFormat.BMP)
_PARTS = (
    Part(samples.RED, disposal=3),
    Part(samples.BLUE, (4, 4, 12, 14), disposal=2),
    Part(samples.GREEN, (0, 2, 8, 8)),
)


def _sources() -> list[bytes]:
    """Small files of every kind that is developed."""
    exif = samples.oriented(6)
    return [
        *(samples.source(format_, 24, 16) for format_ in samples.FORMATS),
        *(moving(format_, size=(12, 8)) for format_ in ("gif", "webp", "png", "avif")),
        *(samples.flat("red", format_=format_, size=(12, 8)) for format_ in ("tiff", "bmp")),
        samples.saved(samples.picture(24, 16), "jpeg", progressive=True, icc_profile=b"x" * 300),
        samples.saved(samples.picture(24, 16).convert("CMYK"), "jpeg"),
        samples.saved(samples.picture(24, 16), "tiff", compression="tiff_lzw"),
        samples.inserted(samples.palette(), (b"cICP", b"\x0c\x0d\0\1")),
        samples.inserted(
            samples.source("png", 24, 16), (b"gAMA", bytes(3) + b"\xff"), (b"cHRM", b"\0\0z&" * 8)
        ),
        samples.tiff_of({258: (12,), 262: (1,)}, bytes(96)),
        *(make(*_PARTS) for make in (reels.gif, reels.apng, reels.webp)),
        samples.palette(),
        samples.half_clear("webp"),
        samples.located("png"),
        exif,
    ]


def _mutant(source: bytes, chance: random.Random) -> bytes:
    """The file with some of it overwritten, left out, doubled or cut off."""
    body = bytearray(source)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(body))
        length = min(chance.choice((1, 2, 4, 32)), len(body) - at)
        match chance.randrange(6):
            case 0:
                body[at] ^= 1 << chance.randrange(8)
            case 1:
                body[at : at + length] = chance.randbytes(length)
            case 2:
                body[at : at + length] = chance.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
            case 3 if len(body) > 40:
                del body[at : at + length]
            case 4:
                body[at:at] = body[at : at + length]
            case _:
                del body[max(20, at) :]
    return bytes(body)


async def test_no_mutant_gets_through(tmp_path: Path) -> None:
    """The seed is fixed: whoever finds a failure finds it again."""
    chance = random.Random(20_260_601)  # noqa: S311 - not for secrets
    sources = _sources()
    mutants = (_mutant(chance.choice(sources), chance) for _ in range(MUTANTS))
    outcomes: Counter[str] = Counter()

    async with DevelopingPool(2, cpu_seconds=5, wall_seconds=30, accepted=FORMATS, max_tasks=MUTANTS) as pool:
        before = pool.pids

        async def work(name: str) -> None:
            folder = tmp_path / name
            folder.mkdir()
            source = folder / "source"
            for mutant in mutants:
                source.write_bytes(mutant)
                try:
                    async with aclosing(pool.develop(source, PRESET, folder)) as messages:
                        async for _ in messages:
                            pass
                    outcomes["ready"] += 1
                except Rejection as rejection:
                    outcomes[rejection.code] += 1

        await asyncio.gather(work("one"), work("two"))
        assert pool.pids == before
    assert outcomes.total() == MUTANTS
    assert set(outcomes) <= {"ready", *ProblemCode}
    assert min(outcomes["ready"], outcomes[ProblemCode.DAMAGED_IMAGE]) > MUTANTS / 10
