"""`make chaos`: every scenario at full scale, or those whose names contain a word of ARGS."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.all import SCENARIOS
from tests.chaos.fleet import backing_services
from tests.chaos.scenarios import FULL, SHORT


async def main(words: list[str]) -> int:
    """Run them, print their figures; 1 if anything is wrong."""
    scale = SHORT if os.environ.get("QUICK") else FULL
    chosen = {
        name: run
        for name, run in SCENARIOS.items()
        if not words or any(word.lower() in name.lower() for word in words)
    }
    table = Table("Fault", "Uploads", "Shown", "Wrong", "Seconds", show_lines=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="darkroom-chaos-") as folder:
        async with backing_services(Path(folder) / "services") as backing:
            for number, (name, run) in enumerate(chosen.items()):
                began = time.monotonic()
                outcome = await run(backing, Path(folder) / f"fleet-{number}", scale)
                shown = "\n".join(f"{figure}: {value}" for figure, value in outcome.figures.items())
                wrong = "\n".join(outcome.wrong[:10]) or "nothing"
                failed += len(outcome.wrong)
                row = (name, str(outcome.uploads), shown, wrong, f"{time.monotonic() - began:.0f}")
                table.add_row(*row)
                Console(stderr=True).print(*row, sep=" | ")
    Console(width=130).print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("DARKROOM_LOG_LEVEL", "info")
    sys.exit(asyncio.run(main(sys.argv[1:])))
