"""Fingerprint: a number that pictures that look alike share, but for a few bits."""

from PIL import Image

from jobs.imaging.colour import on_paper

_SIDE = 8


def fingerprint(picture: Image.Image) -> str:
    """64 bits in hexadecimal: whether each of 8 by 8 places is brighter than the one to its right.

    The difference hash of N. Krawetz (“Kind of Like That”, 2013): two pictures are alike if few bits, up
    to ten or so, differ.
    """
    if picture.mode == "RGBA":
        picture = on_paper(picture, "#ffffff")
    grey = picture.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(_SIDE):
        for column in range(_SIDE):
            at = row * (_SIDE + 1) + column
            bits = bits << 1 | (grey[at] > grey[at + 1])
    return f"{bits:016x}"
