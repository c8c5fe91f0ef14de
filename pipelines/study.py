"""The trials of a search, kept in a file, and what to try next. The only importer of Optuna.

What is tried next follows from the seed and the trials that have ended: a search that was stopped and goes on tries
what it would have tried in one go.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from pipelines.space import Choice, Number, Setting, Settings, Space, Whole, inside
from pipelines.trials import Tried

SETTINGS, ENDED = "settings", "ended"
"""Attributes of a trial: what it tried exactly, and why it has no objective."""

UNCHALLENGED_TRIALS = 5
UNCHALLENGED_EPOCHS = 5
GIVEN_UP = "given up, behind the median of the trials before it"
LONGEST_CAUSE = 300
LOCK_SECONDS = 30


@dataclass(frozen=True)
class Trial:
    """A trial that is running; what it was told to try by hand is never given up."""

    settings: Settings
    own: bool
    trial: optuna.Trial

    @property
    def number(self) -> int:
        """Its number in the file."""
        return self.trial.number

    def hopeless(self, epoch: int, objective: float) -> bool:
        """Hear the objective of an epoch, and tell whether the median of the trials before was better by then."""
        self.trial.report(objective, epoch)
        return not self.own and self.trial.should_prune()

    def end(self, objective: float) -> Tried:
        """Record that it went to its end."""
        return self._told(TrialState.COMPLETE, objective=objective)

    def give_up(self) -> Tried:
        """Record that it was hopeless."""
        return self._told(TrialState.PRUNED, GIVEN_UP)

    def fail(self, cause: str) -> Tried:
        """Record that its settings lead nowhere."""
        return self._told(TrialState.FAIL, f"failed: {cause[:LONGEST_CAUSE]}")

    def forget(self) -> None:
        """Let the search go on as if it had not begun."""
        self._told(TrialState.FAIL)

    def _told(self, state: TrialState, ended: str = "", objective: float | None = None) -> Tried:
        if ended:
            self.trial.set_user_attr(ENDED, ended)
        return _tried(self.trial.study.tell(self.trial, objective, state))


@dataclass(frozen=True)
class Study:
    """All trials of a search."""

    study: optuna.Study
    space: Space

    def tried(self) -> tuple[Tried, ...]:
        """Return the trials that have ended; one that was forgotten, or that runs elsewhere, has not."""
        return tuple(_tried(one) for one in self.study.get_trials(deepcopy=False) if _has_ended(one))

    def waiting(self) -> list[Settings]:
        """Return the settings that were put first and were not tried yet."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return [one.user_attrs[SETTINGS] for one in trials]

    def put_first(self, settings: Settings) -> None:
        """Try these settings next, unless they were tried."""
        if settings not in [*self.waiting(), *(one.params for one in self.tried())]:
            self.study.enqueue_trial(inside(settings, self.space), user_attrs={SETTINGS: settings})

    def begin(self, seed: int) -> Trial:
        """Begin the next trial."""
        behind = np.random.SeedSequence([seed, len(self.tried())])
        self.study.sampler = optuna.samplers.TPESampler(seed=int(behind.generate_state(1)[0]))
        trial = self.study.ask()
        drawn = {key: _draw(trial, key, one) for key, one in self.space.items()}
        settings: Settings = trial.user_attrs.get(SETTINGS, drawn)
        own = SETTINGS in trial.user_attrs
        trial.set_user_attr(SETTINGS, settings)
        return Trial(settings, own, trial)


@contextmanager
def opened(file: Path, name: str, space: Space) -> Iterator[Study]:
    """Open the search of that name, or begin it.

    Raises:
        OSError: the file cannot be written, or is not one that this version of Optuna wrote.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="optuna")
        study, storage = _open(file, name)
        try:
            yield Study(study, space)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _open(file: Path, name: str) -> tuple[optuna.Study, optuna.storages.RDBStorage]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(UNCHALLENGED_TRIALS, UNCHALLENGED_EPOCHS)
    try:
        ours = {"creator": lambda: _connect(file)}
        storage = optuna.storages.RDBStorage(f"sqlite:///{file.absolute().as_posix()}", engine_kwargs=ours)
        study = optuna.create_study(storage=storage, study_name=name, pruner=pruner, load_if_exists=True)
    except Exception as error:  # SQLAlchemy, alembic and Optuna share no base class
        cause = str(error).partition("\n")[0][:LONGEST_CAUSE]
        message = f"{file} holds no search that can go on: {cause}; move it away to begin anew"
        raise OSError(message) from error
    return study, storage


def _connect(file: Path) -> sqlite3.Connection:
    """Connect with a write-ahead log: Optuna commits several times an epoch, and need not wait for the disk."""
    connection = sqlite3.connect(file, timeout=LOCK_SECONDS, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _draw(trial: optuna.Trial, key: str, one: Choice | Whole | Number) -> Setting:
    """Draw one coordinate; numbers to three digits, which is what people will read."""
    if isinstance(one, Whole):
        return trial.suggest_int(key, one.low, one.high, log=True)
    if isinstance(one, Number):
        return float(f"{trial.suggest_float(key, one.low, one.high, log=one.log):.3g}")
    return cast("str | int", trial.suggest_categorical(key, one.options))


def _has_ended(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or (trial.state.is_finished() and ENDED in trial.user_attrs)


def _tried(trial: FrozenTrial) -> Tried:
    known = trial.user_attrs
    objective = trial.value if trial.state == TrialState.COMPLETE else None
    return Tried(number=trial.number, params=known[SETTINGS], objective=objective, ended=known.get(ENDED, ""))
