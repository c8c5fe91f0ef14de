"""From what came of pushes to the bytes of an answer in JSON.

An answer to a push is small and always of one shape: a form, made once a model, that numbers are filled into. That
takes a third of the time that structures do, and an answer that is given again is the same to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from forecasting.admission import Caution
from forecasting.errors import GatecastError
from forecasting.log.records import Version
from forecasting.stepping import times_after
from forecasting.streams.pushes import Outcomes
from service.answers import rfc3339
from service.models import ServedModel
from service.problems import problem_of
from service.schemas import ModelIdentity, Warned
from service.streams.forms import NULL, OUTCOME, PUSH, Form
from service.streams.requests import Question, Wish
from service.telemetry import DRIFTS

COLD = frozenset({"short-history", "unknown-series"})
"""Codes of the warnings that together mean: there is hardly anything to forecast from."""

FORMS, TIMES = 64, 4096


class Writer:
    """Writes the answers of one model."""

    def __init__(self, model: ServedModel) -> None:
        """Write down what every answer says."""
        self._model = model.streamed
        self._identity, self._units = (msgspec.json.encode(one) for one in (model.identity, self._model.spec.units))
        self._form = lru_cache(maxsize=FORMS)(self._made)
        self._times = lru_cache(maxsize=TIMES)(self._timed)

    def push(self, outcomes: Outcomes, place: int, stream: str, wish: Wish | None) -> bytes:
        """Return the answer to a push, which was taken; `place` is its place among the outcomes.

        Without a `wish` there is no forecast to tell.
        """
        (told,) = self._told(outcomes, slice(place, place + 1), [place], wish)
        status = b"cold" if _is_cold(outcomes, place) else b"ready"
        return PUSH % (self._who(outcomes, place) or self._identity, stream.encode(), *told, status, self._units)

    def observe(self, outcomes: Outcomes, first: int, question: Question, errors: Mapping[int, GatecastError]) -> bytes:
        """Return the answer to many pushes, the first of them at `first`; `errors` say which were refused."""
        names, history = question.pushes.names, question.pushes.history
        written = {at: _refused(names[at], error) for at, error in errors.items()}
        groups: dict[Wish | None, list[int]] = {}
        for at, wish in enumerate(question.wishes):
            if at not in errors:
                groups.setdefault(None if history else wish, []).append(at)
        for chosen, group in groups.items():
            places = [first + at for at in group]
            for at, told in zip(group, self._told(outcomes, places, places, chosen), strict=True):
                written[at] = self._outcome(outcomes, first + at, names[at], told)
        said = b",".join(written[at] for at in range(len(names)))
        return b'{"model":%b,"units":%b,"outcomes":[%b]}' % (self._identity, self._units, said)

    def _outcome(self, outcomes: Outcomes, place: int, stream: str, told: tuple[object, ...]) -> bytes:
        who = self._who(outcomes, place)
        cold = b"true" if _is_cold(outcomes, place) else b"false"
        return OUTCOME % (stream.encode(), b',"model":' + who if who else b"", *told, cold)

    def _told(
        self, outcomes: Outcomes, index: slice | list[int], places: Sequence[int], wish: Wish | None
    ) -> list[tuple[object, ...]]:
        """Return what the forms of some pushes are filled with, from `sequence` to `warnings`."""
        if wish is None:
            return [
                (*self._where(outcomes, place), b"", *_NOTHING, _DRIFTS[0], _warned(outcomes, place))
                for place in places
            ]
        form, scores = self._form(wish.levels, wish.steps), self._model.tracking.split(outcomes.score[index])
        rows = form.rows(outcomes, index, scores)
        counts, drifts = scores.count.tolist(), scores.drift.tolist()
        return [
            (
                *self._where(outcomes, place),
                form.forecast(row, self._times(int(outcomes.time[place]))),
                *((form.score(row), *form.running(row), int(count)) if count > 0 else _NOTHING),
                _DRIFTS[int(drift) if drift > 0 else 0],
                _warned(outcomes, place),
            )
            for place, row, count, drift in zip(places, rows, counts, drifts, strict=True)
        ]

    def _where(self, outcomes: Outcomes, place: int) -> tuple[int, bytes, int, bytes]:
        """Return sequence, timestamp, accepted and replayed."""
        replayed = b"true" if outcomes.replayed[place] else b"false"
        timestamp = rfc3339(int(outcomes.time[place])).encode()
        return int(outcomes.seq[place]), timestamp, int(outcomes.accepted[place]), replayed

    def _who(self, outcomes: Outcomes, place: int) -> bytes:
        """Return who answered, where that is another version than the one that is served."""
        answered = outcomes.answered.get(place)
        return b"" if answered is None or answered == self._model.version else _identity(answered)

    def _made(self, levels: tuple[int, ...], steps: int) -> Form:
        return Form(self._model, levels, steps)

    def _timed(self, time: int) -> list[bytes]:
        spec = self._model.spec
        return [rfc3339(one).encode() for one in times_after(spec.calendar, time, spec.horizon).tolist()]


def _refused(stream: str, error: GatecastError) -> bytes:
    """Return what came of one of many pushes that was refused."""
    problem = problem_of(error)
    return b'{"stream":"%b","problem":%b,"status":%d}' % (stream.encode(), msgspec.json.encode(problem), problem.status)


_DRIFTS = tuple(name.encode() for name in DRIFTS)
_NOTHING = (NULL, NULL, NULL, 0)
"""Score, skill, coverage and how many were scored, where nothing was yet."""


def _is_cold(outcomes: Outcomes, place: int) -> bool:
    cautions = outcomes.cautions.get(place)
    return cautions is not None and len(COLD.intersection(one.code for one in cautions)) == len(COLD)


def _warned(outcomes: Outcomes, place: int) -> bytes:
    cautions = outcomes.cautions.get(place)
    return _warnings(cautions) if cautions else b"[]"


@lru_cache(maxsize=1024)
def _warnings(cautions: tuple[Caution, ...]) -> bytes:
    return msgspec.json.encode([Warned(code=one.code, detail=one.detail) for one in cautions])


@lru_cache(maxsize=64)
def _identity(version: Version) -> bytes:
    """Return what is known of a version that may be loaded no longer."""
    who = ModelIdentity(name=version.model, version=version.version, alias=None, run_id=version.run_id, data_hash=None)
    return msgspec.json.encode(who)
