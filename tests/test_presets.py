"""Presets are checked where they are written, and say what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import SettingsError
from jobs.formats import AutoFormat, VariantFormat
from jobs.presets import Fit, Focus, Kept, Preset, VariantSpec
from jobs.settings import load_settings
from tests.test_settings import COMPLETE

TOML = """
[avatar]
keep_original = false
keep = ["icc"]
max_bytes = 5_000_000
[[avatar.variants]]
name = "small"
width = 64
height = 64
fit = "cover"
focus = "entropy"
format = ["avif", "webp"]
[[avatar.variants]]
name = "mail"
width = 600
format = "auto"
quality = 70
"""
AVATAR = Preset(
    keep_original=False,
    keep=(Kept.ICC,),
    max_bytes=5_000_000,
    variants=(
        VariantSpec(
            name="small",
            width=64,
            height=64,
            fit=Fit.COVER,
            focus=Focus.ENTROPY,
            format=(VariantFormat.AVIF, VariantFormat.WEBP),
        ),
        VariantSpec(name="mail", width=600, format=AutoFormat.AUTO, quality=70),
    ),
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """All that is needed, and no `.env`."""
    monkeypatch.chdir(tmp_path)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_presets_can_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In TOML or in JSON, as in the variable."""
    import tomllib

    as_json = json.dumps(tomllib.loads(TOML))
    (tmp_path / "presets.toml").write_text(TOML)
    (tmp_path / "presets.json").write_text(as_json)
    for name in ("presets.toml", "presets.json"):
        environment.setenv("DARKROOM_PRESETS_FILE", name)
        assert load_settings().presets == {"avatar": AVATAR}
    environment.delenv("DARKROOM_PRESETS_FILE")
    environment.setenv("DARKROOM_PRESETS", as_json)
    assert load_settings().presets == {"avatar": AVATAR}


@pytest.mark.parametrize("content", [None, "{", "[avatar"])
def test_a_file_that_cannot_be_read_is_named(
    environment: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    """Missing, or neither TOML nor JSON."""
    for name in ("presets.toml", "presets.json"):
        if content is not None:
            (tmp_path / name).write_text(content)
        environment.setenv("DARKROOM_PRESETS_FILE", name)
        with pytest.raises(SettingsError, match="DARKROOM_PRESETS_FILE"):
            load_settings()


def test_presets_cannot_come_from_two_places(environment: pytest.MonkeyPatch) -> None:
    """Nobody could know which count."""
    environment.setenv("DARKROOM_PRESETS_FILE", "presets.toml")
    environment.setenv("DARKROOM_PRESETS", "{}")
    environment.setenv("DARKROOM_PRESETS", '{"a": {"variants": [{"name": "a", "width": 1}]}}')
    with pytest.raises(SettingsError, match="DARKROOM_PRESETS_FILE"):
        load_settings()


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"name": "A"}, "small letters"),
        ({"name": "a"}, "width or a height"),
        ({"name": "a", "width": 0}, "1 to 16383"),
        ({"name": "a", "width": 16_384}, "1 to 16383"),
        ({"name": "a", "width": 1, "fit": "cover"}, "both a width and a height"),
        ({"name": "a", "width": 1, "fit": "fill"}, "cover"),
        ({"name": "a", "width": 1, "quality": 101}, "quality"),
        ({"name": "a", "width": 1, "effort": 7}, "0 to 6"),
        ({"name": "a", "width": 1, "format": "avif", "effort": 11}, "0 to 10"),
        ({"name": "a", "width": 1, "format": "gif"}, "webp"),
        ({"name": "a", "width": 1, "format": []}, "at least one format"),
        ({"name": "a", "width": 1, "format": ["webp", "webp"]}, "none twice"),
        ({"name": "a", "width": 1, "background": "red"}, "#rrggbb"),
        ({"name": "a", "width": 1, "widht": 2}, "widht"),
        ({"name": "a", "width": "wide"}, "integer"),
    ],
)
def test_a_variant_that_makes_no_sense_is_told_so(
    environment: pytest.MonkeyPatch, spec: dict[str, Any], complaint: str
) -> None:
    """In the line that names the setting."""
    environment.setenv("DARKROOM_PRESETS", json.dumps({"p": {"variants": [spec]}}))
    with pytest.raises(SettingsError, match="DARKROOM_PRESETS") as error:
        load_settings()
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "preset",
    [
        {"variants": []},
        {"variants": [{"name": "a", "width": 1}, {"name": "a", "width": 2}]},
        {"variants": [{"name": "a", "width": 1}], "max_pixels": 0},
        {"variants": [{"name": "a", "width": 1}], "keep": ["gps"]},
        {"variants": [{"name": "a", "width": 1}], "animate": True},
        {"variants": [{"name": f"a{n}", "width": n + 1} for n in range(51)]},
        {},
    ],
)
def test_a_preset_that_makes_no_sense_is_told_so(
    environment: pytest.MonkeyPatch, preset: dict[str, Any]
) -> None:
    """Rather than developing something else."""
    environment.setenv("DARKROOM_PRESETS", json.dumps({"p": preset}))
    with pytest.raises(SettingsError, match="DARKROOM_PRESETS"):
        load_settings()
