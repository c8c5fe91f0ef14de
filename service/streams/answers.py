"""From what came of pushes to the bytes of an answer in JSON.

An answer to a push is small and always of one shape: a form, made once a model, that numbers are filled into. That
takes a third of the time that structures do, and an answer that is given again is the same to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from forecasting.admission import Caution
from forecasting.errors import GatecastError
from forecasting.log.records import Version
from forecasting.stepping import fixed_step, times_after
from forecasting.streams.pushes import Outcomes
from service.answers import rfc3339
from service.models import ServedModel
from service.problems import problem_of
from service.schemas import ModelIdentity, Warned
from service.streams.asked import Question, Wish
from service.streams.forms import OUTCOME, PUSH, Form, Texts, Told

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

    def push(self, outcomes: Outcomes, place: int, stream: str, wish: Wish | None, texts: Texts | None = None) -> bytes:
        """Return the answer to a push, which was taken; `place` is its place among the outcomes.

        Without a `wish` there is no forecast to tell. `texts` is what was written of the same outcomes before.
        """
        return PUSH % (
            self._who(outcomes, place) or self._identity,
            stream.encode(),
            *self._said(outcomes, place, wish, {} if texts is None else texts),
            b"cold" if _is_cold(outcomes, place) else b"ready",
            self._units,
        )

    def observe(self, outcomes: Outcomes, first: int, question: Question, errors: Mapping[int, GatecastError]) -> bytes:
        """Return the answer to many pushes, the first of them at `first`; `errors` say which were refused."""
        history = question.pushes.history
        texts: Texts = {}
        pairs = enumerate(zip(question.pushes.names, question.wishes, strict=True))
        said = b",".join(
            _refused(name, errors[at])
            if at in errors
            else self._outcome(outcomes, first + at, name, None if history else wish, texts)
            for at, (name, wish) in pairs
        )
        return b'{"model":%b,"units":%b,"outcomes":[%b]}' % (self._identity, self._units, said)

    def _outcome(self, outcomes: Outcomes, place: int, stream: str, wish: Wish | None, texts: Texts) -> bytes:
        who = self._who(outcomes, place)
        return OUTCOME % (
            stream.encode(),
            b',"model":' + who if who else b"",
            *self._said(outcomes, place, wish, texts),
            b"true" if _is_cold(outcomes, place) else b"false",
        )

    def _said(self, outcomes: Outcomes, place: int, wish: Wish | None, texts: Texts) -> tuple[object, ...]:
        """Return what both forms of an answer are filled with, from `sequence` to `warnings`."""
        time, cautions = int(outcomes.time[place]), outcomes.cautions.get(place)
        return (
            int(outcomes.seq[place]),
            rfc3339(time).encode(),
            int(outcomes.accepted[place]),
            b"true" if outcomes.replayed[place] else b"false",
            *(
                Told()
                if wish is None
                else self._form(wish.levels, wish.steps).told(outcomes, place, self._times(time), texts)
            ),
            _warnings(cautions) if cautions else b"[]",
        )

    def _who(self, outcomes: Outcomes, place: int) -> bytes:
        """Return who answered, where that is another version than the one that is served."""
        answered = outcomes.answered.get(place)
        return b"" if answered is None or answered == self._model.version else _identity(answered)

    def _made(self, levels: tuple[int, ...], steps: int) -> Form:
        return Form(self._model, levels, steps)

    def _timed(self, time: int) -> list[bytes]:
        spec = self._model.spec
        step = fixed_step(spec.calendar)
        ahead = range(1, spec.horizon + 1)
        times = (
            times_after(spec.calendar, time, spec.horizon).tolist()
            if step is None
            else [time + step * n for n in ahead]
        )
        return [rfc3339(one).encode() for one in times]


def _refused(stream: str, error: GatecastError) -> bytes:
    """Return what came of one of many pushes that was refused."""
    problem = problem_of(error)
    return b'{"stream":"%b","problem":%b,"status":%d}' % (stream.encode(), msgspec.json.encode(problem), problem.status)


def _is_cold(outcomes: Outcomes, place: int) -> bool:
    cautions = outcomes.cautions.get(place)
    return cautions is not None and len(COLD.intersection(one.code for one in cautions)) == len(COLD)


@lru_cache(maxsize=1024)
def _warnings(cautions: tuple[Caution, ...]) -> bytes:
    return msgspec.json.encode([Warned(code=one.code, detail=one.detail) for one in cautions])


@lru_cache(maxsize=64)
def _identity(version: Version) -> bytes:
    """Return what is known of a version that may be loaded no longer."""
    who = ModelIdentity(name=version.model, version=version.version, alias=None, run_id=version.run_id, data_hash=None)
    return msgspec.json.encode(who)
