"""Place: what of a picture a rendition shows, and where."""

from typing import NamedTuple

from PIL import Image

from jobs.imaging.colour import on_paper
from jobs.imaging.sizes import Rendition
from jobs.presets import Fit, Focus

_MEASURED = 128  # pixels; where there is most to see shows at this size too
_PLACES = 16  # that are compared along the side that is cut
_CLEAR = (255, 255, 255, 0)


class Box(NamedTuple):
    """A part of a picture: left, upper, right and lower edge in pixels."""

    left: int
    upper: int
    right: int
    lower: int


def shown(picture: Image.Image, rendition: Rendition) -> Box:
    """The part of the whole `picture` that is shown; all of it where nothing is cut."""
    width, height = rendition.size if rendition.spec.fit is Fit.COVER else picture.size
    slack = picture.width - width, picture.height - height
    at = slack[0] // 2, slack[1] // 2
    if rendition.spec.focus is Focus.ENTROPY and any(slack):
        at = _busiest(picture, (width, height), slack)
    return Box(at[0], at[1], at[0] + width, at[1] + height)


def _busiest(picture: Image.Image, size: tuple[int, int], slack: tuple[int, int]) -> tuple[int, int]:
    """Where a part of that size has the highest entropy; the nearer to the middle of those alike."""
    scale = min(1.0, _MEASURED / max(picture.size))
    small = picture.convert("L").resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BOX
    )

    def worth(step: int) -> tuple[float, int]:
        left, upper = (round(side * step / _PLACES * scale) for side in slack)
        part = small.crop((left, upper, left + round(size[0] * scale), upper + round(size[1] * scale)))
        return round(part.entropy(), 2), -abs(2 * step - _PLACES)

    best = max(range(_PLACES + 1), key=worth)
    return round(slack[0] * best / _PLACES), round(slack[1] * best / _PLACES)


def place(picture: Image.Image, box: Box, rendition: Rendition) -> Image.Image:
    """That part of the picture as the rendition shows it: on its ground, and on its canvas, if it has one."""
    background = rendition.spec.background
    if box != (0, 0, *picture.size):
        picture = picture.crop(box)
    if background and picture.mode == "RGBA":
        picture = on_paper(picture, background)
    if picture.size == rendition.size:
        return picture
    canvas = Image.new("RGBA", rendition.size, background or _CLEAR)
    left, upper = ((room - side) // 2 for room, side in zip(rendition.size, picture.size, strict=True))
    canvas.paste(picture, (left, upper))
    return canvas.convert("RGB") if background else canvas
