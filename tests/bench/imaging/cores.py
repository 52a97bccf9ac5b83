"""How much two cores do that one does, and how soon the first thumbnail is there: through the real pool."""

import asyncio
import statistics
import tempfile
import time
from contextlib import aclosing
from io import BytesIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.imaging.messages import RenditionMade
from jobs.imaging.pool import DevelopingPool
from jobs.presets import DEFAULT_PRESET
from tests.bench.imaging.photos import photo

IMAGES = 24
ROUNDS = 3


async def main() -> None:
    """Print images a second with one child and with two, and the time to the first variant."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source"
        buffer = BytesIO()
        photo(4000, 3000).save(buffer, "JPEG", quality=92)
        source.write_bytes(buffer.getvalue())
        rates: dict[int, list[float]] = {1: [], 2: []}
        firsts: list[float] = []
        for _ in range(ROUNDS):
            for children, found in rates.items():
                rate, soonest = await _rate(children, source, folder)
                found.append(rate)
                if children == 1:
                    firsts += soonest
    one, two = (statistics.median(rates[children]) for children in (1, 2))
    table = Table(title="12 megapixel JPEG through the pool", title_justify="left")
    for column in ("", "median", "target"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("one child", f"{one:.2f} images/s", "")
    table.add_row("two children", f"{two:.2f} images/s", "")
    table.add_row("two of one", f"{two / one:.2f}", ">= 1.85")
    table.add_row("first variant after", f"{statistics.median(firsts) * 1e3:.0f} ms", "< 100 ms")
    Console().print(table)


async def _rate(children: int, source: Path, folder: Path) -> tuple[float, list[float]]:
    firsts: list[float] = []
    async with DevelopingPool(children, cpu_seconds=60, wall_seconds=60) as pool:

        async def work(name: str, count: int) -> None:
            out = folder / name
            out.mkdir(exist_ok=True)
            for _ in range(count):
                began, first = time.perf_counter(), None
                async with aclosing(pool.develop(source, DEFAULT_PRESET, out)) as messages:
                    async for message in messages:
                        if first is None and isinstance(message, RenditionMade):
                            first = time.perf_counter() - began
                            firsts.append(first)

        names = [f"out-{child}" for child in range(children)]
        await asyncio.gather(*(work(name, 2) for name in names))  # warm
        firsts.clear()
        began = time.perf_counter()
        await asyncio.gather(*(work(name, IMAGES // children) for name in names))
        return IMAGES / (time.perf_counter() - began), firsts
