"""Colour: whatever a file's numbers mean, as 8-bit sRGB with or without alpha."""

import io

from PIL import Image, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_WITH_ALPHA = {"RGBA": "RGB", "LA": "L", "PA": "RGB", "La": "L", "RGBa": "RGB"}


def to_eight_bits(image: Image.Image) -> Image.Image:
    """A mode that can be resized faithfully: palettes become colours, wide samples eight bits."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I"):  # 16 bits of grey: the upper eight, where `convert` would clip
        return image.convert("I").point(lambda value: value * (255 / 65_535)).convert("L")
    if image.mode == "F":
        return image.convert("L")
    if image.mode in ("RGB", "L") and "transparency" in image.info:
        return image.convert("RGBA")
    return image


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB as `RGB`, or as `RGBA` if anything of it can be seen through.

    Args:
        profile: the ICC profile of the file; one that makes no sense is passed over.
    """
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    colours = image.convert(_WITH_ALPHA[image.mode]) if alpha else image
    converted = (_by_profile(colours, profile) if profile else None) or colours.convert("RGB")
    if alpha is None or alpha.getextrema() == (255, 255):
        return converted
    converted.putalpha(alpha)
    return converted


def _by_profile(colours: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if colours.mode == "RGB" and ImageCms.getProfileDescription(source).startswith("sRGB"):
            return colours
        return ImageCms.profileToProfile(
            colours,
            source,
            _SRGB,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # broken, or made for other channels than the image has
