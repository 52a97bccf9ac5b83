"""ICC profiles, made from their definition so that tests know what they mean, and what they mean in sRGB."""

import struct
from collections.abc import Callable

D50 = (0.9642, 1.0, 0.8249)
# The primaries of Display P3 as XYZ, adapted to D50.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
# Those of Adobe RGB (1998).
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
# Those of ITU-R BT.2020.
BT2020 = ((0.67348, 0.27904, -0.00194), (0.16566, 0.67535, 0.02998), (0.12505, 0.04561, 0.79684))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
# From XYZ under D50 to linear sRGB: the rows of the inverse of its adapted primaries.
_TO_SRGB = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)


def in_srgb(
    color: tuple[int, ...],
    primaries: tuple[tuple[float, float, float], ...] = P3,
    curve: Callable[[float], float] = lambda value: value**2.2,
) -> tuple[int, ...]:
    """What a color (0 to 255) of a display with these primaries and this curve is in sRGB."""
    light = [curve(value / 255) for value in color]
    xyz = [sum(light[i] * primaries[i][axis] for i in range(3)) for axis in range(3)]
    return tuple(encoded(sum(a * b for a, b in zip(row, xyz, strict=True))) for row in _TO_SRGB)


def encoded(linear: float) -> int:
    """Light (0 to 1) as a level of sRGB."""
    linear = min(max(linear, 0.0), 1.0)
    return round(255 * (12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055))


def srgb_curve(value: float) -> float:
    """The light (0 to 1) of a value (0 to 1) of sRGB."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def rgb_profile(primaries: tuple[tuple[float, float, float], ...] = P3, gamma: float = 2.2) -> bytes:
    """A display with these primaries (XYZ under D50) and one gamma for all channels."""
    tags = {b"wtpt": _xyz(D50)}
    for name, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[name + b"XYZ"] = _xyz(primary)
        tags[name + b"TRC"] = _gamma(gamma)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float = 1.0) -> bytes:
    """Shades of grey with this gamma; 1.0 is linear light."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _gamma(gamma)})


def odd_cmyk_profile() -> bytes:
    """A press whose cyan ink is red: nothing but the profile could say so. Other inks print black."""
    paper, red, black = (255, 128, 128), (139, 209, 198), (0, 128, 128)  # Lab, as bytes
    # The table runs over C, M, Y, K with K the fastest; only "no ink" and "cyan alone" differ.
    grid = [paper, *[black] * 7, red, *[black] * 7]
    ramp = bytes(range(256))
    identity = b"".join(_fixed(float(row == column)) for row in range(3) for column in range(3))
    table = (
        b"mft1\0\0\0\0\x04\x03\x02\0" + identity + ramp * 4 + b"".join(bytes(lab) for lab in grid) + ramp * 3
    )
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table})


def _profile(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"text\0\0\0\0made by a test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(8 + 3 + 67)
    tags = {b"desc": description, b"cprt": text, **tags}
    directory, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        directory += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"\0\0\0\0", 0x02400000, device, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + b"".join(map(_fixed, D50))
    return header.ljust(128, b"\0") + directory + data


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65_536))


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, value))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"
