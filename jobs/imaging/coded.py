"""Coded: what a file says of its colours by other means than an ICC profile."""

import mmap
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from jobs.formats import SourceFormat
from jobs.imaging.cicp import profile_of_codes, profile_of_gamma
from jobs.imaging.png import chunks

_MAX_PARTS = 1_000  # chunks, or boxes beside each other, that are looked at
_MAX_META = 2**20  # bytes of a `meta` box: it has some hundreds

Codes = tuple[int, int]  # colour primaries and transfer characteristics, by ITU-T H.273


def coded_profile(path: Path, format_: SourceFormat, info: Mapping[Any, Any]) -> bytes | None:
    """An ICC profile, made from what else the file says; `SRGB` if that is what it says.

    In a PNG (third edition) a cICP chunk stands above an ICC profile, and that above sRGB and gAMA;
    in AVIF and HEIF an ICC profile stands above the code points.

    Args:
        info: what Pillow knows of the image.

    Returns:
        None if the file says nothing of the kind, or if its ICC profile counts. Code points that stand only
        in the coded video, or only in the track of a sequence, are not looked for.
    """
    icc = info.get("icc_profile")
    if format_ is SourceFormat.PNG:
        codes = _codes(path, format_)
        made = profile_of_codes(*codes) if codes else None
        if made is not None or icc or "srgb" in info or "gamma" not in info:
            return made
        return profile_of_gamma(info["gamma"], info.get("chromaticity"))
    if format_ in (SourceFormat.AVIF, SourceFormat.HEIC) and not icc:
        codes = _codes(path, format_)
        return profile_of_codes(*codes) if codes else None
    return None


def _codes(path: Path, format_: SourceFormat) -> Codes | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _cicp(data) if format_ is SourceFormat.PNG else _nclx(data)


def _cicp(data: mmap.mmap) -> Codes | None:
    """The code points of a PNG's cICP chunk; it stands before the pixels."""
    for name, start, stop in islice(chunks(data), _MAX_PARTS):
        if name == b"cICP" and stop - start == 4:
            primaries, transfer, matrix, full_range = data[start:stop]
            return (primaries, transfer) if matrix == 0 and full_range == 1 else None
        if name == b"IDAT":
            break
    return None


def _nclx(data: mmap.mmap) -> Codes | None:
    """The code points of the primary item of a HEIF file (ISO/IEC 23008-12, 9.3; 14496-12, 12.1.5)."""
    start, end = next((box[1:] for box in _boxes(data) if box[0] == b"meta"), (0, 0))
    if end - start > _MAX_META:
        return None
    meta = _contents(data[start + 4 : end])
    properties = _contents(meta.get(b"iprp", b""))
    primary = int.from_bytes(meta.get(b"pitm", b"")[4:], "big")
    container = properties.get(b"ipco", b"")
    wanted = _associated(properties.get(b"ipma", b""), primary)
    for number, (name, begin, end) in enumerate(_boxes(container), start=1):
        if number in wanted and name == b"colr" and container[begin : begin + 4] == b"nclx":
            codes = container[begin + 4 : min(begin + 8, end)]
            return int.from_bytes(codes[:2], "big"), int.from_bytes(codes[2:], "big")
    return None


def _associated(ipma: bytes, item: int) -> set[int]:
    """The numbers of an item's properties, counted from 1."""
    id_size = 4 if ipma[:1] > b"\0" else 2
    index_size = 2 if ipma[3:4] and ipma[3] & 1 else 1
    at = 8
    while at + id_size < len(ipma):
        found = int.from_bytes(ipma[at : at + id_size], "big")
        count = ipma[at + id_size]
        at += id_size + 1
        end = at + count * index_size
        if found == item:
            essential = 1 << (8 * index_size - 1)
            return {
                int.from_bytes(ipma[index : index + index_size], "big") & ~essential
                for index in range(at, end, index_size)
            }
        at = end
    return set()


def _contents(data: bytes) -> dict[bytes, bytes]:
    return {name: data[start:end] for name, start, end in _boxes(data)}


def _boxes(data: bytes | mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, and start and end of the contents, of boxes beside each other (ISO/IEC 14496-12, 4.2)."""
    return islice(_all_boxes(data), _MAX_PARTS)


def _all_boxes(data: bytes | mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    at = 0
    while at + 8 <= len(data):
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + size if size else len(data)
        if end < start:
            return
        yield data[at + 4 : at + 8], start, min(end, len(data))
        at = end
