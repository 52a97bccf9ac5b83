"""Colors that are told without an ICC profile come out as they were meant."""

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from jobs.formats import SourceFormat
from jobs.imaging.cicp import profile_of_codes
from jobs.imaging.coded import coded_profile
from jobs.presets import Kept, Preset, VariantSpec
from tests.imaging import samples
from tests.imaging.conftest import Develop
from tests.imaging.delta import delta_e, lab
from tests.imaging.profiles import ADOBE, BT2020, P3, SRGB, in_srgb, rgb_profile, srgb_curve

COLORS = [(200, 120, 80), (90, 140, 100), (60, 60, 160), (128, 128, 128), (30, 30, 30), (250, 250, 250)]
COLOR = COLORS[0]
ADOBE_XY = (31_270, 32_900, 64_000, 33_000, 21_000, 71_000, 15_000, 6_000)

register_heif_opener()  # the samples are written by it

Chunk = tuple[bytes, bytes]
P3_CODES = (b"cICP", bytes([12, 13, 0, 1]))
SRGB_CHUNK = (b"sRGB", b"\0")


def _gamma(value: float) -> Chunk:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def _primaries(values: tuple[int, ...] = ADOBE_XY) -> Chunk:
    return b"cHRM", struct.pack(">8I", *values)


def _png(color: Any, *chunks: Chunk, mode: str = "RGB", **options: Any) -> bytes:
    return samples.inserted(samples.flat(color, mode, **options), *chunks)


def _linear(value: float) -> float:
    return value


def _power(value: float) -> float:
    return float(value**2.2)


def _cases() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
    bt2020 = (b"cICP", bytes([9, 13, 0, 1]))
    for color in COLORS:
        name = "-".join(map(str, color))
        p3 = in_srgb(color, P3, srgb_curve)
        yield f"png-cicp-p3-{name}", _png(color, P3_CODES), p3
        yield f"png-cicp-2020-{name}", _png(color, bt2020), in_srgb(color, BT2020, srgb_curve)
        linear = in_srgb(color, SRGB, _linear)
        yield f"png-linear-{name}", _png(color, _gamma(1)), linear
        adobe = in_srgb(color, ADOBE, _power)
        yield f"png-adobe-{name}", _png(color, _gamma(1 / 2.2), _primaries()), adobe
        yield f"png-srgb-{name}", _png(color, _gamma(1 / 2.2)), color
        yield f"avif-p3-{name}", samples.avif_of_codes(color, 12, 13), p3
        yield f"avif-2020-{name}", samples.avif_of_codes(color, 9, 14), in_srgb(color, BT2020, srgb_curve)
        yield f"avif-p3-gamma-{name}", samples.avif_of_codes(color, 12, 4), in_srgb(color, P3, _power)
        yield f"avif-linear-{name}", samples.avif_of_codes(color, 1, 8), linear
        yield f"avif-video-{name}", samples.avif_of_codes(color, 1, 1), color
        heic: dict[str, Any] = {
            "color_primaries": 12,
            "transfer_characteristics": 13,
            "quality": 100,
            "chroma": 444,
        }
        yield f"heic-p3-{name}", samples.flat(color, format_="heif", **heic), p3
    for grey in (55, 128):
        linear = in_srgb((grey,) * 3, SRGB, _linear)
        yield f"grey-{grey}", _png(grey, _gamma(1), mode="L"), linear
        yield f"palette-{grey}", _png((grey,) * 3, _gamma(1), mode="P"), linear
        yield f"16-bit-grey-{grey}", samples.inserted(samples.grey_16_bits(grey * 257), _gamma(1)), linear


CASES = list(_cases())


@pytest.mark.parametrize(("source", "meant"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_patch_comes_out_as_it_was_meant(developed: Develop, source: bytes, meant: tuple[int, ...]) -> None:
    """By code points in a PNG, AVIF or HEIC, by gamma and primaries in a PNG."""
    assert _apart(developed(source, accepted=tuple(SourceFormat)).largest, meant) < 2


def _apart(made: Image.Image, meant: tuple[int, ...]) -> float:
    color = made.convert("RGB").getpixel((32, 32))
    assert isinstance(color, tuple)
    return delta_e(lab(color), lab(meant))


P3_MEANT = in_srgb(COLOR, P3, srgb_curve)
ADOBE_MEANT = in_srgb(COLOR, ADOBE, _power)
ADOBE_ICC = rgb_profile(ADOBE)


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        (_png(COLOR, P3_CODES, SRGB_CHUNK, _gamma(1), icc_profile=ADOBE_ICC), P3_MEANT),
        (_png(COLOR, (b"cICP", b"\1\x0d\0\1"), icc_profile=ADOBE_ICC), COLOR),
        (_png(COLOR, SRGB_CHUNK, _gamma(1), icc_profile=ADOBE_ICC), ADOBE_MEANT),
        (_png(COLOR, SRGB_CHUNK, _gamma(1), _primaries()), COLOR),
        (_png(COLOR, _primaries()), COLOR),
        (samples.flat(COLOR, format_="avif", quality=100, icc_profile=ADOBE_ICC), ADOBE_MEANT),
    ],
    ids=["cICP", "cICP of sRGB", "iCCP", "sRGB", "no gAMA", "ICC in AVIF"],
)
def test_one_word_stands_above_another(developed: Develop, source: bytes, meant: tuple[int, ...]) -> None:
    """In a PNG cICP, iCCP, sRGB, gAMA in this order; primaries say nothing without a gamma."""
    assert _apart(developed(source).largest, meant) < 2


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", b"\x0c\x0d")],
        [(b"cICP", b"\x0c\x0d\0\1more")],
        [(b"cICP", b"\x0c\x0d\1\1")],
        [(b"cICP", b"\x0c\x0d\0\0")],
        [(b"cICP", b"\x03\x0d\0\1")],
        [(b"cICP", b"")],
        [(b"prVt", b"")] * 1_001 + [P3_CODES],
        [_gamma(0)],
    ],
    ids=["short", "long", "a matrix", "narrow range", "unknown", "empty", "far behind", "no gamma"],
)
def test_a_chunk_that_makes_no_sense_is_passed_over(developed: Develop, chunks: list[Chunk]) -> None:
    """As if it were not there."""
    assert _apart(developed(_png(COLOR, *chunks)).largest, COLOR) < 2


def test_code_points_after_the_pixels_are_passed_over(developed: Develop) -> None:
    """They come too late for whoever shows a PNG while it arrives."""
    for words in (P3_CODES, (b"gAMA", (100_000).to_bytes(4, "big"))):
        late = samples.flat(COLOR)[:-12] + samples.png_of(words, (b"IEND", b""))[8:]
        assert _apart(developed(late).largest, COLOR) < 2


@pytest.mark.parametrize(
    "make", [lambda: _png(COLOR, P3_CODES), lambda: samples.avif_of_codes(COLOR, 12, 13)]
)
def test_what_is_no_icc_profile_is_not_kept_as_one(developed: Develop, make: Callable[[], bytes]) -> None:
    """A preset may keep profiles: these colors become sRGB even so."""
    keeping = Preset(variants=(VariantSpec(name="one", width=4096, quality=95),), keep=(Kept.ICC,))
    made = developed(make(), keeping).largest
    assert "icc_profile" not in made.info
    assert _apart(made, P3_MEANT) < 2


@pytest.mark.parametrize("format_", ["png", "avif"])
def test_every_frame_is_understood_alike(developed: Develop, format_: str) -> None:
    """What is told is told of an animation as a whole."""
    frames = [Image.new("RGB", (64, 64), color) for color in COLORS[:2]]
    options = {"quality": 100, "subsampling": "4:4:4"} if format_ == "avif" else {}
    whole = samples.saved(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    if format_ == "png":
        source = samples.inserted(whole, P3_CODES)
    else:
        source = whole.replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x0c\0\x0d")
    with Image.open(developed(source).renditions[0].path) as moving:
        for at, color in enumerate(COLORS[:2]):
            moving.seek(at)
            assert _apart(moving, in_srgb(color, P3, srgb_curve)) < 2


def _box(name: bytes, *contents: bytes) -> bytes:
    data = b"".join(contents)
    return struct.pack(">I", len(data) + 8) + name + data


def _colr(primaries: int, transfer: int) -> bytes:
    return _box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 6, 128))


def _heif(pitm: bytes, *properties: bytes, ipma: bytes, before: bytes = b"") -> bytes:
    iprp = _box(b"iprp", _box(b"ipco", *properties), _box(b"ipma", ipma))
    meta = _box(b"meta", bytes(4), _box(b"hdlr", bytes(24)), _box(b"pitm", pitm), iprp)
    return _box(b"ftyp", b"avif\0\0\0\0avif") + before + meta


ONE = b"\0\0\0\0" + b"\0\1"  # as a `pitm`: the first item is the primary one
FIRST = b"\0\0\0\0" + b"\0\0\0\1" + b"\0\1" + b"\1\1"  # as an `ipma`: it has the first property


@pytest.fixture
def told(tmp_path: Path) -> Callable[[bytes], bytes | None]:
    """What the boxes of an AVIF say."""

    def read(source: bytes) -> bytes | None:
        path = tmp_path / "source"
        path.write_bytes(source)
        return coded_profile(path, SourceFormat.AVIF, {})

    return read


@pytest.mark.parametrize(
    "source",
    [
        _heif(ONE, _colr(12, 13), ipma=FIRST),
        _heif(ONE, _colr(12, 13), ipma=FIRST, before=_box(b"mdat", bytes(5_000))),
        _heif(ONE, _colr(12, 13), ipma=FIRST, before=struct.pack(">I4sQ", 1, b"mdat", 20) + b"more"),
        # Two items, the second being the primary one; ids of four bytes, numbers of two.
        _heif(
            b"\1\0\0\0" + b"\0\1\0\0",
            _colr(9, 16),
            _colr(12, 13),
            ipma=b"\1\0\0\1" + b"\0\0\0\2" + b"\0\0\0\1\1\0\1" + b"\0\1\0\0\1\x80\2",
        ),
    ],
    ids=["plain", "behind the pixels", "behind a long box", "of two items"],
)
def test_the_code_points_are_those_of_the_primary_item(
    told: Callable[[bytes], bytes | None], source: bytes
) -> None:
    """Wherever they stand."""
    assert told(source) == profile_of_codes(12, 13)


@pytest.mark.parametrize(
    "source",
    [
        _heif(b"\0\0\0\0\0\2", _colr(12, 13), ipma=FIRST),
        _heif(ONE, _colr(12, 13), ipma=b""),
        _heif(ONE, _colr(12, 13), ipma=FIRST[:-1]),
        _heif(ONE, _colr(12, 13), ipma=b"\0\0\0\0\xff\xff\xff\xff" + b"\0\2\xff"),
        _heif(b"", _colr(12, 13), ipma=FIRST),
        _heif(ONE, _box(b"colr", b"nclx\0"), ipma=FIRST),
        _heif(ONE, _box(b"colr", b""), ipma=FIRST),
        _heif(ONE, b"\0\0\0\7colr", ipma=FIRST),
        _heif(ONE, b"\0\0\0\1colr" + bytes(8), ipma=FIRST),
        _heif(ONE, _box(b"free", bytes(2**20)) + _colr(12, 13), ipma=FIRST[:-1] + b"\2"),
        _heif(ONE, _colr(12, 13), ipma=FIRST, before=_box(b"free") * 1_001),
        _heif(ONE, _colr(12, 13), ipma=FIRST, before=b"\0\0\0\1free" + b"\xff" * 8),
        _box(b"meta"),
        b"\0",
    ],
    ids=[
        "another item", "no items", "cut short", "a count that lies", "no primary item", "no codes",
        "nothing", "a size below that of a box", "a long size of nothing", "too long", "too far",
        "a size that lies", "empty", "no box",
    ],
)  # fmt: skip
def test_boxes_that_make_no_sense_are_passed_over(
    told: Callable[[bytes], bytes | None], source: bytes
) -> None:
    """They neither hang nor raise anything."""
    assert told(source) is None


def test_broken_boxes_are_passed_over(told: Callable[[bytes], bytes | None]) -> None:
    """Each byte of the boxes may have any value: what is told is a profile, or nothing."""
    whole = samples.avif_of_codes(COLOR, 12, 13)
    chance = random.Random(7)  # noqa: S311 - the same every time
    answers = set()
    for at in range(whole.index(b"mdat")):
        for value in (0, 1, 255, chance.randrange(256)):
            answers.add(told(whole[:at] + bytes([value]) + whole[at + 1 :]))
    assert {None, profile_of_codes(12, 13)} <= answers
    assert all(answer is None or answer == b"" or answer[36:40] == b"acsp" for answer in answers)
