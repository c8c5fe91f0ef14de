"""When to retrain, by a clock of our own: each time once, what was missed once, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import ProjectError
from pipelines.calendar.due import Outcome, Past, Plan, Run, Wait, next_step, trigger_for

HOUR, DAY = 3600.0, 86400.0
BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = Plan(trigger_for("30 2 * * *", "Europe/Berlin"))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def days(runs: list[float]) -> list[str]:
    return [datetime.fromtimestamp(due, BERLIN).strftime("%m-%d %H:%M") for due in runs]


class Clock:
    """A scheduler that looks at times; what it runs ends at once."""

    def __init__(self, plan: Plan, since: float, outcome: Outcome = Outcome.DONE) -> None:
        self.plan, self.since, self.outcome = plan, since, outcome
        self.past: Past | None = None
        self.runs: list[float] = []

    def look(self, now: float) -> Run | Wait:
        step = next_step(self.plan, self.past, now, self.since)
        if isinstance(step, Run):
            self.past = Past(step.due, step.attempt, now, now, self.outcome)
            self.runs.append(step.due)
        return step

    def through(self, start: float, stop: float, every: float = 600) -> None:
        while start < stop:
            self.look(start)
            start += every


def test_a_time_comes_once_a_day_also_where_it_does_not_exist() -> None:
    clock = Clock(NIGHTLY, at("2026-03-27T12:00"))
    clock.through(clock.since, at("2026-03-31T12:00"))
    assert days(clock.runs) == ["03-28 02:30", "03-29 03:30", "03-30 02:30", "03-31 02:30"]


def test_a_time_that_exists_twice_comes_once() -> None:
    clock = Clock(NIGHTLY, at("2026-10-23T12:00"))
    clock.through(clock.since, at("2026-10-27T12:00"))
    assert days(clock.runs) == ["10-24 02:30", "10-25 02:30", "10-26 02:30", "10-27 02:30"]


@given(away=st.floats(2 * DAY, 300 * DAY))
@settings(deadline=None)
def test_what_was_missed_is_caught_up_once(away: float) -> None:
    clock = Clock(NIGHTLY, at("2026-01-01T12:00"))
    clock.through(clock.since, clock.since + 2 * DAY, 3 * HOUR)
    before, back = len(clock.runs), clock.since + 2 * DAY + away
    clock.through(back, back + HOUR / 2, 60)
    caught = clock.runs[before:]
    assert 1 <= len(caught) <= 2  # the second one if it is due just now
    assert caught[0] > back - 25 * HOUR - HOUR / 2


JUMPS = st.lists(st.tuples(st.floats(-3 * DAY, 3 * DAY), st.integers(1, 12)), min_size=1, max_size=12)


@given(jumps=JUMPS, start=st.floats(at("2026-01-01T00:00"), at("2026-12-01T00:00")))
@settings(deadline=None)
def test_whatever_the_clock_does_no_time_is_begun_twice(jumps: list[tuple[float, int]], start: float) -> None:
    clock, now = Clock(NIGHTLY, start), start
    for jump, looks in jumps:
        now += jump
        for _ in range(looks):
            clock.look(now)
            now += HOUR
    assert len(clock.runs) == len(set(clock.runs))
    assert clock.runs == sorted(clock.runs)
    local = days(clock.runs)
    assert len(local) == len(set(local))


def test_who_starts_again_catches_up_with_what_was_missed_meanwhile() -> None:
    past = Past(at("2026-06-01T00:30"), 1, at("2026-06-01T00:30"), at("2026-06-01T00:31"), Outcome.DONE)
    now = at("2026-06-04T12:00")
    assert next_step(NIGHTLY, past, now, since=now) == Run(at("2026-06-04T00:30"), 1)


def test_a_project_that_is_new_waits_for_its_first_time() -> None:
    start = at("2026-06-01T12:00")
    step = next_step(NIGHTLY, None, start, start)
    assert isinstance(step, Wait)
    assert days([step.until]) == ["06-02 02:30"]


def test_what_may_pass_is_tried_again_later_and_later_and_then_given_up() -> None:
    clock = Clock(NIGHTLY, at("2026-06-01T00:00"), Outcome.FAILED)
    tried = []
    now = at("2026-06-01T00:30")
    while now < at("2026-06-01T20:00"):
        if isinstance(clock.look(now), Run):
            tried.append(now)
        now += 10
    assert [round(later - before) for before, later in pairwise(tried)] == [60, 120, 240]
    assert len(set(clock.runs)) == 1


def test_what_another_holds_up_is_tried_until_it_can_be_done() -> None:
    clock = Clock(NIGHTLY, at("2026-06-01T00:00"), Outcome.HELD)
    clock.through(at("2026-06-01T00:30"), at("2026-06-01T20:00"), 60)
    assert len(clock.runs) > 20
    assert len(set(clock.runs)) == 1


def test_bad_data_are_not_tried_again() -> None:
    clock = Clock(NIGHTLY, at("2026-06-01T00:00"), Outcome.REJECTED)
    clock.through(at("2026-06-01T00:30"), at("2026-06-01T20:00"), 60)
    assert len(clock.runs) == 1


def test_what_is_under_way_is_not_begun_again() -> None:
    under_way = Past(at("2026-06-01T00:30"), 1, at("2026-06-01T00:30"), None, None)
    assert isinstance(next_step(NIGHTLY, under_way, at("2026-06-01T09:00"), 0.0), Wait)


@pytest.mark.parametrize("cron", ["0 3 * *", "61 * * * *", "tomorrow", "0 0 31 2 *", ""])
def test_a_time_that_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(ProjectError, match=r"schedule\.cron is "):
        trigger_for(cron, "UTC")


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ProjectError, match="Atlantis"):
        trigger_for("0 3 * * *", "Europe/Atlantis")


def test_a_machine_begins_later_by_its_share_and_not_before() -> None:
    late = NIGHTLY._replace(late=900.0)
    due = at("2026-06-01T00:30")
    assert next_step(late, None, due + 899, due - HOUR) == Wait(due + 900)
    assert next_step(late, None, due + 900, due - HOUR) == Run(due, 1)


def test_drift_does_not_wait_for_a_due_time_but_for_the_last_run() -> None:
    begun = at("2026-06-01T00:30")
    past, apart = Past(begun, 1, begun, begun + 60, Outcome.DONE), NIGHTLY.apart
    assert isinstance(next_step(NIGHTLY, past, begun + apart - 1, begun, drifting=True), Wait)
    assert next_step(NIGHTLY, past, begun + apart, begun, drifting=True) == Run(begun + apart, 1)
    assert next_step(NIGHTLY, None, begun + HOUR, begun + HOUR, drifting=True) == Run(begun + HOUR, 1)
    assert isinstance(next_step(NIGHTLY, past._replace(ended=None), begun + apart, begun, drifting=True), Wait)


@given(
    drifts=st.lists(st.booleans(), min_size=20, max_size=200),
    start=st.floats(at("2026-01-01T00:00"), at("2026-12-01T00:00")),
)
@settings(deadline=None)
def test_runs_on_drift_are_apart_and_no_due_time_is_lost_by_them(drifts: list[bool], start: float) -> None:
    past, runs, now = None, list[tuple[float, float, bool]](), start
    for drifting in drifts:
        step = next_step(NIGHTLY, past, now, start, drifting=drifting)
        if isinstance(step, Run):
            runs.append((step.due, now, step.due == now))
            past = Past(step.due, step.attempt, now, now, Outcome.DONE)
        now += HOUR
    assert all(now - before >= NIGHTLY.apart for (_, before, _), (_, now, drift) in pairwise(runs) if drift)
    due = [one for one, _, drift in runs if not drift]
    assert due == sorted(set(due))
    nights = int((now - start) / DAY) - 1
    assert len(due) >= nights  # a day may have a night at either end
