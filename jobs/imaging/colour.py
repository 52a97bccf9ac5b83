"""Colour: whatever a file's numbers mean, as 8-bit sRGB with or without alpha."""

import io

from PIL import Image, ImageChops, ImageCms
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
_LEVELS = range(0, 256, 51)
_PROBE = Image.new("RGB", (len(_LEVELS) ** 3, 1))
_PROBE.putdata([(red, green, blue) for red in _LEVELS for green in _LEVELS for blue in _LEVELS])
_WITH_ALPHA = {"RGBA": "RGB", "LA": "L"}
_PLAIN = {"1": "L", "La": "LA", "YCbCr": "RGB"}
_MIN_IS_WHITE = 0
_NO_TIFF = {BITSPERSAMPLE: (16,), PHOTOMETRIC_INTERPRETATION: 1}  # what wide grey is in other files


def to_eight_bits(image: Image.Image) -> Image.Image:
    """A mode that can be resized faithfully: palettes become colours, wide samples eight bits."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode.startswith(("I", "F")):
        return _narrowed(image)
    if image.mode in ("RGB", "L", "1") and "transparency" in image.info:
        return image.convert("RGBA" if image.mode == "RGB" else "LA")
    return image.convert(_PLAIN[image.mode]) if image.mode in _PLAIN else image


def _narrowed(image: Image.Image) -> Image.Image:
    """Grey of 12, 16 or 32 bits, or from 0.0 to 1.0, as eight bits; Pillow's own conversion clips."""
    tags = getattr(image, "tag_v2", _NO_TIFF)
    depth = tags.get(BITSPERSAMPLE, (1,))[0]
    if image.mode == "F":
        grey = image.point(lambda value: value * 255 + 0.5).convert("L")  # which cuts off what is no whole
    elif depth == 32:  # unsigned, for Pillow signed: the highest of four bytes is not
        grey = Image.frombytes("L", image.size, image.tobytes()[3::4])
    else:
        grey = _divided(image, 2**depth - 1)
    return ImageChops.invert(grey) if tags.get(PHOTOMETRIC_INTERPRETATION, 0) == _MIN_IS_WHITE else grey


def _divided(image: Image.Image, most: int) -> Image.Image:
    wide = image.convert("I")
    levels = [round(255 * value / most) for value in range(most + 1)]
    grey = wide.point(levels + [255] * (65_536 - len(levels)), "L")
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    return Image.merge("LA", (grey, wide.point([255 * (value != clear) for value in range(65_536)], "L")))


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB as `RGB`, or as `RGBA` if anything of it can be seen through.

    Args:
        profile: the ICC profile of the file; one that makes no sense is passed over.
    """
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    colours = image.convert(_WITH_ALPHA[image.mode]) if alpha else image
    if colours.mode == "LAB":  # it says what its numbers mean
        source: ImageCms.ImageCmsProfile | None = _LAB
    else:
        source = _opened(profile) if profile else None
    converted = (_by_profile(colours, source) if source else None) or _as_rgb(colours)
    if alpha is None or alpha.getextrema() == (255, 255):
        return converted
    converted.putalpha(alpha)
    return converted


def on_paper(picture: Image.Image, colour: str) -> Image.Image:
    """An `RGBA` picture as it looks on a ground of that colour."""
    ground = Image.new("RGB", picture.size, colour)
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def is_rgb_profile(profile: bytes) -> bool:
    """Whether it is an ICC profile, and one for red, green and blue."""
    opened = _opened(profile)
    return opened is not None and _is_rgb(opened)


def _is_rgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return profile.profile.xcolor_space.strip() == "RGB"


def _as_rgb(colours: Image.Image) -> Image.Image:
    return colours if colours.mode == "RGB" else colours.convert("RGB")


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile | None:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # broken


def _by_profile(colours: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image | None:
    if colours.mode == "L" and _is_rgb(source):
        colours = colours.convert("RGB")  # grey is a colour, too
    try:
        transform = ImageCms.buildTransform(
            source,
            _SRGB,
            colours.mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if colours.mode == "RGB" and _changes_nothing(transform):
            return colours
        return ImageCms.applyTransform(colours, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # made for other channels than the image has


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether the profile is sRGB, as most are: told by colours all over RGB, since names lie."""
    converted = ImageCms.applyTransform(_PROBE, transform)
    if converted is None:
        return False
    pairs = zip(_PROBE.tobytes(), converted.tobytes(), strict=True)
    return all(abs(before - after) <= 1 for before, after in pairs)
