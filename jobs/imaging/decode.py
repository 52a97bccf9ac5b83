"""Decode: open a file with the one decoder that its content names, and read as much as is needed."""

import mmap
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import ExifTags, Image, WebPImagePlugin

from jobs.errors import ProblemCode, Rejection
from jobs.facts import Camera
from jobs.formats import SourceFormat
from jobs.imaging.exif import camera
from jobs.imaging.patches import Patch
from jobs.imaging.sniff import HEAD, sniff
from jobs.imaging.tiff import check_kind
from jobs.imaging.webp import needs_alpha
from jobs.presets import Preset

_DECODERS = {SourceFormat.HEIC: "HEIF"}  # where Pillow's name is another
_GREY_STEPS = {"L;2": 85, "L;4": 17}  # between two levels of grey, by how a PNG codes them
_SWOLLEN = ("Decompressed data too large", "Too much memory used in text chunks")  # what Pillow says of it


class Header(NamedTuple):
    """What is known before decoding. Width and height are in pixels, as stored."""

    format: SourceFormat
    width: int
    height: int
    frame_count: int
    orientation: int  # EXIF's, 1 to 8
    camera: Camera | None
    patches: Sequence[Patch] = ()  # what its frames paint, where they need be put together

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
        if isinstance(error, ValueError) and any(words in str(error) for words in _SWOLLEN):
            raise Rejection(ProblemCode.TOO_COSTLY, "Its metadata swell beyond what is read.") from None
        raise Rejection(
            ProblemCode.DAMAGED_IMAGE, "It begins like an image but cannot be decoded."
        ) from error


@contextmanager
def at_cost() -> Iterator[None]:
    """Take what an encoder raises for what it mostly is: a picture too large for its limits.

    Out of memory, the codecs raise what they like: MemoryError, OSError, RuntimeError, ValueError.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError, ValueError) as error:
        raise Rejection(ProblemCode.TOO_COSTLY, "A variant of it is more than can be made here.") from error


def detect(path: Path, accepted: Container[SourceFormat]) -> SourceFormat:
    """What the file is, by its content.

    Raises:
        Rejection: it is no image that is taken.
    """
    with path.open("rb") as file:
        return sniff(file.read(HEAD), accepted)


def open_image(path: Path, detected: SourceFormat, preset: Preset) -> Image.Image:
    """The file, its header read and nothing decoded.

    Raises:
        Rejection: its header is broken, or speaks of too many pixels, or of what cannot be read rightly.
    """
    # To open a WebP is to allocate its canvas, so Pillow must know the limit; it lets twice as many pass.
    Image.MAX_IMAGE_PIXELS = (preset.max_pixels + 1) // 2
    with at_fault():
        if detected is SourceFormat.TIFF:
            check_kind(path)
        image = open_still(path, detected)
        if isinstance(image, WebPImagePlugin.WebPImageFile) and image.mode == "RGB":
            _show_alpha(image, path)
        return image


def open_still(file: Path | BinaryIO, detected: SourceFormat) -> Image.Image:
    """A file, or a part of one that is a file too, with no budget; any exception means that it is broken."""
    image = Image.open(file, formats=[_DECODERS.get(detected, detected.name)])
    _scale_key(image)
    return image


def _show_alpha(image: WebPImagePlugin.WebPImageFile, path: Path) -> None:
    """Let the decoder of a file that says it is opaque tell what is clear nevertheless, instead of black.

    It decodes with alpha in any case, and then leaves it out.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if needs_alpha(data):
            image.rawmode = image._mode = "RGBA"  # noqa: SLF001 - there is no other way to say it


def _scale_key(image: Image.Image) -> None:
    """Give the colour that stands for clear as many bits as Pillow gives the pixels of a PNG: eight."""
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    coded = tiles[0].args if tiles else None
    if isinstance(key, int) and coded in _GREY_STEPS:
        image.info["transparency"] = key * _GREY_STEPS[coded]
    elif isinstance(key, tuple) and coded == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)


def admit(image: Image.Image, preset: Preset) -> None:
    """Let pass what is within the preset's limits.

    Raises:
        Rejection: it has too many pixels.
    """
    pixels = image.width * image.height
    if max(image.size) > preset.max_side:
        raise Rejection(
            ProblemCode.TOO_MANY_PIXELS,
            f"Its longer side has {max(image.size)} pixels; at most {preset.max_side} are taken.",
        )
    if pixels > preset.max_pixels:
        raise Rejection(
            ProblemCode.TOO_MANY_PIXELS, f"It has {pixels} pixels; at most {preset.max_pixels} are taken."
        )


def inspect(
    image: Image.Image, detected: SourceFormat, frames: int = 1, patches: Sequence[Patch] = ()
) -> Header:
    """What the file says of an image that was admitted, and has so many frames.

    Raises:
        Rejection: it is broken.
    """
    with at_fault():
        if detected is SourceFormat.PNG and "exif" not in image.info:
            image.load()  # it may stand behind the pixels: why limits are checked before
    exif = _exif(image, detected)
    turned = detected is SourceFormat.TIFF  # by its decoder
    orientation = 1 if turned else _orientation(exif)
    return Header(detected, image.width, image.height, frames, orientation, _camera(exif), patches)


def _exif(image: Image.Image, detected: SourceFormat) -> Image.Exif:
    """Metadata that cannot be read do not make a picture that can be worthless."""
    exif = Image.Exif()
    try:
        with at_fault():
            if detected is SourceFormat.TIFF:
                return image.getexif()
            exif.load(image.info.get("exif", b""))
            return exif
    except Rejection:
        return Image.Exif()


def _orientation(exif: Image.Exif) -> int:
    orientation = _of_exif(exif, lambda known: known.get(ExifTags.Base.Orientation, 1))
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _camera(exif: Image.Exif) -> Camera | None:
    found = _of_exif(exif, camera)
    return found if isinstance(found, Camera) else None


def _of_exif(exif: Image.Exif, ask: Callable[[Image.Exif], object]) -> object:
    try:
        with at_fault():
            return ask(exif)
    except Rejection:
        return None


def decode(image: Image.Image, header: Header, covering: tuple[int, int]) -> None:
    """Decode what does not move; a JPEG at the smallest of its scales that is seen at least that large.

    Raises:
        Rejection: it is broken.
    """
    with at_fault():
        if header.format is SourceFormat.JPEG:
            # Limits were checked before: it changes what the image says of its size.
            image.draft(None, covering[::-1] if header.sideways else covering)
        image.load()
