"""Formats: the encodings that sources and variants can have."""

from enum import StrEnum


class SourceFormat(StrEnum):
    """What can be developed. SVG, EPS, PSD and their like are programs more than pictures, and never are."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    GIF = "gif"
    AVIF = "avif"
    TIFF = "tiff"
    BMP = "bmp"
    HEIC = "heic"  # with the extra `heic`

    @property
    def content_type(self) -> str:
        """The MIME type."""
        return f"image/{self.value}"


# What browsers make and show. The others are taken where a setting says so.
EVERYDAY = (
    SourceFormat.JPEG,
    SourceFormat.PNG,
    SourceFormat.WEBP,
    SourceFormat.GIF,
    SourceFormat.AVIF,
)


class VariantFormat(StrEnum):
    """The encodings that a variant can have."""

    WEBP = "webp"
    AVIF = "avif"
    JPEG = "jpeg"
    PNG = "png"

    @property
    def content_type(self) -> str:
        """The MIME type."""
        return f"image/{self.value}"

    @property
    def can_move(self) -> bool:
        """Whether it can hold an animation."""
        return self in (VariantFormat.WEBP, VariantFormat.AVIF)


class AutoFormat(StrEnum):
    """An encoding that is chosen for each picture."""

    AUTO = "auto"  # what every program reads: PNG where something can be seen through, else JPEG
