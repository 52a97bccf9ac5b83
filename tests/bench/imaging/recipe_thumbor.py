"""Thumbor's engine over Pillow, a request for each width."""

from pathlib import Path

from measured import QUALITY, WIDTHS, measure
from thumbor.config import Config
from thumbor.context import Context
from thumbor.engines.pil import Engine


def recipe(source: Path, out: Path) -> None:
    """Load, resize, read out."""
    body = source.read_bytes()
    for width in WIDTHS:
        engine = Engine(Context(config=Config(QUALITY=QUALITY)))
        engine.load(body, source.suffix)
        own, height = engine.size
        width_ = min(width, own)
        engine.resize(width_, round(height * width_ / own))
        (out / f"w{width}.webp").write_bytes(engine.read(".webp", QUALITY))


measure(recipe)
