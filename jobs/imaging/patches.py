"""Patches: what the frames of a GIF or an animated PNG paint, and the canvas as it looks after each.

Pillow puts frames together as well, but not as browsers do: it fills what is to be cleared with a colour
of the file, or with black, and lets a frame beyond the canvas stretch it.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from PIL import Image

from jobs.imaging.png import Data


class Disposal(Enum):
    """What happens to the patch before the next one is painted."""

    NONE = "none"
    BACKGROUND = "background"  # which is clear, whatever the file says
    PREVIOUS = "previous"


class Patch(NamedTuple):
    """What one frame paints. Places are in pixels from the upper left of the canvas.

    `still` makes a picture of its own of it, in the format of the whole file, from the bytes of that. Where
    `blend` is false, what is clear in it replaces what was there.
    """

    still: Callable[[Data], bytes]
    left: int
    upper: int
    width: int
    height: int
    milliseconds: int
    disposal: Disposal
    blend: bool
    has_alpha: bool  # or may have

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge."""
        return self.left, self.upper, self.left + self.width, self.upper + self.height

    def covers(self, size: tuple[int, int]) -> bool:
        """Whether nothing of a canvas of that size is seen beside it."""
        return self.box[:2] == (0, 0) and self.width >= size[0] and self.height >= size[1]


def need_alpha(patches: Sequence[Patch], size: tuple[int, int]) -> bool:
    """Whether something of a canvas of that size may be seen through in any frame."""
    opaque = False
    for patch in patches:
        before = opaque
        if patch.covers(size) and not patch.has_alpha:
            opaque = True
        elif patch.has_alpha and not patch.blend:
            opaque = False
        if not opaque:
            return True
        if patch.disposal is not Disposal.NONE:
            opaque = patch.disposal is Disposal.PREVIOUS and before
    return False


def compose(
    patches: Sequence[Patch],
    data: Data,
    size: tuple[int, int],
    mode: str,
    opened: Callable[[bytes], Image.Image],
) -> Iterator[tuple[Image.Image, Patch]]:
    """The canvas after each patch. It is painted on when the next is asked for.

    Args:
        data: the file.
        size: of the canvas; what juts out of it is cut off.
        mode: of the canvas: one with alpha, unless nothing of it is ever seen through.
        opened: decodes a patch into a mode that converts to `mode`.
    """
    canvas: Image.Image | None = None
    for patch in patches:
        picture = opened(patch.still(data))
        replaces = not (patch.blend and picture.mode in ("RGBA", "LA"))
        previous = canvas if patch.disposal is Disposal.PREVIOUS else None
        if (replaces or canvas is None) and patch.box == (0, 0, *size) == (0, 0, *picture.size):
            canvas = _as(mode, picture)
        else:
            if canvas is None:
                canvas = Image.new(mode, size)
                previous = canvas if patch.disposal is Disposal.PREVIOUS else None
            if previous is not None:
                canvas = canvas.copy()
            _paint(canvas, picture, patch, replaces=replaces)
        del picture  # it may be as large as the canvas
        yield canvas, patch
        if patch.disposal is Disposal.PREVIOUS:
            canvas = previous
        elif patch.disposal is Disposal.BACKGROUND:
            canvas.paste(0, patch.box)


def _paint(canvas: Image.Image, picture: Image.Image, patch: Patch, *, replaces: bool) -> None:
    at = patch.left, patch.upper
    if replaces:
        canvas.paste(_as(canvas.mode, picture), at)
    elif canvas.mode in ("RGBA", "LA"):
        canvas.alpha_composite(_as(canvas.mode, picture), at)
    else:
        canvas.paste(picture.convert(canvas.mode), at, picture.getchannel("A"))


def _as(mode: str, picture: Image.Image) -> Image.Image:
    """The picture itself, where its mode is that already: it may be as large as anything can be."""
    return picture if picture.mode == mode else picture.convert(mode)
