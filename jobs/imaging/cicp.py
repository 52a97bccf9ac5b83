"""CICP: colours whose meaning is told by code points (ITU-T H.273) or by a gamma, as ICC profiles.

One converter then does for all of them. The profiles are for it alone: they have the tags that a conversion
needs (ISO 15076-1: a matrix and three curves), and nothing that would make them fit for a file.
"""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import exp

Triple = tuple[float, float, float]
# x and y of white, red, green and blue, in the order of a PNG.
Chromaticities = tuple[float, float, float, float, float, float, float, float]

SRGB = b""  # stands for the profile of what need not be converted

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)  # x and y
_D50 = (0.9642, 1.0, 0.8249)  # X, Y and Z
_BT709: Chromaticities = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_UNSPECIFIED = 2
_PRIMARIES: dict[int, Chromaticities] = {  # H.273, table 2
    1: _BT709,
    _UNSPECIFIED: _BT709,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_LIKE_SRGB = {1, _UNSPECIFIED, 6, 13, 14, 15}  # the curves of video, too: browsers take them for that of sRGB
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

_WHITE, _PEAK = 203.0, 1000.0  # nits: of white (ITU-R BT.2408), and beyond which nothing is told apart
_KNEE = 0.75  # of white; what is brighter is compressed
_MIN_GAMMA, _MAX_GAMMA = 0.1, 10.0  # others are mistakes
_ABOUT = 0.01  # how far, relatively, a gamma may be from that of sRGB to be taken for it
_NEAR = 0.002  # the same for x and y


@lru_cache(maxsize=64)
def profile_of_codes(primaries: int, transfer: int) -> bytes | None:
    """The profile for code points of H.273, tables 2 and 3.

    PQ and HLG are shown as on a display whose white has 203 nits, brighter parts compressed up to 1000.

    Returns:
        `SRGB` if it is that; None if a code point is not known here, as that of XYZ itself and the curves
        of film and of scientific cameras are not.
    """
    curve = _srgb if transfer in _LIKE_SRGB else _CURVES.get(transfer)
    if primaries not in _PRIMARIES or curve is None:
        return None
    if _PRIMARIES[primaries] == _BT709 and curve is _srgb:
        return SRGB
    return _profile(_PRIMARIES[primaries], curve)


@lru_cache(maxsize=64)
def profile_of_gamma(gamma: float, chromaticities: Chromaticities | None) -> bytes | None:
    """The profile for what a PNG's gAMA and cHRM say; primaries that make no sense count as none.

    Args:
        gamma: of the encoding: 1 for linear light, about 1/2.2 for sRGB.

    Returns:
        `SRGB` if it is that, or nearly; None if the gamma makes no sense.
    """
    if not _MIN_GAMMA <= gamma <= _MAX_GAMMA:
        return None
    if chromaticities is None or _alike(chromaticities, _BT709):
        chromaticities = _BT709
        if abs(gamma * 2.2 - 1) < _ABOUT:
            return SRGB
    curve = _power(1 / gamma)
    try:
        return _profile(chromaticities, curve)
    except (ZeroDivisionError, ValueError, struct.error):
        return profile_of_gamma(gamma, None)


def _alike(one: Chromaticities, other: Chromaticities) -> bool:
    return all(abs(a - b) < _NEAR for a, b in zip(one, other, strict=True))


def _srgb(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _power(exponent: float) -> Callable[[float], float]:
    return lambda value: value**exponent


def _pq(value: float) -> float:
    """The EOTF of SMPTE ST 2084."""
    root = value ** (32 / 2523)
    nits = 10_000 * (max(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16_384 / 2610)
    return _compressed(nits / _WHITE)


def _hlg(value: float) -> float:
    """The EOTF of ITU-R BT.2100 for each channel by itself, at the nominal peak and its gamma of 1.2."""
    scene = value**2 / 3 if value <= 0.5 else (exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return _compressed(_PEAK * scene**1.2 / _WHITE)


def _compressed(light: float) -> float:
    """Light, 1 being white, as it is up to the knee, and from there in Reinhard's curve to the peak.

    Reinhard and others, "Photographic tone reproduction for digital images" (2002), equation 4.
    """
    if light <= _KNEE:
        return light
    beyond, peak = ((end - _KNEE) / (1 - _KNEE) for end in (min(light, _PEAK / _WHITE), _PEAK / _WHITE))
    return _KNEE + (1 - _KNEE) * beyond * (1 + beyond / peak**2) / (1 + beyond)


_CURVES: dict[int, Callable[[float], float]] = {
    4: _power(2.2),
    5: _power(2.8),
    8: _power(1.0),
    16: _pq,
    18: _hlg,
}


def _profile(chromaticities: Chromaticities, curve: Callable[[float], float]) -> bytes:
    """A profile of version 2.4 whose curve has a point for each of 256 levels.

    Raises:
        ValueError, ZeroDivisionError, struct.error: no colours have such chromaticities.
    """
    colorants = [
        b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65_536) for value in colorant))
        for colorant in _colorants(chromaticities)
    ]
    points = [round(65_535 * curve(level / 255)) for level in range(256)]
    data = b"".join(colorants) + b"curv\0\0\0\0" + struct.pack(">I256H", 256, *points)
    start, size = 128 + 4 + 6 * 12, len(colorants[0])
    directory = struct.pack(">I", 6)
    for at, channel in enumerate((b"r", b"g", b"b")):
        directory += channel + b"XYZ" + struct.pack(">II", start + at * size, size)
        directory += channel + b"TRC" + struct.pack(">II", start + 3 * size, len(data) - 3 * size)
    header = struct.pack(
        ">I4xI4s4s4s12x4s", start + len(data), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp"
    )
    illuminant = struct.pack(">28x3i", *(round(value * 65_536) for value in _D50))
    return (header + illuminant).ljust(128, b"\0") + directory + data


def _colorants(chromaticities: Chromaticities) -> list[Triple]:
    """XYZ of red, green and blue, adapted to D50 by Bradford's transform (ISO 15076-1)."""
    pairs = zip(chromaticities[::2], chromaticities[1::2], strict=True)
    white, *primaries = [(x / y, 1.0, (1 - x - y) / y) for x, y in pairs]
    weights = _solved(primaries, white)
    if min(weights) <= 0:
        raise ValueError("No light of these primaries is white.")
    gains = [after / before for after, before in zip(_cones(_D50), _cones(white), strict=True)]
    return [
        _solved(
            list(zip(*_BRADFORD, strict=True)),
            [weight * gain * cone for gain, cone in zip(gains, _cones(primary), strict=True)],
        )
        for weight, primary in zip(weights, primaries, strict=True)
    ]


def _cones(xyz: Triple) -> list[float]:
    return [sum(a * b for a, b in zip(row, xyz, strict=True)) for row in _BRADFORD]


def _solved(columns: Sequence[Triple], right: Sequence[float]) -> Triple:
    """How much of each column makes `right`, by Cramer's rule."""
    a, b, c = columns
    whole = _volume(a, b, c)
    return _volume(right, b, c) / whole, _volume(a, right, c) / whole, _volume(a, b, right) / whole


def _volume(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    return (
        a[0] * (b[1] * c[2] - b[2] * c[1])
        + a[1] * (b[2] * c[0] - b[0] * c[2])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )
