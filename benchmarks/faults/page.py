"""The page: what became of each request, and how to make it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from benchmarks.faults.asking import Outcome
from benchmarks.faults.cases import Case
from benchmarks.publishing import Table, markdown

SLOW_SECONDS, LARGE_MIB = 5.0, 100.0
HEAD = ("request", "Gatecast", "`mlflow models serve`")
INTRODUCTION = """# What this service does with wrong requests

Each of {count} requests was sent to the service and to `mlflow models serve`, which both serve a network of the same
size (an LSTM of 2 x 64 from windows of 96 rows x 7 columns), the same fault in the form that each of them takes. An
answer is its status; behind it stands the code of the problem, or what else is in it. A 200 here is no fault of its
own: where it stands beside a fault, the fault was not noticed, or is none to this service. `null` is a missing value to
ours, it takes windows of any length up to a limit, and a number far beyond what training saw counts as missing, with a
warning in the answer (or is refused, with `GATECAST_IMPLAUSIBLE=refuse`).

{versions}; {date}. To make this page again:

    python -m benchmarks.faults --peers-python PATH

where PATH is the interpreter of an environment that `benchmarks/servers/__init__.py` tells how to make."""
READING = f"""*Traceback*: the answer shows code of the server and paths on its disk. *Not finite*: a 200 with `NaN` or
`Infinity` in it, which is not JSON. *Echo*: the answer repeats text of the request. Times are told from
{SLOW_SECONDS:.0f} s on, and memory that a request took from {LARGE_MIB:.0f} MiB on."""


class Row(NamedTuple):
    """A request and its two answers."""

    case: Case
    ours: Outcome
    theirs: Outcome


def page(rows: Sequence[Row], versions: str) -> str:
    """Return the page."""
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    start = INTRODUCTION.format(count=len(rows), versions=versions, date=date)
    return "\n\n".join([start, markdown(_summary(rows)), READING, *(markdown(one) for one in _tables(rows))]) + "\n"


def _summary(rows: Sequence[Row]) -> Table:
    counted: dict[str, Callable[[Outcome], bool]] = {
        "answered 200": lambda one: one.status == 200,
        "of these, not finite": lambda one: one.status == 200 and not one.finite,
        "refused, 4xx": lambda one: 400 <= one.status < 500,
        "failed, 5xx": lambda one: one.status >= 500,
        "no answer": lambda one: one.status == 0,
        "a traceback in the answer": lambda one: one.traceback,
        "an echo in the answer": lambda one: one.echo,
    }
    found = [
        (name, *(str(sum(counts(one) for one in side)) for side in _sides(rows))) for name, counts in counted.items()
    ]
    found.append(("largest answer that is no 200", *(f"{_largest(side):,} B" for side in _sides(rows))))
    found.append(("longest time", *(f"{max(one.seconds for one in side):.1f} s" for side in _sides(rows))))
    found.append(("most memory", *(f"+{max(one.grown_mib for one in side):,.0f} MiB" for side in _sides(rows))))
    return Table("In sum", ("requests", *HEAD[1:]), found)


def _sides(rows: Sequence[Row]) -> tuple[list[Outcome], list[Outcome]]:
    return [row.ours for row in rows], [row.theirs for row in rows]


def _largest(side: Sequence[Outcome]) -> int:
    return max((len(one.body) for one in side if one.status != 200), default=0)


def _tables(rows: Sequence[Row]) -> list[Table]:
    groups = dict.fromkeys(row.case.group for row in rows)
    return [
        Table(
            group,
            HEAD,
            [(row.case.name, _told(row.ours), _told(row.theirs)) for row in rows if row.case.group == group],
        )
        for group in groups
    ]


def _told(one: Outcome) -> str:
    """Say what a client was told, in a few words."""
    if one.status == 0:
        return f"no answer: {one.body.decode()}{_cost(one)}"
    code, pointer = one.problem
    parts = [f"{one.status}"]
    if code:
        parts[0] += f" `{code}`" + (f" at `{pointer}`" if pointer else "")
    marks = {"traceback": one.traceback, "not finite": not one.finite, "echo": one.echo}
    parts += [f"**{mark}**" for mark, there in marks.items() if there]
    parts += [f"warns of `{code}`" for code in one.warnings]
    return ", ".join(parts) + f", {len(one.body):,} B{_cost(one)}"


def _cost(one: Outcome) -> str:
    time = f", {one.seconds:.0f} s" if one.seconds >= SLOW_SECONDS else ""
    return time + (f", +{one.grown_mib:,.0f} MiB" if one.grown_mib >= LARGE_MIB else "")
