"""Which renditions come of a source, and how large they are."""

import pytest

from jobs.formats import AutoFormat, VariantFormat
from jobs.imaging.sizes import extremes, plan
from jobs.presets import DEFAULT_PRESET, Fit, VariantSpec

WIDTHS = DEFAULT_PRESET.variants
Size = tuple[int, int]


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
def test_nothing_is_enlarged_or_repeated(seen: Size, expected: list[tuple[str, int, int]]) -> None:
    """The first variant that the source cannot fill has the source's size; there are none beyond."""
    made = plan(WIDTHS, seen, see_through=False)
    assert [(rendition.spec.name, *rendition.size) for rendition in made] == expected


@pytest.mark.parametrize("seen", [(10, 60_000), (1, 60_000), (3_000, 50_000)])
def test_a_tower_is_scaled_until_its_format_can_hold_it(seen: Size) -> None:
    """A WebP has at most 16383 pixels a side."""
    for made in plan(WIDTHS, seen, see_through=False):
        assert 1 <= made.size[0] <= seen[0]
        assert 1 <= made.size[1] <= 16_383


def test_the_order_of_a_preset_does_not_matter() -> None:
    """Small ones come first, however they are listed."""
    assert plan(WIDTHS[::-1], (4000, 3000), see_through=False) == plan(
        WIDTHS, (4000, 3000), see_through=False
    )


def test_two_variants_of_one_size_are_two_if_they_differ() -> None:
    """In quality, for instance; a client that asks for either finds it."""
    specs = [VariantSpec(name="a", width=64, quality=50), VariantSpec(name="b", width=64, quality=95)]
    for seen in ((1_000, 500), (50, 50)):
        assert [made.spec.name for made in plan(specs, seen, see_through=False)] == ["a", "b"]


def test_what_costs_most_comes_last() -> None:
    """The largest AVIF holds up no thumbnail."""
    both = (VariantFormat.AVIF, VariantFormat.WEBP)
    specs = [VariantSpec(name=f"w{width}", width=width, format=both) for width in (1920, 320)]
    made = plan(specs, (4000, 3000), see_through=False)
    assert [(rendition.spec.name, rendition.format.value) for rendition in made] == [
        ("w320", "webp"),
        ("w320", "avif"),
        ("w1920", "webp"),
        ("w1920", "avif"),
    ]


@pytest.mark.parametrize(("see_through", "format_"), [(True, "png"), (False, "jpeg")])
def test_a_format_can_be_chosen_by_the_picture(*, see_through: bool, format_: str) -> None:
    """What every program reads."""
    spec = VariantSpec(name="a", width=64, format=AutoFormat.AUTO)
    (made,) = plan([spec], (100, 100), see_through=see_through)
    assert made.format.value == format_


@pytest.mark.parametrize(
    ("fit", "box", "seen", "whole", "size"),
    [
        (Fit.INSIDE, (100, None), (400, 200), (100, 50), (100, 50)),
        (Fit.INSIDE, (None, 100), (400, 200), (200, 100), (200, 100)),
        (Fit.INSIDE, (100, 100), (400, 200), (100, 50), (100, 50)),
        (Fit.INSIDE, (100, 100), (200, 400), (50, 100), (50, 100)),
        (Fit.INSIDE, (100, 100), (20, 10), (20, 10), (20, 10)),
        (Fit.COVER, (100, 100), (400, 200), (200, 100), (100, 100)),
        (Fit.COVER, (100, 100), (200, 400), (100, 200), (100, 100)),
        (Fit.COVER, (100, 100), (400, 400), (100, 100), (100, 100)),
        (Fit.COVER, (100, 50), (60, 60), (60, 60), (60, 30)),
        (Fit.COVER, (100, 100), (60, 30), (60, 30), (30, 30)),
        (Fit.CONTAIN, (100, 100), (400, 200), (100, 50), (100, 100)),
        (Fit.CONTAIN, (100, 100), (20, 10), (20, 10), (100, 100)),
    ],
)
def test_a_picture_is_fitted(
    fit: Fit, box: tuple[int | None, int | None], seen: Size, whole: Size, size: Size
) -> None:
    """Inside, covering or contained, and never enlarged."""
    spec = VariantSpec(name="a", width=box[0], height=box[1], fit=fit)
    (made,) = plan([spec], seen, see_through=False)
    assert (made.whole, made.size) == (whole, size)


def test_the_smallest_and_the_largest_are_known_before_anything_is_decoded() -> None:
    """By them it is decoded; what covers a box is larger than the box."""
    avatar = VariantSpec(name="avatar", width=300, height=300, fit=Fit.COVER)
    assert extremes([avatar, VariantSpec(name="a", width=100)], (1000, 500)) == ((100, 50), (600, 300))
