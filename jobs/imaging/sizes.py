"""Sizes: which renditions to make, and how each comes from the next larger one."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from jobs.presets import VariantSpec

_LONGEST_SIDE = 16_383  # pixels; what a WebP can have


class Rendition(NamedTuple):
    """A variant to make, in pixels as it is seen."""

    spec: VariantSpec
    width: int
    height: int


def plan(specs: Sequence[VariantSpec], seen: tuple[int, int]) -> list[Rendition]:
    """The renditions of a picture `seen` that large, the smallest first.

    None is larger than the picture: a spec that would be gets the picture's own size, and is left out where
    it would only repeat another.
    """
    width, height = seen
    fit = min(1.0, _LONGEST_SIDE / max(seen))
    renditions: list[Rendition] = []
    made: set[object] = set()
    for spec in sorted(specs, key=lambda spec: spec.width):
        scale = min(spec.width / width, fit)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        look = size, spec.format, spec.quality, spec.effort
        if look not in made:
            made.add(look)
            renditions.append(Rendition(spec, *size))
    return renditions


def shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image at `size`, in pixels; itself if that is its size."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def chain(top: Image.Image, renditions: Sequence[Rendition]) -> list[Image.Image]:
    """A picture for each rendition, in their order; each is shrunk from the next larger."""
    pictures: list[Image.Image] = []
    for rendition in reversed(renditions):
        pictures.append(shrink(pictures[-1] if pictures else top, (rendition.width, rendition.height)))
    return pictures[::-1]
