"""What is written down is what the code does."""

import re
from pathlib import Path

import yaml

from jobs.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent


def test_the_readme_lists_every_setting_and_no_other() -> None:
    """In the order of the code."""
    section = (ROOT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([A-Z0-9_]+)` \|", section, re.MULTILINE)
    assert listed == [name.upper() for name in Settings.model_fields]


def test_a_setting_is_marked_as_needed_exactly_if_it_is() -> None:
    """Nobody finds out by starting it."""
    readme = (ROOT / "README.md").read_text()
    needed = {name.lower() for name in re.findall(r"^\| `([A-Z0-9_]+)` \| needed \|", readme, re.MULTILINE)}
    assert needed == {name for name, field in Settings.model_fields.items() if field.is_required()}


def test_compose_sets_only_settings_that_exist() -> None:
    """And all that are needed."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for service in ("api", "worker", "events", "bucket"):
        names = {name.removeprefix(PREFIX).lower() for name in compose["services"][service]["environment"]}
        assert names <= set(Settings.model_fields)
        assert names >= {name for name, field in Settings.model_fields.items() if field.is_required()}
