"""What tests of imaging share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from jobs.formats import EVERYDAY, SourceFormat, VariantFormat
from jobs.imaging.messages import Inspected, PlaceholderMade, RenditionMade
from jobs.imaging.pipeline import develop
from jobs.presets import Preset, VariantSpec

ONE = Preset(variants=(VariantSpec(name="one", width=4096, quality=95),))


class Made(NamedTuple):
    """A rendition, and the file that it is."""

    name: str
    format: VariantFormat
    width: int
    height: int
    path: Path


class Developed(NamedTuple):
    """Everything that came of a source."""

    inspected: Inspected
    placeholder: PlaceholderMade
    renditions: list[Made]

    @property
    def largest(self) -> Image.Image:
        """The largest rendition, decoded."""
        return self.opened(-1)

    def opened(self, which: int | str) -> Image.Image:
        """One rendition, decoded: by its place, or by the name of its file."""
        path = next(
            made.path
            for at, made in enumerate(self.renditions)
            if which in (at, at - len(self.renditions), made.path.name)
        )
        with Image.open(path) as image:
            image.load()
            return image


Develop = Callable[..., Developed]


@pytest.fixture
def developed(tmp_path: Path) -> Develop:
    """Develop bytes, at their own size where no other preset is given."""

    def run(source: bytes, preset: Preset = ONE, accepted: tuple[SourceFormat, ...] = EVERYDAY) -> Developed:
        path = tmp_path / "source"
        path.write_bytes(source)
        messages = list(develop(path, preset, accepted, tmp_path))
        inspected, placeholder, *renditions = messages
        assert isinstance(inspected, Inspected)
        assert isinstance(placeholder, PlaceholderMade)
        made = [
            Made(told.name, told.format, told.width, told.height, tmp_path / told.filename)
            for told in renditions
            if isinstance(told, RenditionMade)
        ]
        return Developed(inspected, placeholder, made)

    return run


def address_space() -> int:
    """What a child has mapped, of libraries for the most part, before it has seen a file."""
    code = (
        "import jobs.imaging.child as child; child.load_codecs();"
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmSize')))"
    )
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) * 1024
