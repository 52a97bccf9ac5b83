"""What is written down is what the code does."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter

from jobs.access import Role
from jobs.presets import Preset
from jobs.settings import Settings
from tests.test_access import fields_of_the_schema

ROOT = Path(__file__).parent.parent


def test_the_readme_lists_every_setting_and_no_other() -> None:
    """In the order of the code."""
    section = (ROOT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([A-Z0-9_]+)` \|", section, re.MULTILINE)
    assert listed == [name.upper() for name in Settings.model_fields]


def test_the_readme_says_of_each_field_who_may() -> None:
    """Every one of them under its role, and no other."""
    table = (ROOT / "README.md").read_text().split("| Role | May |")[1].split("\n\n")[0]
    listed = {
        role: set(re.findall(r"`(\w+)`", may)) - set(Role)
        for role, may in re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)
    }
    assert listed == {
        role: {field for field, roles in fields_of_the_schema().items() if roles == [role]} for role in Role
    }


def test_a_setting_is_marked_as_needed_exactly_if_it_is() -> None:
    """Nobody finds out by starting it."""
    readme = (ROOT / "README.md").read_text()
    needed = {name.lower() for name in re.findall(r"^\| `([A-Z0-9_]+)` \| needed \|", readme, re.MULTILINE)}
    assert needed == {name for name, field in Settings.model_fields.items() if field.is_required()}


def test_the_presets_of_the_readme_are_presets() -> None:
    """Whoever pastes them gets what they say; and every limit in its table exists."""
    readme = (ROOT / "README.md").read_text()
    example = readme.split("```toml\n")[1].split("```")[0]
    presets = TypeAdapter(dict[str, Preset]).validate_python(tomllib.loads(example))
    assert [spec.name for spec in presets["avatar"].variants] == ["small", "large"]
    table = readme.split("| Of a preset |")[1].split("\n\n")[0].splitlines()[2:]
    named = {name for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == {field.name for field in fields(Preset)} - {"variants"}
