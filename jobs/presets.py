"""Presets: named lists of the variants that an image is developed into, and the limits on its source."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from jobs.formats import AutoFormat, VariantFormat

MAX_SIDE = 16_383  # pixels; the longest side that a WebP can have
_MAX_VARIANTS = 50
_MAX_CANVAS = 25_000_000  # pixels
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class Fit(StrEnum):
    """How a picture is brought to the width and height of a variant."""

    INSIDE = "inside"  # whole, and no larger than either
    COVER = "cover"  # fills both; what juts out is cut off
    CONTAIN = "contain"  # whole, in the middle of a canvas of exactly that size


class Focus(StrEnum):
    """Which part stays when a picture is cut."""

    CENTER = "center"
    ENTROPY = "entropy"  # where there is most to see


class Kept(StrEnum):
    """Metadata that a variant may keep; all others stay behind."""

    ICC = "icc"  # the picture then stays in the colours of its own profile
    XMP = "xmp"


# The most that each encoder takes. AVIF's effort is 10 less its “speed”.
_MOST_EFFORT = {
    VariantFormat.WEBP: 6,
    VariantFormat.AVIF: 10,
    VariantFormat.JPEG: 1,
    VariantFormat.PNG: 9,
}
_Format = VariantFormat | AutoFormat


@dataclass(frozen=True, kw_only=True)
class VariantSpec:
    """One rendition to make, in one encoding or several. Sides are in pixels; no picture is enlarged.

    `quality` and `effort` are the encoder's own; left out, they are `jobs.imaging.encode`'s. `background`
    is what shows through, or around, a picture: `#rrggbb`.

    Raises:
        ValueError: it makes no sense.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    name: str
    width: int | None = None
    height: int | None = None
    fit: Fit = Fit.INSIDE
    focus: Focus = Focus.CENTER
    format: _Format | tuple[_Format, ...] = VariantFormat.WEBP
    quality: int | None = None
    effort: int | None = None
    background: str | None = None

    @property
    def formats(self) -> tuple[_Format, ...]:
        """The encodings to make."""
        return self.format if isinstance(self.format, tuple) else (self.format,)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError("a name has 1 to 32 small letters, digits and hyphens")
        sides = [side for side in (self.width, self.height) if side is not None]
        if not sides:
            raise ValueError("a variant has a width or a height, or both")
        if not all(1 <= side <= MAX_SIDE for side in sides):
            raise ValueError(f"a side has 1 to {MAX_SIDE} pixels")
        if self.fit is Fit.CONTAIN and (self.width or 1) * (self.height or 1) > _MAX_CANVAS:
            raise ValueError(f"a canvas has at most {_MAX_CANVAS} pixels")
        if self.fit is not Fit.INSIDE and len(sides) < 2:
            raise ValueError(f"the fit “{self.fit}” needs both a width and a height")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError("a quality is 1 to 100")
        if self.background is not None and not _COLOUR.fullmatch(self.background):
            raise ValueError("a background is written #rrggbb")
        if not self.formats or len(set(self.formats)) < len(self.formats):
            raise ValueError("a variant has at least one format, and none twice")
        for format_ in self.formats:
            most = _MOST_EFFORT[format_] if isinstance(format_, VariantFormat) else 1
            if self.effort is not None and not 0 <= self.effort <= most:
                raise ValueError(f"the effort for {format_} is 0 to {most}")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What one kind of image is developed into, and the limits on its source.

    An animation that takes more than `max_animated_pixels`, each counted when it is decoded and when it is
    encoded, for every variant that can move, is represented by its first frame; so is every one if `animated`
    is false. All other limits refuse the file.

    Raises:
        ValueError: it makes no sense.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    variants: tuple[VariantSpec, ...]
    max_bytes: int | None = None  # nothing: as many as can be uploaded
    max_pixels: int = 50_000_000
    max_side: int = 65_535
    max_frames: int = 1_000
    max_scans: int = 100  # of a progressive JPEG
    animated: bool = True
    max_animated_pixels: int = 150_000_000  # some 8 seconds of a processor
    keep_original: bool = True
    keep: tuple[Kept, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.variants) <= _MAX_VARIANTS:
            raise ValueError(f"a preset has 1 to {_MAX_VARIANTS} variants")
        if len({spec.name for spec in self.variants}) < len(self.variants):
            raise ValueError("two variants have the same name")
        limits = (self.max_pixels, self.max_side, self.max_frames, self.max_scans, self.max_animated_pixels)
        if min(*limits, 1 if self.max_bytes is None else self.max_bytes) < 1:
            raise ValueError("a limit is at least 1")


# The widths are those of common layouts.
DEFAULT_PRESET = Preset(
    variants=tuple(VariantSpec(name=f"w{width}", width=width) for width in (320, 640, 1280, 1920))
)
