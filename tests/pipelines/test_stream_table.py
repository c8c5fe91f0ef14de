"""What is shown of a replay: counts that add up, latencies that were measured, a table where there is no terminal."""

from __future__ import annotations

from array import array
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipelines.live import LINE_SECONDS, MOST_SERIES, shown
from pipelines.pushing import Problem
from pipelines.tallies import Board, Outcome, Tally, latency


def outcome(**said: object) -> Outcome:
    return Outcome(**{"accepted": 1, "skill": 0.25, "coverage": {"90": 0.9, "95": 1.0}, "scored": 7, **said})  # type: ignore[arg-type]


def board(*names: str) -> Board:
    return Board("tiny", "http://here", {name: Tally() for name in names})


def print_of(what: Board, width: int = 120, **console: bool) -> str:
    out = StringIO()
    with shown(what, 10, Console(file=out, width=width, **console)):  # type: ignore[arg-type]
        pass
    return out.getvalue()


@given(st.lists(st.floats(2**-10, 8, width=32), min_size=1))
def test_latencies_are_those_that_were_measured(seconds: list[float]) -> None:
    found = latency(array("f", seconds))
    assert found.p50 is not None
    assert found.p99 is not None
    ordered = sorted(seconds)
    below = [sum(one * 1000 <= quantile * (1 + 1e-6) for one in ordered) for quantile in (found.p50, found.p99)]
    assert below[0] >= len(seconds) / 2
    assert below[1] >= 0.99 * len(seconds)
    assert found.p50 <= found.p99 <= ordered[-1] * 1000 * (1 + 1e-6)


def test_nothing_measured_is_no_latency() -> None:
    assert latency(array("f")) == (None, None)


def test_rows_are_counted_as_what_became_of_them() -> None:
    one = Tally()
    one.take(5, outcome(accepted=3), "1", history=True)
    one.take(1, outcome(accepted=0), "2", history=False)
    one.take(1, outcome(drift="errors"), "3", history=False)
    one.refuse(1, "late")
    one.refuse(2, "changed")
    assert one.summary() == {
        "rows": 2,
        "imported": 5,
        "replayed": 3,
        "refused": 3,
        "reason": "late",
        "skill": 0.25,
        "coverage": 0.9,
        "scored": 7,
        "drift": "errors",
        "version": "3",
        "latency_ms": {"p50": None, "p99": None},
    }


def test_all_together_are_the_sum_and_the_mean_over_series_that_have_a_score() -> None:
    whole = board("a", "b", "c")
    whole.tallies["a"].take(1, outcome(skill=0.5), "1", history=False)
    whole.tallies["b"].take(1, outcome(skill=0.1, coverage={"90": 0.8}), "1", history=False)
    whole.tallies["c"].refuse(4, str(Problem(title="The row is older", detail="than the newest")))
    whole.spend(0.5, history=False)
    said = whole.summary(interrupted=False)
    assert (said["rows"], said["refused"], said["rows_per_second"]) == (2, 4, 4.0)
    assert said["skill"] == pytest.approx(0.3)
    assert said["coverage"] == pytest.approx(0.85)
    assert said["reason"] == "c: The row is older: than the newest"


def test_without_a_terminal_a_table_comes_at_the_end() -> None:
    whole = board("north", "south")
    whole.tallies["north"].take(1, outcome(skill=-0.031, drift="both"), "12", history=False)
    whole.tallies["north"].seconds.append(0.00125)
    whole.seconds.append(0.00125)
    whole.spend(0.5, history=False)
    lines = print_of(whole).splitlines()
    assert "\x1b" not in "".join(lines)
    north, south = (next(line.split() for line in lines if line.startswith(name)) for name in ("north", "south"))
    assert north == ["north", "1", "0", "0", "-3.1%", "90.0%", "1.2", "1.2", "both", "12"]
    assert south == ["south", "0", "0", "0", "-", "-", "-", "-", "none", "-"]
    assert lines[-2].split() == ["2", "together", "1", "0", "0", "-3.1%", "90.0%", "1.2", "1.2", "1", "drift", "2/s"]
    assert lines[-1] == "1 rows pushed in 0.5 s: 2 observations/s"


def test_in_a_terminal_it_is_drawn_while_it_goes() -> None:
    out, whole = StringIO(), board("a")
    with shown(whole, 10, Console(file=out, width=120, force_terminal=True)) as screen:
        screen.drawn -= LINE_SECONDS
        whole.tallies["a"].take(1, outcome(), "1", history=False)
        screen.moved(1)
        assert "1/10" in out.getvalue()


def test_without_one_a_line_comes_now_and_then() -> None:
    out, whole = StringIO(), board("a")
    with shown(whole, 10, Console(file=out, width=40)) as screen:
        screen.moved(1)
        assert not out.getvalue()
        screen.drawn -= LINE_SECONDS
        whole.tallies["a"].take(1, outcome(), "1", history=False)
        screen.moved(1)
        assert out.getvalue() == "1 of 10 rows, 0 observations/s, skill 25.0%, 90.0% in the 90 % interval\n"


def test_many_streams_are_shown_in_part_and_counted_in_full() -> None:
    said = print_of(board(*(f"s{one}" for one in range(1000))))
    assert "and 976 more streams" in said
    assert "1,000 together" in said
    assert len(said.splitlines()) < MOST_SERIES + 10


def test_names_are_shown_as_they_are() -> None:
    assert "[bold]a" in print_of(board("[bold]a"))


def test_a_table_is_printed_however_the_replay_ended() -> None:
    out = StringIO()
    with pytest.raises(KeyboardInterrupt), shown(board("a"), 10, Console(file=out)):
        raise KeyboardInterrupt
    assert "1 together" in out.getvalue()
