"""Sniff: what a file is by its first bytes, whatever its name or its sender says."""

from enum import StrEnum

from jobs.errors import ProblemCode, Rejection

HEAD = 512  # bytes that suffice to tell


class SourceFormat(StrEnum):
    """What is developed; the values are Pillow's names for its decoders."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    GIF = "GIF"
    AVIF = "AVIF"

    @property
    def content_type(self) -> str:
        """The MIME type."""
        return f"image/{self.value.lower()}"


_KNOWN_BUT_NOT_TAKEN = {
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"8BPS": "Photoshop",
    b"\x00\x00\x01\x00": "icon",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def sniff(head: bytes) -> SourceFormat:
    """The format of a file that begins with `head`, at least `HEAD` bytes of it if it has as many.

    Raises:
        Rejection: it is an image of a kind that is not taken, or none at all.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return SourceFormat.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return SourceFormat.PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return SourceFormat.GIF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return SourceFormat.WEBP
    brands = _brands(head)
    if brands & {b"avif", b"avis"}:
        return SourceFormat.AVIF
    other = "HEIC" if brands & _HEIF_BRANDS else _other(head)
    if other is not None:
        raise Rejection(ProblemCode.UNSUPPORTED_TYPE, f"It is a {other} file, which is not taken.")
    raise Rejection(ProblemCode.NOT_AN_IMAGE, "Its content is not that of an image.")


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO media file: its major one, and those it is compatible with."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, end, 4)}


def _other(head: bytes) -> str | None:
    for magic, name in _KNOWN_BUT_NOT_TAKEN.items():
        if head.startswith(magic):
            return name
    if head.startswith(b"BM") and head[6:10] == bytes(4):  # two letters alone begin many a text
        return "BMP"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if (
        text.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg"))
        and b"<svg" in text
        and b"<html" not in text
    ):
        return "SVG"
    return None
