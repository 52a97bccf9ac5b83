"""The developer: makes variants of what a client sent, and does what its first word says."""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from jobs.errors import ProblemCode, Rejection, Unavailable
from jobs.formats import VariantFormat
from jobs.imaging.messages import Finished, Inspected, Message, PlaceholderMade, RenditionMade
from jobs.imaging.pool import ChildDied
from jobs.presets import Preset

GOOD, BAD, SPOILT, DEADLY = b"good", b"bad", b"spoilt", b"deadly"  # the last ends each child


def rendition(source: bytes, name: str) -> bytes:
    """What a variant of `source` consists of."""
    return hashlib.sha256(source + name.encode()).digest()


class ScriptedDeveloper:
    """A `Developer` whose children die, hang and are hindered as often as `rate` says when asked."""

    def __init__(self, rng: random.Random, rate: Callable[[], float]) -> None:
        self._rng = rng
        self._rate = rate

    async def develop(self, source: Path, preset: Preset, out: Path) -> AsyncGenerator[Message, None]:
        """Tell of each variant of the preset, in its order."""
        body = source.read_bytes()
        kind = body.split(b":")[0]
        await self._work()
        if kind == BAD:
            raise Rejection(ProblemCode.DAMAGED_IMAGE, "Broken.")
        yield Inspected(format="jpeg", content_type="image/jpeg", width=20, height=10, frame_count=1)
        yield PlaceholderMade(thumbhash="AA==", dominant_color="#000000", perceptual_hash="0" * 16)
        for number, spec in enumerate(preset.variants, 1):
            await self._work()
            made = RenditionMade(name=spec.name, format=VariantFormat.WEBP, width=number, height=1)
            (out / made.filename).write_bytes(rendition(body, spec.name))
            yield made
        await self._work()
        if kind == SPOILT:
            raise Rejection(ProblemCode.TOO_COSTLY, "It takes too long.")
        if kind == DEADLY:
            raise ChildDied
        yield Finished(seconds=0.5)

    async def _work(self) -> None:
        """Take some time, at times too much, unless something happens."""
        await asyncio.sleep(self._rng.choices((0.1, 8.0), (9, 1))[0] * self._rng.random())
        if self._rng.random() < self._rate():
            what = self._rng.randrange(4)
            if what == 0:
                raise ChildDied
            if what == 1:
                raise RuntimeError("a mistake of ours")
            if what == 2:
                raise Unavailable("There is no room.")
            await asyncio.sleep(60)
