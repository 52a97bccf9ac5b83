"""The pipeline, as a child runs it."""

from pathlib import Path

from jobs.formats import EVERYDAY
from jobs.imaging import child
from jobs.imaging.pipeline import develop
from jobs.presets import DEFAULT_PRESET
from tests.bench.imaging.measured import measure


def recipe(source: Path, out: Path) -> None:
    """All variants of the default preset."""
    for _ in develop(source, DEFAULT_PRESET, EVERYDAY, out):
        pass


child.load_codecs()
measure(recipe)
