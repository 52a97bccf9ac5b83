"""Sniff: what a file is by its first bytes, whatever its name or its sender says."""

from collections.abc import Container

from jobs.errors import ProblemCode, Rejection
from jobs.formats import SourceFormat

HEAD = 512  # bytes that suffice to tell

_MAGIC = {
    b"\xff\xd8\xff": SourceFormat.JPEG,
    b"\x89PNG\r\n\x1a\n": SourceFormat.PNG,
    b"GIF87a": SourceFormat.GIF,
    b"GIF89a": SourceFormat.GIF,
    b"II*\x00": SourceFormat.TIFF,
    b"MM\x00*": SourceFormat.TIFF,
    b"II+\x00": SourceFormat.TIFF,
    b"MM\x00+": SourceFormat.TIFF,
}
_NEVER_TAKEN = {
    b"8BPS": "Photoshop",
    b"\x00\x00\x01\x00": "icon",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def sniff(head: bytes, accepted: Container[SourceFormat]) -> SourceFormat:
    """The format of a file that begins with `head`, at least `HEAD` bytes of it if it has as many.

    Raises:
        Rejection: it is an image of a kind that is not taken, or none at all.
    """
    found = _format(head)
    if found is not None and found in accepted:
        return found
    name = found.name if found else _other(head)
    if name is not None:
        raise Rejection(ProblemCode.UNSUPPORTED_TYPE, f"It is a {name} file, which is not taken.")
    raise Rejection(ProblemCode.NOT_AN_IMAGE, "Its content is not that of an image.")


def _format(head: bytes) -> SourceFormat | None:
    for magic, format_ in _MAGIC.items():
        if head.startswith(magic):
            return format_
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return SourceFormat.WEBP
    if head.startswith(b"BM") and head[6:10] == bytes(4):  # two letters alone begin many a text
        return SourceFormat.BMP
    brands = _brands(head)
    if brands & {b"avif", b"avis"}:
        return SourceFormat.AVIF
    return SourceFormat.HEIC if brands & _HEIF_BRANDS else None


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO media file: its major one, and those it is compatible with."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, end, 4)}


def _other(head: bytes) -> str | None:
    for magic, name in _NEVER_TAKEN.items():
        if head.startswith(magic):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if (
        text.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg"))
        and b"<svg" in text
        and b"<html" not in text
    ):
        return "SVG"
    return None
