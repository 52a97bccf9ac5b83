"""What is told through the pipe arrives as it was meant."""

from pathlib import Path

import pytest

from jobs.errors import ProblemCode
from jobs.imaging.messages import (
    ANSWER,
    Finished,
    Inspected,
    Message,
    PlaceholderMade,
    Refused,
    RenditionMade,
    Task,
)
from jobs.presets import DEFAULT_PRESET, VariantFormat


@pytest.mark.parametrize(
    "answer",
    [
        Inspected(format="png", content_type="image/png", width=3, height=2, frame_count=1),
        PlaceholderMade(thumbhash="3OcRJYB4d3h/iIeHeEh3eIhw+j3A", dominant_color="#c83c28"),
        RenditionMade(
            name="w320",
            format=VariantFormat.WEBP,
            content_type="image/webp",
            width=320,
            height=240,
            byte_size=9,
            path=Path("/out/a\nline.webp"),
        ),
        Finished(seconds=0.25),
        Refused(code=ProblemCode.DAMAGED_IMAGE, message='It said: "no"\n'),
    ],
)
def test_an_answer_is_one_line_and_comes_back_the_same(answer: Message | Refused) -> None:
    """Whatever is in its fields."""
    line = answer.model_dump_json()
    assert "\n" not in line
    assert ANSWER.validate_json(line) == answer


def test_a_task_comes_back_the_same() -> None:
    """With its whole preset."""
    task = Task(source=Path("/a/source"), preset=DEFAULT_PRESET, out=Path("/out"), cpu_seconds=1.5)
    assert Task.model_validate_json(task.model_dump_json()) == task
