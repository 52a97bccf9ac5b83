"""Presets: named lists of the variants that an image is developed into."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


class VariantFormat(StrEnum):
    """The encodings that a variant can have."""

    WEBP = "webp"


class VariantSpec(BaseModel):
    """One rendition to make. Widths are in pixels; a source narrower than `width` is never enlarged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    width: Annotated[int, Field(ge=1, le=16_383)]  # the largest side a WebP can have
    format: VariantFormat = VariantFormat.WEBP
    quality: Annotated[int, Field(ge=1, le=100)] = 80
    effort: Annotated[int, Field(ge=0, le=6)] = 2


class Preset(BaseModel):
    """What one kind of image is developed into, and the limits on its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variants: Annotated[tuple[VariantSpec, ...], Field(min_length=1)]
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    max_frames: Annotated[int, Field(ge=1)] = 1_000

    @field_validator("variants")
    @classmethod
    def _named_apart(cls, variants: tuple[VariantSpec, ...]) -> tuple[VariantSpec, ...]:
        if len({spec.name for spec in variants}) < len(variants):
            raise ValueError("two variants have the same name")
        return variants


# Method 2 costs half of method 4 for 3 % more bytes; the widths are those of common layouts.
DEFAULT_PRESET = Preset(
    variants=tuple(VariantSpec(name=f"w{width}", width=width) for width in (320, 640, 1280, 1920))
)
