"""Encode: a picture as the bytes of a variant, with nothing in them but the picture."""

import io

from PIL import Image

from jobs.presets import VariantSpec


def encode(picture: Image.Image, spec: VariantSpec) -> bytes:
    """The picture, `RGB` or `RGBA`, in the format and quality of `spec`; no metadata of the source."""
    buffer = io.BytesIO()
    picture.save(
        buffer,
        format="WEBP",
        quality=spec.quality,
        method=spec.effort,
        exif=b"",
        icc_profile=b"",
        xmp=b"",
    )
    return buffer.getvalue()
