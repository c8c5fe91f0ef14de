"""One training run, top to bottom: data -> report -> fit -> backtest -> bundle -> run and version -> decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
from rich.console import Console

from forecasting.assembly import Prepared, assemble, lookback_of, prepare
from forecasting.bundle import Bundle, save_bundle
from forecasting.describing import Judged
from forecasting.evaluation import Backtest, backtest
from forecasting.project import Project
from forecasting.registry import ModelVersion, Registry, Run
from forecasting.report import DataReport
from forecasting.scores import Scorecard
from forecasting.training import Epoch, Fitted, fit
from pipelines.calendar.lease import Lease
from pipelines.carried import Carried, log_carried, measure_carried
from pipelines.display import show_carried, show_report, show_trust
from pipelines.evidence import card_of, log_comparison, log_fit, log_pictures, road_words
from pipelines.leased import MARK, leased
from pipelines.matching import match
from pipelines.phases import Phases
from pipelines.progress import watched
from pipelines.promotion import Decision, decide
from pipelines.provenance import git_commit, provenance_of
from pipelines.resuming import resumable, warm_from
from pipelines.settings import Settings
from pipelines.sources import read_rows
from pipelines.stopping import closed_in_order


@dataclass(frozen=True)
class Trained:
    """What a run came to."""

    version: ModelVersion
    decision: Decision
    scorecard: Scorecard
    report: DataReport
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Given:
    """The data of a project, cut and scaled, and what was found in them; what that took."""

    report: DataReport
    prepared: Prepared
    phases: Phases


REASON = "gatecast.reason"
"""The tag of a run that says why it was begun."""


class Place(NamedTuple):
    """Where a run is recorded and with what reason, where files are, and where a person looks."""

    registry: Registry
    home: Path
    console: Console
    reason: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """What the run is marked with."""
        return {REASON: self.reason} if self.reason else {}


class Interrupted(KeyboardInterrupt):
    """A person ended training; `bundle` is where the best forecaster so far was kept."""

    def __init__(self, bundle: Path) -> None:
        """Remember the folder."""
        self.bundle = bundle
        super().__init__(
            "interrupted; the same command goes on behind the last epoch, and the best weights so far are kept: "
            f"gatecast forecast DATA --bundle {bundle}"
        )


def train(project: Project, registry: Registry, settings: Settings, console: Console, reason: str = "") -> Trained:
    """Read the data, train, judge, register, and promote if the gate says so, while no other run of the project does.

    `reason` says why it is trained, and is recorded with the run.

    Raises:
        LeaseHeld: another run of the project is under way; nothing was done.
        LeaseLost: this run was halted for so long that another may be; the alias was not moved.
        DataError: the data cannot be used; nothing is recorded.
        Interrupted: Ctrl-C; the run is ended, nothing is registered.
        RegistryError, LogUnavailable, OSError: the registry, the database of leases or the disk failed; the alias was
            not moved, or the decision that moved it is recorded.
    """
    given = read(project, settings, console)  # before anything is reached: data that cannot be used leave no trace
    with leased(project.name, registry, settings, console) as lease:
        return train_on(given, project, Place(registry, settings.home, console, reason), lease)


def read(project: Project, settings: Settings, console: Console) -> Given:
    """Read and cut the data of a project, and show what was found in them.

    Raises:
        DataError: they cannot be used.
    """
    phases = Phases()
    with phases.phase("reading"):
        panel, report = read_rows(project, settings)
        show_report(report, console)
        return Given(report, prepare(panel, project), phases)


def train_on(given: Given, project: Project, place: Place, lease: Lease) -> Trained:
    """Do what `train` does with data that are read, under a lease that is held."""
    (registry, home, console, _), report, phase = place, given.report, given.phases.phase
    provenance = provenance_of(report.digest, given.prepared.split, git_commit(Path(project.folder)))
    warm = warm_from(registry, project, given.prepared, console)
    kept_in = resumable(home, project, report.digest, warm, console)
    recorded = registry.run(project.name, git_commit=provenance.git_commit, tags={MARK: lease.mark} | place.tags)
    with closed_in_order(recorded) as run, kept_in as folder:
        _log_inputs(run, project, given)
        with phase("training"), watched(console) as onlooker:
            fitted = fit(project, given.prepared.series, onlooker, folder, warm.forecaster if warm else None)
        if fitted.stopped:
            bundle = assemble(project, given.prepared, fitted.forecaster, _judged(fitted), provenance)
            raise Interrupted(_keep(run, bundle, home))
        tested, carried = _tested(run, project, given, fitted, console)
        judged = _judged(fitted, tested.scorecard, carried)
        bundle = assemble(project, given.prepared, fitted.forecaster, judged, provenance)
        decision = _decided(run, project, given, bundle, tested, registry)
        lease.check()
        with phase("registering"):
            registered = _register(run, bundle, given.prepared)
            lease.hold(partial(registry.promote if decision.promote else registry.record, registered, decision))
        seconds = given.phases.seconds
        run.log_metrics({f"seconds.{name}": taken for name, taken in seconds.items()})
    return Trained(registered, decision, tested.scorecard, report, seconds)


def _tested(run: Run, project: Project, given: Given, fitted: Fitted, console: Console) -> tuple[Backtest, Carried]:
    """Judge on the test rows, measure streaming and memory; record all of it and how training went."""
    prepared, phase, architecture = given.prepared, given.phases.phase, fitted.forecaster.architecture
    with phase("recording"):
        log_fit(run, fitted, project.data.targets)
        show_trust(fitted.trust, console)
    with phase("backtest"):
        tested = backtest(fitted.forecaster, fitted.calibration, prepared.series, prepared.panel.columns.targets)
        carried = measure_carried(fitted.forecaster, given.prepared.series, lookback_of(project, architecture))
    with phase("recording"):
        log_carried(run, carried, project.data.freq)
        show_carried(carried, project.data.freq, console)
        _log_evidence(run, fitted.epochs, fitted.best, tested, project)
    return tested, carried


def _decided(
    run: Run, project: Project, given: Given, bundle: Bundle, tested: Backtest, registry: Registry
) -> Decision:
    """Compare with the version in production, and record what comes of it."""
    with given.phases.phase("decision"):
        rival = match(registry, project.name, tested, given.prepared)
        decision = decide(tested.scorecard, rival and rival.champion, project.promote, given.report.digest)
        verb = "Promoted" if decision.promote else "Not promoted"
        run.describe(f"{verb}: {decision.reason}.\n\n{card_of(tested.scorecard, bundle.card)}")
        if rival and rival.paired:
            log_comparison(run, rival.paired, decision)
    return decision


def _log_inputs(run: Run, project: Project, given: Given) -> None:
    settings = msgspec.to_builtins(project.public())
    run.log_params({key: value for key, value in settings.items() if key != "folder"})
    run.log_json("data-report.json", given.report.to_json())
    run.log_dataset(given.prepared.panel, project.public().data.source, given.report.digest, "training")


def _judged(fitted: Fitted, scorecard: Scorecard | None = None, carried: Carried | None = None) -> Judged:
    return Judged(
        architecture=fitted.forecaster.architecture,
        linear=road_words(fitted.linear),
        trusted=float(fitted.trust.mean()),
        calibration=fitted.calibration,
        scorecard=scorecard,
        streaming=carried and carried.streaming,
        memory=carried and carried.memory,
    )


def _keep(run: Run, bundle: Bundle, home: Path) -> Path:
    folder = (home / "interrupted" / run.id).absolute()
    save_bundle(bundle, folder)
    return folder


def _log_evidence(run: Run, epochs: tuple[Epoch, ...], best: Epoch, tested: Backtest, project: Project) -> None:
    card = tested.scorecard
    run.log_json("scorecard.json", card)
    for name, scores in {"model": card.model, **card.baselines}.items():
        if scores is not None:
            flat = msgspec.to_builtins(scores)
            run.log_metrics({f"test.{name}.{key}": value for key, value in flat.items() if isinstance(value, float)})
    kept = [epoch for epoch in epochs if epoch.channels == best.channels]
    log_pictures(run, kept, best, tested, project.data.units)


def _register(run: Run, bundle: Bundle, prepared: Prepared) -> ModelVersion:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        save_bundle(bundle, folder)
        card = card_of(bundle.scorecard, bundle.card) if bundle.scorecard else ""
        return run.register(folder, example_of(bundle, prepared), card)


def example_of(bundle: Bundle, prepared: Prepared) -> pd.DataFrame:
    """Return the newest window of the longest series as a frame, the way pyfunc takes it.

    Where covariates are known in advance, its last `horizon` rows hold only them.
    """
    one, columns = max(prepared.series, key=lambda series: series.train.stop).series, bundle.spec.columns
    ahead = bundle.spec.horizon if columns.known else 0
    rows = slice(max(len(one) - bundle.spec.lookback - ahead, 0), None)
    frame = pd.DataFrame(one.values[rows].astype(np.float64), index=one.index[rows], columns=list(columns.row))
    if ahead:
        frame.iloc[-ahead:, : columns.seen] = np.nan
    frame = frame.assign(**{name: one.static.get(name) for name in columns.static})
    return frame.assign(series=one.id) if bundle.spec.panel else frame
