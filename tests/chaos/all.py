"""Every scenario, by the name of its fault."""

from tests.chaos.hints import WITHIN
from tests.chaos.scenarios import KILLING, Scenario

SCENARIOS: dict[str, Scenario] = {**KILLING, **WITHIN}
