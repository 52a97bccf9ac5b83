"""Sources for tests, as the bytes of files; every one is made anew, none is stored.

Where nothing else is said, a picture is `CORNERS`: red, green, blue and white from the upper left to the
lower right, wider than high.
"""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.Image import Transpose

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
CORNERS = (RED, GREEN, BLUE, WHITE)
FORMATS = ("jpeg", "png", "webp", "gif", "avif")

# How an upright picture is turned to be stored under an orientation.
_STORED = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def picture(width: int = 96, height: int = 64) -> Image.Image:
    """`CORNERS`, one color in each quarter."""
    image = Image.new("RGB", (2, 2))
    for at, color in enumerate(CORNERS):
        image.putpixel((at % 2, at // 2), color)
    return image.resize((width, height), Image.Resampling.NEAREST)


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    """`image` as a file."""
    buffer = BytesIO()
    image.save(buffer, format_.upper(), **options)
    return buffer.getvalue()


def source(format_: str = "jpeg", width: int = 96, height: int = 64) -> bytes:
    """`CORNERS` in one of `FORMATS`, as true to its colors as the format allows."""
    options: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": 95, "subsampling": 0},
        "webp": {"lossless": True},
        "avif": {"quality": 95, "subsampling": "4:4:4", "speed": 10},
    }
    return saved(picture(width, height), format_, **options.get(format_, {}))


def flat(
    color: Any, mode: str = "RGB", format_: str = "png", *, size: tuple[int, int] = (64, 64), **options: Any
) -> bytes:
    """One color all over, in any of Pillow's modes that the format has."""
    return saved(Image.new(mode, size, color), format_, **options)


def oriented(orientation: int, format_: str = "jpeg") -> bytes:
    """`CORNERS`, stored turned, with the EXIF orientation (1 to 8) that undoes it."""
    image = picture()
    if orientation in _STORED:
        image = image.transpose(_STORED[orientation])
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if format_ == "jpeg" else {}
    return saved(image, format_, exif=exif.tobytes(), **options)


def located(format_: str = "jpeg") -> bytes:
    """A picture that tells where it was taken and with which camera, in EXIF and in XMP."""
    exif = Image.Exif()
    exif[Base.Make] = "A camera of the tests"
    exif.get_ifd(IFD.GPSInfo).update({GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (52.0, 31.0, 12.0)})
    return saved(picture(), format_, exif=exif.tobytes(), xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")


def grey_16_bits(value: int, *, transparency: int | None = None) -> bytes:
    """A PNG of one shade from 0 to 65535, of which `transparency` is not seen."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 0, 0, 0, 0))]
    if transparency is not None:
        chunks.append((b"tRNS", struct.pack(">H", transparency)))
    rows = (b"\0" + struct.pack(">H", value) * 64) * 64
    return png_of(*chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def palette() -> bytes:
    """A PNG with a palette, its left half clear and its right half red."""
    image = Image.new("P", (64, 64), 1)
    image.putpalette([0, 0, 0, *RED])
    image.paste(0, (0, 0, 32, 64))
    return saved(image, "png", transparency=0)


def half_clear(format_: str = "png") -> bytes:
    """Blue, through whose left half everything can be seen."""
    image = Image.new("RGBA", (64, 64), (*BLUE, 255))
    image.paste((*BLUE, 0), (0, 0, 32, 64))
    return saved(image, format_, **({"lossless": True} if format_ == "webp" else {}))


def animation(format_: str = "gif", frames: int = 3) -> bytes:
    """As many frames as told, the first of them red; in GIF, WebP, PNG or AVIF."""
    pictures = [Image.new("RGB", (64, 64), RED)]
    pictures += [Image.new("RGB", (64, 64), (0, at * 80 % 256, 255)) for at in range(1, frames)]
    return saved(
        pictures[0],
        format_,
        save_all=True,
        append_images=pictures[1:],
        duration=40,
        **({"lossless": True} if format_ == "webp" else {}),
    )


def photo(width: int = 4000, height: int = 3000, *, format_: str = "jpeg") -> bytes:
    """Soft shapes under the noise of a sensor: costs as much as what a camera makes."""
    channels = []
    for seed in range(3):
        shapes = Image.effect_noise((16 + seed, 12 + seed), 160).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        channels.append(Image.blend(shapes, Image.effect_noise((width, height), 40), 0.2))
    return saved(Image.merge("RGB", channels), format_, **({"quality": 90} if format_ == "jpeg" else {}))


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, whether they make sense or not."""
    lines = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(lines)


def inserted(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks behind its header."""
    return png[:33] + png_of(*chunks)[8:] + png[33:]


def avif_of_codes(color: Any, primaries: int, transfer: int, **options: Any) -> bytes:
    """An AVIF whose colours are told by code points (ITU-T H.273), 64 by 64 pixels of one color."""
    whole = flat(color, format_="avif", quality=100, subsampling="4:4:4", **options)
    at = whole.index(b"colrnclx") + 8
    return whole[:at] + struct.pack(">HH", primaries, transfer) + whole[at + 4 :]


def tiff_of(tags: dict[int, tuple[int, ...]], *strips: bytes, order: str = "<") -> bytes:
    """A TIFF of 8 by 8 pixels with these tags, each of two bytes, whether they make sense or not.

    Args:
        strips: the pixels: one of all samples, or one for each.
        order: of the bytes in tags, as `struct` names it.
    """
    shorts = {256: (8,), 257: (8,), 259: (1,), 277: (1,), 278: (8,), **tags}
    at = 8 + 2 + 12 * (len(shorts) + 2) + 4
    data = b""
    entries = {}
    for tag, (kind, values) in {
        **{tag: ("H", values) for tag, values in shorts.items()},
        279: ("I", tuple(len(strip) for strip in strips)),
        273: ("I", tuple(at + sum(map(len, strips[:number])) for number in range(len(strips)))),
    }.items():
        value = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(value) > 4:
            offset = at + sum(map(len, strips)) + len(data)
            data, value = data + value, struct.pack(order + "I", offset)
        entries[tag] = struct.pack(order + "HHI", tag, 3 if kind == "H" else 4, len(values)) + value.ljust(
            4, b"\0"
        )
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", 8) + directory + bytes(4) + b"".join(strips) + data


def boundless_webp(width: int = 16_000, height: int = 16_000) -> bytes:
    """An animation on a canvas of so many pixels, of which its frames cover next to none."""
    whole = animation("webp")
    return whole[:24] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + whole[30:]


def boundless_png(width: int = 30_000, height: int = 30_000) -> bytes:
    """Speaks of so many pixels in its header, and has none."""
    return png_of((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b""))
