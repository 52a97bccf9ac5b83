"""Placeholder: what a page can paint before it has loaded anything."""

import base64

from fast_thumbhash import rgba_to_thumb_hash
from PIL import Image

from jobs.imaging.fingerprint import fingerprint
from jobs.imaging.messages import PlaceholderMade

_SIDE = 100  # pixels; the most that a thumbhash is made from
_WAVES = 8  # pixels; it describes a side by up to seven waves, which fewer would turn into wrong colours
_COLOURS = 8
_OPAQUE = 128  # alpha from which a pixel counts for the colour


def placeholder(picture: Image.Image) -> PlaceholderMade:
    """The thumbhash and the dominant colour of a picture in `RGB` or `RGBA`."""
    scale = min(1.0, _SIDE / max(picture.size))
    width, height = (max(_WAVES, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BOX).convert("RGBA")
    thumbhash = bytes(rgba_to_thumb_hash(small.width, small.height, small.tobytes()))
    return PlaceholderMade(
        thumbhash=base64.b64encode(thumbhash).decode(),
        dominant_color=dominant_color(small),
        perceptual_hash=fingerprint(picture),
    )


def dominant_color(picture: Image.Image) -> str:
    """The colour of the largest of eight clusters among the visible pixels of an `RGBA` picture."""
    pixels = picture.tobytes()
    visible = b"".join(pixels[at : at + 3] for at in range(0, len(pixels), 4) if pixels[at + 3] >= _OPAQUE)
    if not visible:
        return "#ffffff"  # what shows through a picture that is not there, on most pages
    row = Image.frombytes("RGB", (len(visible) // 3, 1), visible).quantize(_COLOURS)
    counts = row.getcolors() or []
    _, index = max(counts)
    palette = row.getpalette() or []
    red, green, blue = palette[int(str(index)) * 3 :][:3]
    return f"#{red:02x}{green:02x}{blue:02x}"
