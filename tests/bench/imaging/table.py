"""The benchmark of imaging: every recipe over every input, interleaved, each pass in a process of its own.

Processor time, not wall time: the machine may be busy. Medians of the rounds; bytes and likeness are the same
in each. A picture that is turned, or in other colours, has none to be compared with: not all recipes see to
it.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.imaging.photos import write_inputs

ROUNDS = int(os.environ.get("ROUNDS", "5"))
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_VENV = Path(sys.prefix)
_ONE_CORE = ["taskset", "-c", "0"] if shutil.which("taskset") else []


class Recipe(NamedTuple):
    """A way to make the variants of the default preset; `command` is given the source and a folder."""

    name: str
    command: list[str]
    environment: dict[str, str]


@dataclass
class Result:
    """What a recipe cost for one input, a number for each round, and what came out."""

    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    byte_size: int = 0
    likeness: dict[str, float] = field(default_factory=dict)


def recipes() -> list[Recipe]:
    """Those that can run here."""
    own = {"PYTHONPATH": str(_ROOT)}
    python, bench, thumbor = sys.executable, _VENV / "bench/bin/python", _VENV / "thumbor/bin/python"
    modules = _VENV / "sharp/node_modules"

    def ours(name: str) -> list[str]:
        return [python, "-m", f"tests.bench.imaging.recipe_{name}"]

    found = [
        Recipe("Darkroom", ours("darkroom"), own),
        Recipe("codec floor", ours("floor"), own),
        Recipe("Pillow, naive", ours("pillow"), own),
    ]
    for how in ("straight", "best"):
        choice = {"RECIPE": how}
        if modules.exists():
            script = [shutil.which("node") or "node", str(_HERE / "sharp/recipe.js")]
            found.append(Recipe(f"sharp, {how}", script, choice | {"NODE_PATH": str(modules)}))
        if bench.exists():
            found.append(Recipe(f"libvips, {how}", [str(bench), str(_HERE / "recipe_vips.py")], choice))
    if thumbor.exists():
        found.append(Recipe("thumbor", [str(thumbor), str(_HERE / "recipe_thumbor.py")], {}))
    return found


def main() -> None:
    """Print a table for each input."""
    out = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        inputs = write_inputs(Path(folder))
        results = _measured(inputs, Path(folder))
        for name, source in inputs.items():
            out.print(_table(f"{name}, {source.stat().st_size / 1e6:.1f} MB", results[name]))


def _measured(inputs: dict[str, Path], folder: Path) -> dict[str, dict[str, Result]]:
    results: defaultdict[str, defaultdict[str, Result]] = defaultdict(lambda: defaultdict(Result))
    for number in range(ROUNDS):
        for name, source in inputs.items():
            for recipe in recipes():
                made = folder / name / recipe.name
                made.mkdir(parents=True, exist_ok=True)
                command = [*_ONE_CORE, *recipe.command, str(source), str(made)]
                run = subprocess.run(
                    command, env=os.environ | recipe.environment, capture_output=True, check=False, text=True
                )
                if run.returncode:
                    continue  # it cannot: thumbor's engine keeps no animation, for one
                told = json.loads(run.stdout.splitlines()[-1])
                result = results[name][recipe.name]
                result.cpu.append(told["cpu"])
                result.peak.append(told["peak"])
                if number == 0:
                    variants = sorted(made.iterdir())
                    result.byte_size = sum(variant.stat().st_size for variant in variants)
                    if source.suffix != ".gif" and "turned" not in name:
                        result.likeness = _likeness(source, variants)
    return {name: dict(found) for name, found in results.items()}


def _likeness(source: Path, variants: list[Path]) -> dict[str, float]:
    python = _VENV / "bench/bin/python"
    if not python.exists():
        return {}
    lines = "".join(f"{source}\t{variant}\n" for variant in variants)
    run = subprocess.run(
        [str(python), str(_HERE / "likeness.py")], input=lines, capture_output=True, check=True, text=True
    )
    return {
        variant.stem: float(line) for variant, line in zip(variants, run.stdout.splitlines(), strict=True)
    }


def _table(title: str, results: dict[str, Result]) -> Table:
    table = Table(title=title, title_justify="left")
    columns = ("", "CPU", "of sharp", "of libvips", "of floor", "peak", "bytes", "SSIM 640", "SSIM top")
    for column in columns:
        table.add_column(column, justify="left" if not column else "right")
    cpu = {name: statistics.median(result.cpu) for name, result in results.items()}
    for name, result in results.items():
        likeness = result.likeness
        top = max(likeness, key=lambda stem: int(stem[1:]), default="")
        table.add_row(
            name,
            f"{cpu[name] * 1e3:.0f} ms",
            *(
                f"{cpu[name] / cpu[other]:.2f}" if other in cpu else ""
                for other in ("sharp, straight", "libvips, best", "codec floor")
            ),
            f"{statistics.median(result.peak) / 1e6:.0f} MB",
            f"{result.byte_size / 1e3:.0f} K",
            f"{likeness['w640']:.4f}" if "w640" in likeness else "",
            f"{likeness[top]:.4f}" if top else "",
        )
    return table
