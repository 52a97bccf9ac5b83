"""Sizes: which renditions to make of a picture, and how large each is."""

from collections.abc import Sequence
from typing import NamedTuple

from jobs.formats import AutoFormat, VariantFormat
from jobs.presets import MAX_SIDE, Fit, VariantSpec

Size = tuple[int, int]

# What a pixel costs to encode, in pixels of WebP: roughly, by the figures of `encode`.
_COST = {VariantFormat.JPEG: 0.3, VariantFormat.WEBP: 1.0, VariantFormat.AVIF: 1.6, VariantFormat.PNG: 3.0}


class Rendition(NamedTuple):
    """A variant to make. Sizes are in pixels, as the picture is seen.

    The whole picture is brought to the size `whole`; what of it fits into `size` is shown there.
    """

    spec: VariantSpec
    format: VariantFormat
    whole: Size
    size: Size

    @property
    def cost(self) -> float:
        """How long encoding it takes, compared with others."""
        return self.size[0] * self.size[1] * _COST[self.format]


def plan(specs: Sequence[VariantSpec], seen: Size, *, see_through: bool) -> list[Rendition]:
    """The renditions of a picture `seen` that large, the cheapest first.

    None shows more pixels than the picture has: a spec that would gets the picture's own size, and is left
    out where it would only repeat another.

    Args:
        see_through: whether anything of the picture can be seen through.
    """
    renditions: list[Rendition] = []
    made: set[object] = set()
    for spec in sorted(specs, key=lambda spec: (spec.width or 0, spec.height or 0)):
        whole, size = _fitted(spec, seen)
        for format_ in spec.formats:
            chosen = _universal(spec, see_through) if isinstance(format_, AutoFormat) else format_
            key = (whole, size, chosen, spec.fit, spec.focus, spec.quality, spec.effort, spec.background)
            if key not in made:
                made.add(key)
                renditions.append(Rendition(spec, chosen, whole, size))
    return sorted(renditions, key=lambda rendition: rendition.cost)


def extremes(specs: Sequence[VariantSpec], seen: Size) -> tuple[Size, Size]:
    """The smallest and the largest size to which the whole picture is brought."""
    sizes = sorted((_fitted(spec, seen)[0] for spec in specs), key=lambda size: size[0] * size[1])
    return sizes[0], sizes[-1]


def _universal(spec: VariantSpec, see_through: bool) -> VariantFormat:
    clear = spec.background is None and (see_through or spec.fit is Fit.CONTAIN)
    return VariantFormat.PNG if clear else VariantFormat.JPEG


def _fitted(spec: VariantSpec, seen: Size) -> tuple[Size, Size]:
    """The size of the whole picture, and that of what is shown."""
    width, height = seen
    room = (spec.width or width) / width, (spec.height or height) / height
    possible = min(1.0, MAX_SIDE / max(seen))
    match spec.fit:
        case Fit.INSIDE:
            whole = _scaled(seen, min(*room, possible))
            return whole, whole
        case Fit.COVER:
            # A picture that cannot fill it is cut to its shape, as large as it is.
            box = (spec.width or 1, spec.height or 1)
            box = _scaled(box, min(1.0, possible / max(room)))
            scale = max(box[0] / width, box[1] / height)
            whole = _scaled(seen, scale)
            return (max(whole[0], box[0]), max(whole[1], box[1])), box
        case Fit.CONTAIN:
            return _scaled(seen, min(*room, possible)), (spec.width or 1, spec.height or 1)


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
