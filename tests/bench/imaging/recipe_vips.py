"""libvips: `straight`, each width from the file; `best`, one decoding and a chain of sizes at our efforts."""

import os
import sys
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"
import pyvips
from measured import QUALITY, WIDTHS, measure

pyvips.cache_set_max(0)
_ANY = 10_000_000  # pixels; the width alone bounds it
# Only what has a profile is converted: it would cost twice the time, and change nothing.
_COLOURS = {"export_profile": "srgb"} if "P3" in sys.argv[1] else {}
_BOUND = {"height": _ANY, "size": "down", **_COLOURS}


def _named(source: Path) -> str:
    return f"{source}[n=-1]" if source.suffix == ".gif" else str(source)


def straight(source: Path, out: Path) -> None:
    """As its documentation shows it."""
    for width in WIDTHS:
        image = pyvips.Image.thumbnail(_named(source), width, **_BOUND)
        image.webpsave(str(out / f"w{width}.webp"), Q=QUALITY, keep="none")


def best(source: Path, out: Path) -> None:
    """Each size from the next larger one, which is kept in memory."""
    image = pyvips.Image.thumbnail(_named(source), max(WIDTHS), **_BOUND).copy_memory()
    for width in sorted(WIDTHS, reverse=True):
        if width < image.width:
            image = image.thumbnail_image(width, height=_ANY, size="down").copy_memory()
        effort = 4 if image.width * image.get_page_height() <= 640 * 640 else 2
        image.webpsave(str(out / f"w{width}.webp"), Q=QUALITY, effort=effort, keep="none")


measure({"straight": straight, "best": best}[os.environ["RECIPE"]])
