"""What is told through the pipe arrives as it was meant."""

import pytest

from jobs.errors import ProblemCode
from jobs.facts import Camera, Note, NoteCode
from jobs.formats import VariantFormat
from jobs.imaging.messages import (
    Answer,
    Finished,
    Hindered,
    Inspected,
    PlaceholderMade,
    Refused,
    RenditionMade,
    line,
)
from jobs.imaging.pool import ANSWER


@pytest.mark.parametrize(
    "answer",
    [
        Inspected(format="png", content_type="image/png", width=3, height=2, frame_count=1),
        Inspected(
            format="gif",
            content_type="image/gif",
            width=3,
            height=2,
            frame_count=9,
            camera=Camera(make="Ünï", taken_at="2026-06-01T12:00:00+02:00"),
            notes=(Note(code=NoteCode.FIRST_FRAME_ONLY, message="It moves."),),
        ),
        PlaceholderMade(
            thumbhash="3OcRJYB4d3h/iIeHeEh3eIhw+j3A",
            dominant_color="#c83c28",
            perceptual_hash="0123456789abcdef",
        ),
        RenditionMade(
            name="w320",
            format=VariantFormat.WEBP,
            width=320,
            height=240,
        ),
        Finished(seconds=0.25),
        Refused(code=ProblemCode.DAMAGED_IMAGE, message='It said: "no"\n'),
        Hindered(message="The disk is full."),
    ],
)
def test_an_answer_is_one_line_and_comes_back_the_same(answer: Answer) -> None:
    """Whatever is in its fields."""
    told = line(answer)
    assert told.index(b"\n") == len(told) - 1
    assert ANSWER.validate_json(told) == answer


@pytest.mark.parametrize(
    "told",
    [
        b"{}",
        b'{"kind": "else"}',
        b'{"kind": "finished", "seconds": "x"}',
        b'{"kind": "finished", "seconds": 1, "x": 2}',
    ],
)
def test_nobody_trusts_a_child(told: bytes) -> None:
    """What is no answer is not taken for one."""
    with pytest.raises(ValueError, match="validation error"):
        ANSWER.validate_json(told)
