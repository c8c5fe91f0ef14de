"""A search for the settings with the least error on validation rows, then one training with them.

Each trial is a run of MLflow below the run of the search. A search that was ended goes on in the same run.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from forecasting.assembly import Prepared
from forecasting.errors import TrainingError
from forecasting.project import Project
from forecasting.registry import Registry, Run
from forecasting.training import Epoch, Fitted, fit
from pipelines.leased import leased
from pipelines.provenance import git_commit
from pipelines.settings import Settings
from pipelines.space import fixed_settings, own_settings, space_of, study_name, toml_of, with_settings
from pipelines.stopping import Stop, closed_in_order, stoppable
from pipelines.study import GIVEN_UP, Study, Trial, opened
from pipelines.train import Place, Trained, read, train_on
from pipelines.trials import Board, Tried, Tuned, board, show_tuned


class SearchInterrupted(KeyboardInterrupt):
    """A person ended the search; what was tried is kept."""

    def __init__(self, done: int, wanted: int) -> None:
        """Say how to go on."""
        super().__init__(f"interrupted; {done} of {wanted} trials are done: the same command goes on from there")


@dataclass(frozen=True)
class Budget:
    """How long to search: to this many trials in all; behind `deadline` (of `time.monotonic`) none is begun."""

    trials: int
    deadline: float = math.inf

    @classmethod
    def of(cls, trials: int, minutes: float | None) -> Budget:
        """Return a budget whose time begins now."""
        return cls(trials, math.inf if minutes is None else time.monotonic() + 60 * minutes)


@dataclass(frozen=True)
class Search:
    """What all trials share."""

    project: Project
    prepared: Prepared
    study: Study
    budget: Budget
    run: Run

    def more(self) -> bool:
        """Tell whether to begin one more; the project's own settings are tried whatever the budget says."""
        within = len(self.study.tried()) < self.budget.trials and time.monotonic() < self.budget.deadline
        return within or bool(self.study.waiting())

    def interrupted(self) -> SearchInterrupted:
        """Return the error that says how far it came."""
        return SearchInterrupted(len(self.study.tried()), self.budget.trials)


@dataclass
class Judge:
    """A `Watcher` that ends a trial which is hopeless, or when a person asks for an end."""

    trial: Trial
    shown: Board
    stop: Stop
    hopeless: bool = False

    def step(self, done: int, most: int) -> None:
        """Hear nothing: epochs are short."""

    def epoch(self, epoch: Epoch) -> None:
        """Compare with the trials before."""
        self.hopeless = self.trial.hopeless(epoch.epoch, epoch.objective)
        self.shown.epoch(self.trial.number, epoch)

    def stopping(self) -> bool:
        """Tell whether to end the trial."""
        return self.hopeless or self.stop.asked


def train_tuned(
    project: Project, budget: Budget, registry: Registry, settings: Settings, console: Console
) -> tuple[Trained, Tuned]:
    """Search, then train with the best settings as `train` does: test rows are looked at for these only.

    Raises:
        LeaseHeld: another run of the project is under way; nothing was done.
        LeaseLost: this run was halted for so long that another may be; the alias was not moved.
        DataError: the data cannot be used; nothing is registered.
        KeyboardInterrupt: Ctrl-C; what was tried is kept, nothing is registered.
        TrainingError: no trial ended in a usable forecaster.
        RegistryError: the registry failed.
        OSError: the file of the search cannot be used.
    """
    place = Place(registry, settings.home, console)
    given = read(project, settings, console)
    with leased(project.name, registry, settings, console) as lease:
        tuned = tune(project, given.prepared, given.report.digest, budget, place)
        chosen = with_settings(project, tuned.best.params)
        return train_on(given, chosen, place, lease), tuned


def tune(project: Project, prepared: Prepared, digest: str, budget: Budget, place: Place) -> Tuned:
    """Search the settings of a project on its data, whose digest tells whether an earlier search may go on.

    Raises:
        SearchInterrupted: Ctrl-C; what was tried is kept.
        TrainingError: no trial ended in a usable forecaster.
        RegistryError: the registry failed.
        OSError: the file of the search cannot be used.
    """
    space = space_of(project, prepared)
    name, commit = study_name(project, space, digest), git_commit(Path(project.folder))
    recorded = place.registry.resumed(project.name, {"gatecast.study": name}, name="tuning", git_commit=commit)
    file = place.home / "tune" / f"{project.name}.db"
    with opened(file, name, space) as study, closed_in_order(recorded) as run:
        run.log_params({"data.digest": digest, **fixed_settings(project, space)})
        _search(Search(project, prepared, study, budget, run), place.console)
        tuned = _tuned(study.tried(), project, run)
        run.log_metrics({"objective": tuned.best.objective, "trials": len(tuned.tried)})
        run.describe(f"{tuned.sentence()}\n\n```toml\n{toml_of(tuned.best.params)}\n```")
    show_tuned(tuned, place.console)
    return tuned


def _search(search: Search, console: Console) -> None:
    done, wanted = search.study.tried(), search.budget.trials
    if done:
        console.print(f"resuming: {len(done)} of {wanted} trials are done", highlight=False)
    for settings in own_settings(search.project):  # first, so that what is found is never worse
        search.study.put_first(settings)
    with board(console, done, wanted) as shown, stoppable(lambda: _confirm(console)) as stop:
        while search.more() and not stop.asked:
            shown.trial(_try(search, shown, stop))
        if stop.asked:
            raise search.interrupted()


def _confirm(console: Console) -> None:
    console.print("stopping after this batch, keeping the trials that have ended; Ctrl-C again ends at once")


def _try(search: Search, shown: Board, stop: Stop) -> Tried:
    """Run one trial to its end; one that diverges has come to it, too."""
    trial = search.study.begin(search.project.train.seed)
    judge = Judge(trial, shown, stop)
    try:
        fitted = _fit(search, judge)
    except TrainingError as error:
        return trial.fail(str(error))
    except BaseException:
        trial.forget()
        raise
    return trial.give_up() if judge.hopeless else trial.end(fitted.best.objective)


def _fit(search: Search, judge: Judge) -> Fitted:
    """Fit one member with the settings of a trial, as a run of its own."""
    trial = judge.trial
    with search.run.child(f"trial {trial.number}") as child:
        child.log_params(trial.settings)
        project = with_settings(search.project, {**trial.settings, "train.members": 1})
        fitted = fit(project, search.prepared.series, judge)
        if judge.stop.asked:
            raise search.interrupted()
        child.log_metrics(_numbers(fitted))
        if judge.hopeless:
            child.describe(GIVEN_UP)
    return fitted


def _numbers(fitted: Fitted) -> dict[str, float | None]:
    best = fitted.best
    return {
        "objective": best.objective,
        "valid_mse_z": best.valid_mse_z,
        "valid_mae_z": best.valid_mae_z,
        "epochs": fitted.epochs[-1].epoch,
    }


def _tuned(tried: tuple[Tried, ...], project: Project, run: Run) -> Tuned:
    own = [one for one in tried if one.params in own_settings(project)]
    best, first = (min(some, key=_objective) for some in (tried, own))
    if best.objective is None:
        message = f"none of {len(tried)} trials ended in a usable forecaster; the project's own settings {first.ended}"
        raise TrainingError(message)
    return Tuned(run.id, tried, best, first)


def _objective(one: Tried) -> float:
    return math.inf if one.objective is None else one.objective
