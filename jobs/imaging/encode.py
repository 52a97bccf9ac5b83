"""Encode: a picture as the bytes of a variant, with nothing in them but the picture.

Encoding is most of the work, so what its parameters cost was measured: on photos of 12 megapixels at the
widths 320 to 1920, in processor time and likeness (SSIM to a Lanczos reduction of the whole photo).

- WebP 80: method 4 takes 2.2 times as long as 2, for 3 to 6 % fewer bytes and 0.004 more likeness; 3 costs
  what 4 does. Up to 640 by 640 pixels, where it costs least and thumbnails are looked at most, it is 4.
- AVIF 65 at speed 9 takes 1.4 to 1.9 times as long as WebP at method 2, for 4 % fewer bytes; speed 8 takes
  3.5 times as long as 9, for 3 % fewer.
- JPEG: progressive with its own tables, 5 % fewer bytes for a few milliseconds.
- PNG: level 4 takes half as long as 6, for as many bytes.

`make bench` prints what of it can be seen on the default preset.
"""

import io
from typing import Any

from PIL import Image, PngImagePlugin

from jobs.formats import VariantFormat
from jobs.imaging.colour import on_paper
from jobs.imaging.sizes import Rendition

_QUALITY = {VariantFormat.WEBP: 80, VariantFormat.AVIF: 65, VariantFormat.JPEG: 82, VariantFormat.PNG: 100}
_EFFORT = {VariantFormat.WEBP: 2, VariantFormat.AVIF: 1, VariantFormat.JPEG: 1, VariantFormat.PNG: 4}
_SMALL = 640 * 640  # pixels up to which a WebP is worth
_MORE_EFFORT = 4
_PAPER = "#ffffff"  # what shows through a picture in a format without transparency


def encode(picture: Image.Image, rendition: Rendition, *, icc: bytes = b"", xmp: bytes = b"") -> bytes:
    """The picture, `RGB` or `RGBA`, as the file of a rendition; `icc` and `xmp` are all it keeps besides."""
    if rendition.format is VariantFormat.JPEG and picture.mode == "RGBA":
        picture = on_paper(picture, rendition.spec.background or _PAPER)
    return _saved(picture, rendition, {"icc_profile": icc} | _packet(xmp, rendition.format))


def encode_animation(
    frames: Image.Image,
    rendition: Rendition,
    *,
    loop: int,
    durations: list[int],
    icc: bytes = b"",
    xmp: bytes = b"",
) -> bytes:
    """An animation as the file of a rendition.

    Args:
        frames: gives one frame after the other when it is asked to `seek` them.
        loop: how often it is shown; 0 is for ever. An AVIF always is.
        durations: for how many milliseconds each frame is shown; known when the frame is.
    """
    moving = {"save_all": True, "loop": loop, "duration": durations, "icc_profile": icc}
    return _saved(frames, rendition, moving | _packet(xmp, rendition.format))


def _packet(xmp: bytes, format_: VariantFormat) -> dict[str, Any]:
    """XMP as the encoder of that format takes it."""
    if format_ is not VariantFormat.PNG:
        return {"xmp": xmp}
    if not xmp:
        return {}
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
    return {"pnginfo": text}


def _saved(picture: Image.Image, rendition: Rendition, more: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, rendition.format.value.upper(), exif=b"", **_parameters(rendition), **more)
    return buffer.getvalue()


def _parameters(rendition: Rendition) -> dict[str, Any]:
    format_, spec = rendition.format, rendition.spec
    quality = _QUALITY[format_] if spec.quality is None else spec.quality
    effort = _EFFORT[format_] if spec.effort is None else spec.effort
    match format_:
        case VariantFormat.WEBP:
            small = rendition.size[0] * rendition.size[1] <= _SMALL
            method = _MORE_EFFORT if small and spec.effort is None else effort
            return {"quality": quality, "method": method}
        case VariantFormat.AVIF:
            return {"quality": quality, "speed": 10 - effort, "max_threads": 1}
        case VariantFormat.JPEG:
            return {"quality": quality, "optimize": effort > 0, "progressive": effort > 0}
        case VariantFormat.PNG:
            return {"compress_level": effort}
