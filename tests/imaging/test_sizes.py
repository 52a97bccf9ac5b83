"""Which renditions come of a source."""

import pytest
from PIL import Image

from jobs.imaging.sizes import chain, plan
from jobs.presets import DEFAULT_PRESET, VariantSpec

WIDTHS = DEFAULT_PRESET.variants


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ((4000, 3000), [("w320", 320, 240), ("w640", 640, 480), ("w1280", 1280, 960), ("w1920", 1920, 1440)]),
        ((1000, 500), [("w320", 320, 160), ("w640", 640, 320), ("w1280", 1000, 500)]),
        ((640, 10), [("w320", 320, 5), ("w640", 640, 10)]),
        ((1, 1), [("w320", 1, 1)]),
        ((60_000, 10), [("w320", 320, 1), ("w640", 640, 1), ("w1280", 1280, 1), ("w1920", 1920, 1)]),
    ],
)
def test_nothing_is_enlarged_or_repeated(seen: tuple[int, int], expected: list[tuple[str, int, int]]) -> None:
    """The first variant that the source cannot fill has the source's size; there are none beyond."""
    assert [(made.spec.name, made.width, made.height) for made in plan(WIDTHS, seen)] == expected


@pytest.mark.parametrize("seen", [(10, 60_000), (1, 60_000), (3_000, 50_000)])
def test_a_tower_is_scaled_until_its_format_can_hold_it(seen: tuple[int, int]) -> None:
    """A WebP has at most 16383 pixels a side."""
    for made in plan(WIDTHS, seen):
        assert 1 <= made.width <= seen[0]
        assert 1 <= made.height <= 16_383


def test_the_order_of_a_preset_does_not_matter() -> None:
    """Small ones come first, however they are listed."""
    assert plan(WIDTHS[::-1], (4000, 3000)) == plan(WIDTHS, (4000, 3000))


def test_a_chain_gives_every_size() -> None:
    """As many pictures as renditions, in their order."""
    specs = [VariantSpec(name=f"v{width}", width=width) for width in (10, 20, 50)]
    pictures = chain(Image.new("RGB", (50, 100)), plan(specs, (50, 100)))
    assert [made.size for made in pictures] == [(10, 20), (20, 40), (50, 100)]


def test_two_variants_of_one_size_are_two_if_they_differ() -> None:
    """In quality, for instance; a client that asks for either finds it."""
    specs = [VariantSpec(name="a", width=64, quality=50), VariantSpec(name="b", width=64, quality=95)]
    for seen in ((1_000, 500), (50, 50)):
        assert [made.spec.name for made in plan(specs, seen)] == ["a", "b"]
