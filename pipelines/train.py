"""One training run, top to bottom: data -> report -> fit -> backtest -> bundle -> run and version -> decision."""

from __future__ import annotations

import platform
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from rich.console import Console

from forecasting.assembly import Prepared, assemble, prepare
from forecasting.bundle import Bundle, Provenance, save_bundle
from forecasting.errors import NoSuchModel
from forecasting.evaluation import Backtest, backtest, champion_mse_z
from forecasting.project import Project
from forecasting.reading import read_panel
from forecasting.registry import PRODUCTION, ModelVersion, Registry, Run
from forecasting.report import DataReport
from forecasting.scores import Scorecard
from forecasting.series import Panel, rfc3339
from forecasting.training import Epoch, Fitted, fit
from pipelines.display import show_report, show_trust
from pipelines.evidence import card_of, log_pictures
from pipelines.progress import watched
from pipelines.promotion import Champion, Decision, decide
from pipelines.versions import open_version

PACKAGES = ("gatecast", "torch", "pytorch-lightning", "mlflow", "pandas", "numpy")


@dataclass(frozen=True)
class Trained:
    """What a run came to."""

    version: ModelVersion
    decision: Decision
    scorecard: Scorecard
    report: DataReport


class Interrupted(KeyboardInterrupt):
    """A person ended training; `bundle` is where the best forecaster so far was kept."""

    def __init__(self, bundle: Path) -> None:
        """Remember the folder."""
        self.bundle = bundle
        super().__init__(f"interrupted; the best weights so far are kept: gatecast forecast DATA --bundle {bundle}")


def train(project: Project, registry: Registry, home: Path, console: Console) -> Trained:
    """Train, judge, register, and promote if the gate says so.

    Raises:
        DataError: the data cannot be used; nothing is recorded.
        Interrupted: Ctrl-C; the run is ended, nothing is registered.
        RegistryError: the registry failed.
    """
    panel, report = read_panel(project)
    show_report(report, console)
    prepared = prepare(panel, project)
    commit = git_commit(Path(project.folder))
    with _recorded(registry, project.name, commit) as run:
        _log_inputs(run, project, panel, report)
        provenance = _provenance(report, prepared, commit)
        fitted = _fit(run, project, prepared, console)
        if fitted.stopped:
            raise Interrupted(_keep(run, assemble(project, prepared, fitted.forecaster, None, provenance), home))
        tested = backtest(fitted.forecaster, prepared.series, panel.columns)
        bundle = assemble(project, prepared, fitted.forecaster, tested.scorecard, provenance)
        _log_evidence(run, fitted.epochs, fitted.best, tested, project)
        registered = _register(run, bundle, prepared)
        decision = decide(tested.scorecard, _champion(registry, project.name, tested, prepared))
        verb = "Promoted" if decision.promote else "Not promoted"
        run.describe(f"{verb}: {decision.reason}.\n\n{card_of(tested.scorecard)}")
        if not decision.promote:
            run.log_json("decision.json", decision)
    if decision.promote:
        registry.promote(registered, decision)  # which records it in the run
    return Trained(registered, decision, tested.scorecard, report)


@contextmanager
def _recorded(registry: Registry, name: str, commit: str | None) -> Iterator[Run]:
    """Record the block as a run; once Ctrl-C has ended it, a further one does not keep the run from being ended too."""
    before = signal.getsignal(signal.SIGINT)
    try:
        with registry.run(name, git_commit=commit) as run:
            try:
                yield run
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                raise
    finally:
        signal.signal(signal.SIGINT, before)


def git_commit(folder: Path) -> str | None:
    """Return the commit of the folder's checkout; None where it is none."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the git of whoever runs this
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _log_inputs(run: Run, project: Project, panel: Panel, report: DataReport) -> None:
    settings = msgspec.to_builtins(project)
    run.log_params({key: value for key, value in settings.items() if key != "folder"})
    run.log_json("data-report.json", report.to_json())
    run.log_dataset(panel, project.data.source, report.digest, "training")


def _provenance(report: DataReport, prepared: Prepared, commit: str | None) -> Provenance:
    return Provenance(
        data_hash=report.digest,
        git_commit=commit,
        trained_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        train_end=rfc3339(prepared.split.valid),
        versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    )


def _fit(run: Run, project: Project, prepared: Prepared, console: Console) -> Fitted:
    with watched(console) as onlooker:
        fitted = fit(project, prepared.series, onlooker)
    for epoch in fitted.epochs:
        run.log_curve(epoch.epoch, _numbers(epoch))
    tried = [{"candidate": choice.candidate._asdict(), **_without(choice._asdict())} for choice in fitted.tried]
    run.log_json("linear-road.json", tried)
    run.log_json("trust.json", {"targets": project.data.targets, "point, median": fitted.trust.tolist()})
    show_trust(fitted.trust, console)
    return fitted


def _numbers(epoch: Epoch) -> dict[str, float | None]:
    return {key: value for key, value in msgspec.to_builtins(epoch).items() if key != "epoch"}


def _without(choice: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in choice.items() if key != "candidate"}


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
    log_pictures(run, epochs, best, tested, project.data.units)


def _register(run: Run, bundle: Bundle, prepared: Prepared) -> ModelVersion:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        save_bundle(bundle, folder)
        card = card_of(bundle.scorecard) if bundle.scorecard else ""
        return run.register(folder, example_of(bundle, prepared), card)


def example_of(bundle: Bundle, prepared: Prepared) -> pd.DataFrame:
    """Return the newest window of the first series as a frame, the way pyfunc takes it."""
    one = max(prepared.series, key=lambda series: series.train.stop).series
    rows = slice(max(len(one) - bundle.spec.lookback, 0), None)
    frame = pd.DataFrame(one.values[rows].astype(np.float64), index=one.index[rows], columns=list(bundle.spec.targets))
    return frame.assign(series=one.id) if bundle.spec.panel else frame


def _champion(registry: Registry, name: str, tested: Backtest, prepared: Prepared) -> Champion | None:
    try:
        found = registry.version(name, PRODUCTION)
    except NoSuchModel:
        return None
    loss = champion_mse_z(open_version(registry, found), tested, prepared.panel, prepared.split)
    return Champion(version=found.version, mse_z=loss)
