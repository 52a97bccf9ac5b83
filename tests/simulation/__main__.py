"""`python -m tests.simulation SEED [COUNT]`: show one history, or look at many for what is wrong."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.simulation.verdict import simulate
from tests.simulation.world import settings_for


def main(seed: int, count: int | None = None) -> None:
    """Print each step of one history, or the seeds of the wrong ones among many; and what is wrong."""
    with TemporaryDirectory() as scratch:
        settings = settings_for(Path(scratch))
        for each in range(seed, seed + (count or 1)):
            outcome = simulate(each, settings)
            for at, call, what in outcome.steps if count is None else ():
                print(f"{at:10.3f} s  {call:<24} {what}")
            for complaint in outcome.wrong:
                print(f"seed {each}: {complaint}")


main(*map(int, sys.argv[1:]))
