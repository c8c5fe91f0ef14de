"""When a project is to be retrained: a pure function of its plan, of what was done, and of the time.

A time that was missed, however often, is caught up once: only the newest one that has passed counts. What was begun is
not begun again, whatever the clock says later: a clock that jumps back waits until it is where it was. Cron expressions
are those of APScheduler, which knows what to do where local time jumps: an hour that does not exist runs once, at the
next one; one that exists twice runs once.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from forecasting.errors import ProjectError

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3_600.0
"""Seconds before what failed is tried again: twice as long each time."""

HOUR, DAY = 3_600.0, 86_400.0
SPANS = (HOUR, DAY, 7 * DAY, 31 * DAY, 400 * DAY)
"""How far back a time is looked for that has passed: a cron expression may mean once a year."""


class Outcome(StrEnum):
    """What came of a run."""

    DONE = "done"
    REJECTED = "data rejected"
    WRONG = "cannot be run"
    FAILED = "failed"
    HELD = "held by another"


class Past(NamedTuple):
    """What was done last: the due time that was begun, how often, since when, until when, with what outcome.

    Seconds since 1970. `ended` None: it is under way, or whoever was at it is gone.
    """

    due: float
    attempt: int
    began: float
    ended: float | None
    outcome: str | None


class Plan(NamedTuple):
    """When to run: a cron trigger, how much later at most (a share of a machine's own), how often to try again.

    Where streams drift it is not waited for, but for `apart` seconds since the last run began.
    """

    trigger: CronTrigger
    late: float = 0.0
    retries: int = 3
    apart: float = 6 * HOUR


class Run(NamedTuple):
    """Run now, for this due time, for the so-manieth time."""

    due: float
    attempt: int


class Wait(NamedTuple):
    """Nothing is to be done before this time."""

    until: float


def trigger_for(cron: str, timezone: str) -> CronTrigger:
    """Return the trigger of a cron expression of five fields.

    Raises:
        ProjectError: it is none, or never comes.
    """
    try:
        trigger = CronTrigger.from_crontab(cron, timezone=ZoneInfo(timezone))
        never = _next(trigger, 0.0) is None
    except (ValueError, KeyError) as error:
        message = f"schedule.cron is {cron!r} in {timezone!r}: {error}; expected five fields as in '0 3 * * *'"
        raise ProjectError(message) from None
    if never:
        message = f"schedule.cron is {cron!r}, which never comes; expected five fields as in '0 3 * * *'"
        raise ProjectError(message)
    return trigger


def next_step(plan: Plan, past: Past | None, now: float, since: float, *, drifting: bool = False) -> Run | Wait:
    """Return what to do at a time; `since` is when the project was first seen, before which nothing was missed.

    `drifting` tells that its streams are no longer what they were: a reason to run by itself.
    """
    if past is not None and past.due > now + LONGEST_PAUSE:
        return Wait(now + LONGEST_PAUSE)  # the clock has jumped back: what it says again has been done
    newest = _newest(plan.trigger, since if past is None else past.due, now)
    if newest is not None and (past is None or (newest > past.due and not _repeats(plan.trigger, newest, past.due))):
        at = newest + plan.late
        return Run(newest, 1) if now >= at else Wait(at)
    if past is not None and past.ended is not None and tried_again(past.outcome, past.attempt, plan.retries):
        at = past.ended + pause_after(past.attempt)
        return Run(past.due, past.attempt + 1) if now >= at else Wait(at)
    if drifting and (past is None or (past.ended is not None and now >= max(past.began, past.due) + plan.apart)):
        return Run(now, 1)
    coming = _next(plan.trigger, now)
    return Wait(now + LONGEST_PAUSE if coming is None else coming + plan.late)


def pause_after(attempt: int) -> float:
    """Return the seconds to wait after so many attempts."""
    return float(min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE))


def tried_again(outcome: str | None, attempt: int, retries: int) -> bool:
    """Tell whether a run is tried again: one that another held up in any case, one that failed so many times."""
    return outcome == Outcome.HELD or (outcome == Outcome.FAILED and attempt <= retries)


def _repeats(trigger: CronTrigger, due: float, before: float) -> bool:
    """Tell whether a due time is one before by the local clock, which was set back between them."""
    one, other = (datetime.fromtimestamp(time, trigger.timezone).replace(tzinfo=None) for time in (due, before))
    return one == other


def _newest(trigger: CronTrigger, since: float, now: float) -> float | None:
    """Return the newest due time after `since` that has passed; it is looked for where it is likely first."""
    for span in SPANS:
        found, later = None, _next(trigger, max(since, now - span))
        while later is not None and later <= now:
            found, later = later, _next(trigger, later)
        if found is not None or since >= now - span:
            return found
    return None


def _next(trigger: CronTrigger, after: float) -> float | None:
    """Return the first due time after a time; None where there is none.

    Where the clock is set back, the trigger says a local time again; it is the same one.
    """
    moment = after + 1
    while (found := trigger.get_next_fire_time(None, datetime.fromtimestamp(moment, trigger.timezone))) is not None:
        due = float(found.timestamp())
        if due > after and not _repeats(trigger, due, after):
            return due
        moment = max(moment, due) + HOUR
    return None
