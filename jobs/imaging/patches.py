"""Patches: what the frames of a GIF or an animated PNG paint, and the canvas as it looks after each.

Pillow puts frames together as well, but not as browsers do: it fills what is to be cleared with a colour
of the file, or with black, and lets a frame beyond the canvas stretch it.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from mmap import mmap
from typing import NamedTuple

from PIL import Image

Data = bytes | mmap  # of a whole file


class Disposal(Enum):
    """What happens to a patch before the next one is painted."""

    KEEP = "keep"
    CLEAR = "clear"
    RESTORE = "restore"  # what was there before it


class Patch(NamedTuple):
    """What one frame paints. Places are in pixels from the upper left of the canvas.

    `file` is a still picture of its own, in the format of the whole. Where `over` is false, what is clear
    in it replaces what was there.
    """

    file: bytes
    left: int
    upper: int
    width: int
    height: int
    milliseconds: int
    disposal: Disposal
    over: bool
    clear: bool  # whether something of it may be seen through

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge."""
        return self.left, self.upper, self.left + self.width, self.upper + self.height


def leave_gaps(patches: Iterable[Patch], size: tuple[int, int]) -> bool:
    """Whether something of a canvas of that size may be seen through in any frame."""
    for index, patch in enumerate(patches):
        covers = patch.left == patch.upper == 0 and patch.width >= size[0] and patch.height >= size[1]
        if patch.disposal is Disposal.CLEAR or (patch.clear and not patch.over):
            return True
        if index == 0 and (patch.clear or not covers or patch.disposal is Disposal.RESTORE):
            return True
    return False


def compose(
    patches: Iterable[Patch], size: tuple[int, int], mode: str, opened: Callable[[bytes], Image.Image]
) -> Iterator[tuple[Image.Image, Patch]]:
    """The canvas after each patch. It is painted on when the next is asked for.

    Args:
        size: of the canvas; what juts out of it is cut off.
        mode: of the canvas: one with alpha, unless nothing of it is ever seen through.
        opened: decodes a patch into a mode that converts to `mode`.
    """
    canvas: Image.Image | None = None
    for patch in patches:
        picture = opened(patch.file)
        replaces = not (patch.over and picture.mode in ("RGBA", "LA"))
        before = canvas
        if replaces and picture.size == size and patch.box == (0, 0, *size):
            canvas = picture.convert(mode)  # no second one of that size
        else:
            if canvas is None:
                canvas = before = Image.new(mode, size)
            if patch.disposal is Disposal.RESTORE:
                canvas = canvas.copy()
            _paint(canvas, picture, patch, replaces=replaces)
        yield canvas, patch
        if patch.disposal is Disposal.RESTORE:
            canvas = before
        elif patch.disposal is Disposal.CLEAR:
            canvas.paste(Image.new(mode, (patch.width, patch.height)), (patch.left, patch.upper))


def _paint(canvas: Image.Image, picture: Image.Image, patch: Patch, *, replaces: bool) -> None:
    at = patch.left, patch.upper
    if replaces:
        canvas.paste(picture.convert(canvas.mode), at)
    elif canvas.mode in ("RGBA", "LA"):
        canvas.alpha_composite(picture.convert(canvas.mode), at)
    else:
        canvas.paste(picture.convert(canvas.mode), at, picture.getchannel("A"))
