"""What tests of imaging share."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from jobs.imaging.messages import Inspected, PlaceholderMade, RenditionMade
from jobs.imaging.pipeline import develop
from jobs.presets import Preset, VariantSpec

ONE = Preset(variants=(VariantSpec(name="one", width=4096, quality=95),))


class Developed(NamedTuple):
    """Everything that came of a source."""

    inspected: Inspected
    placeholder: PlaceholderMade
    renditions: list[RenditionMade]

    @property
    def largest(self) -> Image.Image:
        """The largest rendition, decoded."""
        with Image.open(self.renditions[-1].path) as image:
            image.load()
            return image


Develop = Callable[..., Developed]


@pytest.fixture
def developed(tmp_path: Path) -> Develop:
    """Develop bytes, at their own size where no other preset is given."""

    def run(source: bytes, preset: Preset = ONE) -> Developed:
        path = tmp_path / "source"
        path.write_bytes(source)
        messages = list(develop(path, preset, tmp_path))
        inspected, placeholder, *renditions = messages
        assert isinstance(inspected, Inspected)
        assert isinstance(placeholder, PlaceholderMade)
        return Developed(
            inspected, placeholder, [made for made in renditions if isinstance(made, RenditionMade)]
        )

    return run
