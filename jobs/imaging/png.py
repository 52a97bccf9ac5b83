"""PNG: the chunks of a file (PNG, third edition, clause 5.3)."""

import struct
import zlib
from collections.abc import Iterator
from mmap import mmap

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Data = bytes | mmap  # of a whole file


def chunks(
    data: Data, start: int = len(SIGNATURE), stop: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Name of each chunk, and where its content begins and ends, up to the end of the image."""
    at, end = start, len(data) if stop is None else stop
    while at + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IEND":
            return
        yield name, at + 8, at + 8 + length
        at += length + 12


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk, with its length and its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
