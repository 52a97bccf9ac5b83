"""Decode: open a file with the one decoder that its content names, and read as much as is needed."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image

from jobs.errors import ProblemCode, Rejection
from jobs.imaging.sniff import HEAD, SourceFormat, sniff
from jobs.presets import Preset


class Header(NamedTuple):
    """What is known before decoding. Width and height are in pixels, as stored."""

    format: SourceFormat
    width: int
    height: int
    frame_count: int
    orientation: int  # EXIF's, 1 to 8

    @property
    def sideways(self) -> bool:
        """Whether what is stored as width is seen as height."""
        return self.orientation >= 5

    @property
    def seen(self) -> tuple[int, int]:
        """Width and height as the picture is seen."""
        return (self.height, self.width) if self.sideways else (self.width, self.height)


@contextmanager
def at_fault() -> Iterator[None]:
    """Blame the file for whatever its decoding raises.

    Broken files have raised OSError, SyntaxError, TypeError, ValueError, IndexError, KeyError, EOFError
    and struct.error, so any exception is one; running out of memory is a matter of cost. What Pillow has
    to say about odd files is of no interest.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Rejection:
        raise
    except Image.DecompressionBombError:
        raise Rejection(ProblemCode.TOO_MANY_PIXELS, "It has more pixels than are taken.") from None
    except MemoryError:
        raise Rejection(ProblemCode.TOO_COSTLY, "Decoding it takes more memory than an image may.") from None
    except Exception as error:
        raise Rejection(
            ProblemCode.DAMAGED_IMAGE, "It begins like an image but cannot be decoded."
        ) from error


def detect(path: Path) -> SourceFormat:
    """What the file is, by its content.

    Raises:
        Rejection: it is no image that is taken.
    """
    with path.open("rb") as file:
        return sniff(file.read(HEAD))


def open_image(path: Path, detected: SourceFormat, preset: Preset) -> Image.Image:
    """The file, its header read and nothing decoded.

    Raises:
        Rejection: its header is broken, or speaks of too many pixels.
    """
    # To open a WebP is to allocate its canvas, so Pillow must know the limit; it lets twice as many pass.
    Image.MAX_IMAGE_PIXELS = (preset.max_pixels + 1) // 2
    with at_fault():
        return Image.open(path, formats=[detected.value])


def admit(image: Image.Image, detected: SourceFormat, preset: Preset) -> None:
    """Let pass what is within the preset's limits.

    Raises:
        Rejection: it has too many pixels or frames, or is broken.
    """
    pixels = image.width * image.height
    if pixels > preset.max_pixels:
        raise Rejection(
            ProblemCode.TOO_MANY_PIXELS, f"It has {pixels} pixels; at most {preset.max_pixels} are taken."
        )
    frames = _frame_count(image, detected)
    if frames > preset.max_frames:
        raise Rejection(
            ProblemCode.TOO_COSTLY, f"It has {frames} frames; at most {preset.max_frames} are taken."
        )


def inspect(image: Image.Image, detected: SourceFormat) -> Header:
    """What the file says of an image that was admitted.

    Raises:
        Rejection: it is broken.
    """
    with at_fault():
        if detected is SourceFormat.PNG and "exif" not in image.info:
            image.load()  # it may stand behind the pixels: why limits are checked before
    frames = _frame_count(image, detected)
    return Header(detected, image.width, image.height, frames, _orientation(image))


def _frame_count(image: Image.Image, detected: SourceFormat) -> int:
    # A JPEG with several pictures (MPO, gain maps) has one that counts: the first.
    with at_fault():
        return 1 if detected is SourceFormat.JPEG else int(getattr(image, "n_frames", 1))


def _orientation(image: Image.Image) -> int:
    """EXIF's; metadata that cannot be read does not make a picture that can be worthless."""
    exif = Image.Exif()
    try:
        with at_fault():
            exif.load(image.info.get("exif", b""))
            orientation = exif.get(ExifTags.Base.Orientation, 1)
    except Rejection:
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def decode(image: Image.Image, header: Header, width: int) -> None:
    """Decode the first frame; a JPEG at the smallest of its scales that is still seen `width` pixels wide.

    Raises:
        Rejection: it is broken.
    """
    with at_fault():
        if header.frame_count > 1:
            image.seek(0)
        if header.format is SourceFormat.JPEG and width < header.seen[0]:
            scale = width / header.seen[0]
            image.draft(None, (math.ceil(header.width * scale), math.ceil(header.height * scale)))
        image.load()
