"""Training: what a step of `fit` (Lightning) costs over a bare loop with the same arithmetic.

The bare loop takes its step inside the watcher that `fit` calls after each of its own, so that both ways share every
moment of the machine. Only steps are counted, with the making of the batch: the closed-form fit of the linear road and
the validation after each epoch are outside for both.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
import torch
from torch import Tensor, nn

from benchmarks.data import demo_project
from benchmarks.measuring import Seconds, Way, interleaved, milliseconds, ratio
from benchmarks.publishing import Table, publish
from forecasting.assembly import prepare
from forecasting.lesson import lesson_loss
from forecasting.network import Forecaster
from forecasting.project import Project
from forecasting.reading import read_panel
from forecasting.ridge import fit_linear
from forecasting.scaled import ScaledSeries
from forecasting.sequences import Batch, Sequences
from forecasting.trainer import shape_of
from forecasting.training import Epoch, architecture_of, fit

EPOCHS = 8
CASES = {
    "independent lstm 1 x 32, 3 members": ("independent", 32, 1, 3),
    "joint lstm 1 x 32, 3 members": ("joint", 32, 1, 3),
    "joint lstm 2 x 64, 1 member": ("joint", 64, 2, 1),
}
WINDOWS, WINDOW, COLUMNS = 256, 96, 7


def main() -> None:
    """Measure and write the result."""
    torch.set_num_threads(1)
    publish(
        "training",
        "Demo panel, sequences of 48 + 192 rows, 32 a batch (fewer for independent channels), in one thread, in "
        "processor time. The goal is a step of `fit` <= 1.10 x a step of a bare torch loop: same batches, members, "
        "loss, AdamW and clipping. Steps with the making of their batches only; the linear road and validation are "
        "outside for both.",
        [_overhead(), _reach()],
    )


class Bare:
    """The same arithmetic in a plain loop, a step a call."""

    def __init__(self, project: Project, panel: Sequence[ScaledSeries]) -> None:
        train = project.train
        road = fit_linear(panel, project.model.horizon).road
        lags = road.shape.lags
        self.forecaster = Forecaster(architecture_of(project, panel, lags, project.model.channels))
        self.forecaster.linear = road
        self.optimizer = torch.optim.AdamW(
            self.forecaster.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay
        )
        self.clip = train.clip
        shape = shape_of(train, self.forecaster.architecture)
        self.sequences = Sequences(panel, shape, train.steps_per_epoch, train.seed)
        self.batches = self._batches()

    def step(self) -> None:
        batch, shape, network = next(self.batches), self.sequences.shape, self.forecaster
        with torch.no_grad():
            state = network.primed_state(batch.prior, batch.static)
            newest = range(shape.burn_in - 1, shape.burn_in)
            state = network.unroll_members(batch.rows.part(0, shape.burn_in), state, newest)[1]
        members = network.unroll_members(batch.rows.part(shape.burn_in, shape.steps), state)[0]
        came = batch.targets(range(shape.burn_in, shape.steps))
        self.optimizer.zero_grad()
        for loss in [lesson_loss(made, came) for made in members]:
            loss.backward()  # type: ignore[no-untyped-call]
        for member in network.members:
            nn.utils.clip_grad_norm_(member.parameters(), self.clip)
        self.optimizer.step()

    def _batches(self) -> Iterator[Batch]:
        while True:
            yield from self.sequences


class Stopwatch:
    """A watcher that takes a step of the bare loop after each step of `fit`, and times both.

    The first steps of an epoch are left out: before them lies the validation.
    """

    def __init__(self, bare: Bare) -> None:
        self.bare = bare
        self.times: dict[str, Seconds] = {"fit": [], "bare": []}
        self.since: float | None = None

    def step(self, done: int, most: int) -> None:  # noqa: ARG002 - a watcher hears both
        now = time.process_time()
        self.bare.step()
        after = time.process_time()
        if self.since is not None:
            self.times["fit"].append(now - self.since)
            self.times["bare"].append(after - now)
        self.since = time.process_time()

    def epoch(self, epoch: Epoch) -> None:  # noqa: ARG002 - a watcher hears it
        self.since = None

    def stopping(self) -> bool:
        return False


def _overhead() -> Table:
    rows = [_case(name, *case) for name, case in CASES.items()]
    head = ("network", "steps", "fit, ms", "bare loop, ms", "fit / bare loop", "targets a second in fit")
    return Table("A step of fit and of a bare loop", head, rows, "A target is a row to be forecast, of all columns.")


def _case(name: str, channels: str, hidden: int, layers: int, members: int) -> tuple[str, ...]:
    project = _project(channels, hidden, layers, members)
    panel = prepare(read_panel(project)[0], project).series
    bare = Bare(project, panel)
    watch = Stopwatch(bare)
    fit(project, panel, watch)
    taken, plain = watch.times["fit"], watch.times["bare"]
    targets = bare.sequences.shape.batch * bare.sequences.shape.length
    rate = f"{targets / (float(milliseconds(taken)) / 1e3):,.0f}"
    return name, str(len(taken)), milliseconds(taken), milliseconds(plain), ratio(taken, plain), rate


def _project(channels: str, hidden: int, layers: int, members: int) -> Project:
    project = demo_project()
    model = msgspec.structs.replace(project.model, channels=channels, hidden=hidden, layers=layers)
    train = msgspec.structs.replace(
        project.train, members=members, epochs=EPOCHS, patience=EPOCHS, threads=1, device="cpu"
    )
    return msgspec.structs.replace(project, model=model, train=train)


def _reach() -> Table:
    """Compare one target a window, the usual way, with one at every position: the same cells, windows and optimizer."""
    ways = {"last": _loop(last=True), "every": _loop(last=False)}
    times = interleaved(ways, rounds=8)
    rows = [
        ("loss at the last position", milliseconds(times["last"]), _rate(WINDOWS, times["last"])),
        ("loss at every position", milliseconds(times["every"]), _rate(WINDOWS * WINDOW, times["every"])),
    ]
    note = f"Time of a step, every position / last position: {ratio(times['every'], times['last'])}."
    title = f"Why every position: nn.LSTM 2 x 64 in a bare loop, {WINDOWS} windows of {WINDOW} x {COLUMNS}"
    return Table(title, ("way", "step, ms", "targets a second"), rows, note)


def _rate(targets: int, seconds: Seconds) -> str:
    return f"{targets * 1e3 / float(milliseconds(seconds)):,.0f}"


def _loop(*, last: bool) -> Way:
    lstm, head = nn.LSTM(COLUMNS, 64, 2, batch_first=True), nn.Linear(64, COLUMNS)
    parameters = [*lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters)
    rows = torch.randn(WINDOWS, WINDOW + 1, COLUMNS)
    kept = slice(-1, None) if last else slice(None)

    def step() -> None:
        outputs: Tensor = head(lstm(rows[:, :-1])[0][:, kept])
        loss = (outputs - rows[:, 1:][:, kept]).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
