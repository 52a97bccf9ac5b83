"""Code points and gammas mean what their standards say."""

from io import BytesIO

import pytest
from PIL import Image, ImageCms

from jobs.imaging.cicp import SRGB, Chromaticities, profile_of_codes, profile_of_gamma
from jobs.imaging.colour import to_srgb
from tests.imaging.profiles import ADOBE, BT2020, P3, encoded
from tests.imaging.profiles import SRGB as SRGB_PRIMARIES

ADOBE_XY: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_XY: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PQ, HLG = 16, 18


def _grey(profile: bytes | None, level: int) -> int:
    """The level of sRGB that a grey of this profile becomes."""
    assert profile
    red, green, blue = to_srgb(Image.new("RGB", (1, 1), (level,) * 3), profile).tobytes()
    assert max(red, green, blue) - min(red, green, blue) <= 1
    return green


@pytest.mark.parametrize(
    ("profile", "primaries"),
    [
        (profile_of_codes(1, 8), SRGB_PRIMARIES),
        (profile_of_codes(12, 13), P3),
        (profile_of_codes(9, 13), BT2020),
        (profile_of_gamma(1 / 2.2, ADOBE_XY), ADOBE),
    ],
    ids=["BT.709", "P3", "BT.2020", "Adobe RGB"],
)
def test_primaries_are_those_of_the_standard(
    profile: bytes, primaries: tuple[tuple[float, float, float], ...]
) -> None:
    """As XYZ under D50, to the fourth digit, where published ones begin to differ."""
    opened = ImageCms.ImageCmsProfile(BytesIO(profile)).profile
    for found, meant in zip(
        (opened.red_colorant, opened.green_colorant, opened.blue_colorant), primaries, strict=True
    ):
        assert found is not None
        assert found[0] == pytest.approx(meant, abs=2e-4)


@pytest.mark.parametrize("primaries", [1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 22])
@pytest.mark.parametrize("transfer", [4, 5, 8, PQ, HLG])
def test_black_is_black_and_white_is_white(primaries: int, transfer: int) -> None:
    """Under every white, by every curve; and what has more light is not darker."""
    profile = profile_of_codes(primaries, transfer)
    greys = [_grey(profile, level) for level in range(0, 256, 5)]
    assert (greys[0], greys[-1]) == (0, 255)
    assert greys == sorted(greys)


@pytest.mark.parametrize("primaries", [1, 2])
@pytest.mark.parametrize("transfer", [1, 2, 6, 13, 14, 15])
def test_srgb_costs_nothing(primaries: int, transfer: int) -> None:
    """However it is called."""
    assert profile_of_codes(primaries, transfer) == SRGB


@pytest.mark.parametrize(("primaries", "transfer"), [(0, 13), (1, 0), (3, 13), (12, 3), (65_535, 65_535)])
def test_a_code_that_nobody_knows_says_nothing(primaries: int, transfer: int) -> None:
    """Reserved, or of what no picture has."""
    assert profile_of_codes(primaries, transfer) is None


@pytest.mark.parametrize(
    ("transfer", "level", "light"),
    [
        (4, 128, (128 / 255) ** 2.2),
        (5, 128, (128 / 255) ** 2.8),
        (8, 128, 128 / 255),
        (PQ, 38, 1 / 203),  # ST 2084 has 1, 10 and 100 nits at 15.0 %, 30.3 % and 50.8 %
        (PQ, 77, 10 / 203),
        (PQ, 130, 100 / 203),
        (HLG, 128, 51.5 / 203),
    ],
)
def test_a_curve_is_that_of_the_standard(transfer: int, level: int, light: float) -> None:
    """Below the knee, from which on what is brighter than white is compressed."""
    assert abs(_grey(profile_of_codes(1, transfer), level) - encoded(light)) <= 2


@pytest.mark.parametrize(("transfer", "level"), [(PQ, 148), (HLG, 191)])
def test_white_is_bright_and_what_is_brighter_is_told_apart(transfer: int, level: int) -> None:
    """White has 203 nits: 58 % in PQ, 75 % in HLG."""
    profile = profile_of_codes(9, transfer)
    white, brighter = _grey(profile, level), _grey(profile, level + 20)
    assert 235 <= white < brighter <= 255


@pytest.mark.parametrize("gamma", [1 / 2.2, 0.45455, 0.4545])
@pytest.mark.parametrize("chromaticities", [None, SRGB_XY])
def test_the_gamma_of_srgb_costs_nothing(gamma: float, chromaticities: Chromaticities | None) -> None:
    """A PNG says 1/2.2 for it."""
    assert profile_of_gamma(gamma, chromaticities) == SRGB


@pytest.mark.parametrize("gamma", [0.0, 0.00001, 42_949.67295])
def test_a_gamma_that_makes_no_sense_says_nothing(gamma: float) -> None:
    """Of none is there light."""
    assert profile_of_gamma(gamma, None) is None


@pytest.mark.parametrize(
    "chromaticities",
    [
        (0.0,) * 8,
        (0.3127, 0.3290, *(0.64, 0.33) * 3),
        (0.3127, 0.00001, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
        (0.7, 0.2, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
        (42_949.0,) * 8,
    ],
    ids=["nothing", "one color", "no light", "white beyond red", "huge"],
)
def test_primaries_that_make_no_sense_count_as_none(chromaticities: Chromaticities) -> None:
    """The gamma counts still."""
    assert profile_of_gamma(1.0, chromaticities) == profile_of_gamma(1.0, None)
