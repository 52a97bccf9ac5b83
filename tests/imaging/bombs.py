"""Files that are small and cost much: each has hurt an image server."""

import struct
import zlib
from io import BytesIO

from PIL import Image

from tests.imaging import samples

_CHUNK = 2**20


def jpeg_of_scans(scans: int = 2_000) -> bytes:
    """A progressive JPEG that refines the same coefficients again and again."""
    whole = samples.saved(samples.picture(1024, 1024), "jpeg", progressive=True, quality=30)
    start = whole.rindex(b"\xff\xda")
    return whole[:start] + whole[start:-2] * scans + whole[-2:]


def jpeg_of_large_scans() -> bytes:
    """As many scans as are allowed, of as many pixels as are."""
    whole = samples.saved(Image.new("RGB", (7_808, 6_400)), "jpeg", progressive=True, quality=30)
    start = whole.rindex(b"\xff\xda")
    return whole[:start] + whole[start:-2] * 90 + whole[-2:]


def gif_of_frames(frames: int = 20_001) -> bytes:
    """An animation of next to nothing, very often."""
    whole = samples.saved(Image.new("P", (1, 1)), "gif")
    start = whole.index(b"\x2c")
    frame = b"\x21\xf9\x04\x00\x01\x00\x00\x00" + whole[start:-1]
    return whole[:start] + frame * frames + b"\x3b"


def webp_of_pixels(width: int = 16_000, height: int = 11_000) -> bytes:
    """One colour all over, losslessly."""
    return samples.saved(Image.new("RGB", (width, height)), "webp", lossless=True, quality=0, method=0)


def avif_of_pixels(width: int = 16_000, height: int = 11_000) -> bytes:
    """A small picture whose header speaks of so many pixels."""
    whole = samples.source("avif")
    at = whole.index(b"ispe") + 8
    return whole[:at] + struct.pack(">II", width, height) + whole[at + 8 :]


def tiff_of_directories(directories: int = 100_000) -> bytes:
    """A small picture, and behind it a chain of directories with one entry each."""
    first = samples.flat("red", format_="tiff", size=(8, 8))
    at = struct.unpack("<I", first[4:8])[0]
    entries = struct.unpack("<H", first[at : at + 2])[0]
    end = at + 2 + 12 * entries
    chain = bytearray(first + b"\0" * (len(first) % 2))
    chain[end : end + 4] = struct.pack("<I", len(chain))
    for number in range(directories):
        following = len(chain) + 18 if number + 1 < directories else 0
        chain += struct.pack("<HHHIII", 1, 256, 4, 1, 8, following)
    return bytes(chain)


def png_of_text(megabytes: int = 200) -> bytes:
    """Compressed words that swell when they are read."""
    squeezed = zlib.compressobj(9)
    text = b"".join(squeezed.compress(b" " * _CHUNK) for _ in range(megabytes)) + squeezed.flush()
    return samples.inserted(samples.source("png"), (b"zTXt", b"words\0\0" + text))


def png_of_profile(megabytes: int = 200) -> bytes:
    """A compressed colour profile that swells when it is read."""
    squeezed = zlib.compressobj(9)
    text = b"".join(squeezed.compress(bytes(_CHUNK)) for _ in range(megabytes)) + squeezed.flush()
    return samples.inserted(samples.source("png"), (b"iCCP", b"profile\0\0" + text))


def jpeg_and_html() -> bytes:
    """A picture whose end a browser might read as a page."""
    return samples.source("jpeg") + b"<html><script>alert(1)</script></html>"


def gif_and_zip() -> bytes:
    """A picture whose end is an archive."""
    import zipfile

    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "words")
    return samples.source("gif") + archive.getvalue()
