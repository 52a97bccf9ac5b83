"""How long each stage took, as a function of a timeline."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from jobs.images import MOVES, Move, Status, StatusChange
from jobs.stages import DEVELOPED, ENDED_BY, RECORDED, History, Percentiles, Stage, percentiles, stage_times
from tests.records import NOON

PENDING, UPLOADED, PROCESSING, READY = Status.PENDING, Status.UPLOADED, Status.PROCESSING, Status.READY


def at(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


def history(*changes: tuple[Status, float], stored: float | None = None) -> History:
    """A history of these states, each with its seconds after noon."""
    timeline = [StatusChange(status=status, at=at(seconds)) for status, seconds in changes]
    return History(timeline, None if stored is None else at(stored))


def seconds(told: History) -> dict[Stage, float]:
    """What each stage took."""
    return {stage: time.seconds for stage, time in stage_times(told).items()}


WAY = ((PENDING, 0), (UPLOADED, 5), (PROCESSING, 6), (READY, 8))


def test_each_stage_begins_where_the_one_before_it_ends() -> None:
    """Together they are the whole way."""
    times = list(stage_times(history(*WAY, stored=4.5)).values())
    assert [time.stage for time in times] == list(RECORDED)
    assert [time.seconds for time in times] == [4.5, 0.5, 1, 2]
    assert all(before.ended == after.began for before, after in pairwise(times))


def test_without_the_stores_word_there_is_no_delay_of_its_event() -> None:
    """A client's hint was faster, or the sweep found it."""
    assert seconds(history(*WAY)) == {Stage.UPLOAD: 5, Stage.QUEUE_WAIT: 1, Stage.DEVELOP: 2}


@pytest.mark.parametrize(("stored", "upload", "delay"), [(-3, 0, 5), (5.2, 5, 0)])
def test_a_stores_clock_that_is_wrong_makes_no_negative_times(
    stored: float, upload: float, delay: float
) -> None:
    """Nor more than there was."""
    told = seconds(history(*WAY, stored=stored))
    assert (told[Stage.UPLOAD], told[Stage.EVENT_DELAY]) == (upload, delay)


def test_clocks_of_two_machines_make_no_negative_times() -> None:
    """The worker's is behind."""
    assert seconds(history(*WAY[:2], (PROCESSING, 4.9)))[Stage.QUEUE_WAIT] == 0


def test_what_came_after_its_target_had_expired_was_uploaded_all_the_time() -> None:
    """From the request on."""
    late = history((PENDING, 0), (Status.EXPIRED, 900), (UPLOADED, 1_000))
    assert seconds(late) == {Stage.UPLOAD: 1_000}


@pytest.mark.parametrize("end", sorted(DEVELOPED))
def test_developing_ends_however_it_ends(end: Status) -> None:
    """READY or not."""
    assert seconds(history(*WAY[:3], (end, 9)))[Stage.DEVELOP] == 3


@pytest.mark.parametrize(
    "told",
    [
        history(),
        history((PENDING, 0)),
        history((PENDING, 0), (Status.DELETED, 3)),
        history((PROCESSING, 0), (Status.DELETED, 3)),
        history((UPLOADED, 0), (Status.FAILED, 3)),
    ],
)
def test_what_did_not_happen_took_no_time(told: History) -> None:
    """There is nothing to measure."""
    assert seconds(told) == {}


def test_a_round_of_its_own_is_measured_by_itself() -> None:
    """What was uploaded last year is none of its business."""
    again = ((UPLOADED, 100), (PROCESSING, 107), (READY, 110))
    assert seconds(history(*WAY, *again, stored=4)) == {Stage.QUEUE_WAIT: 7, Stage.DEVELOP: 3}
    assert seconds(history(*WAY, *again[:1])) == {}


def test_each_stage_is_ended_by_a_move_that_leads_where_it_ends() -> None:
    """Or it would never be observed."""
    assert {stage for stages in ENDED_BY.values() for stage in stages} == set(RECORDED)
    for move, stages in ENDED_BY.items():
        way = (*WAY[:3], (MOVES[move].target, 8)) if move not in (Move.ARRIVE, Move.TAKE) else WAY
        assert set(stages) <= set(stage_times(history(*way, stored=4)))


def test_percentiles_are_of_those_who_went_through() -> None:
    """By nearest rank: each of them is a time that somebody waited."""
    waited = [history((UPLOADED, 0), (PROCESSING, n)) for n in range(200, 0, -1)]
    summary = percentiles([*waited, history((PENDING, 0))])
    assert summary == {Stage.QUEUE_WAIT: Percentiles(200, 100, 190, 198)}
    assert percentiles(waited[:1]) == {Stage.QUEUE_WAIT: Percentiles(1, 200, 200, 200)}
    assert percentiles([]) == {}
