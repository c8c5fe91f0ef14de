"""Writing answers: what is said of a push is the same alone, among others, and while others are written beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest

from forecasting.log.memory import MemoryLog
from forecasting.streams.keeper import Keeper, Policy
from forecasting.streams.pushes import Outcomes
from service.models import PRODUCTION, ServedModel, ServedRef
from service.schemas import Limits
from service.streams.answers import Writer
from service.streams.asked import Question
from service.streams.forms import Texts
from service.streams.requests import Reader
from tests.bundles import make_bundle
from tests.service.streams.pushing import body

LIMITS = Limits(
    max_body_bytes=10_000, max_rows=50, max_windows=3, max_queue=9, deadline_seconds=1.0, receive_seconds=1.0
)
MODEL = ServedModel(ServedRef("tiny", "1", PRODUCTION, "r1"), make_bundle())
READER = Reader(MODEL.streamed, LIMITS, strict=False)
MANY = 300
OTHERS: tuple[dict[str, Any], ...] = ({}, {"levels": []}, {"horizon": 1}, {"levels": [90], "horizon": 2})


def pushed(seed: int, rounds: int = 3) -> tuple[Question, Outcomes]:
    """Return a push to each of many streams, the last of some rounds, and what came of it; values are missing."""
    rng, keeper = np.random.default_rng(seed), Keeper(MemoryLog(), Policy())
    for number in range(rounds):
        rows = [[None if one > 12 else one for one in row] for row in rng.normal(10, 1, (MANY, 2)).tolist()]
        told = [
            {"stream": f"s{at}", **body(number, observations=[row]), **OTHERS[at % len(OTHERS)]}
            for at, row in enumerate(rows)
        ]
        question = READER.observe("me", orjson.dumps({"streams": told}), MANY)
        outcomes = keeper.push(MODEL.streamed, question.pushes, 0)
    return question, outcomes


def alone(outcomes: Outcomes, place: int) -> Outcomes:
    """Return what came of one push as if no other had been taken with it."""
    arrays = {
        name: part[place : place + 1] for name, part in outcomes._asdict().items() if isinstance(part, np.ndarray)
    }
    told = {
        name: {0: part[place]} if place in part else {}
        for name, part in outcomes._asdict().items()
        if name not in arrays
    }
    return outcomes._replace(**arrays, **told)


@pytest.fixture
def in_turns() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("rounds", [1, 3])
def test_an_answer_is_the_same_alone_and_among_others(rounds: int) -> None:
    question, outcomes = pushed(1, rounds)
    writer, texts = Writer(MODEL), Texts()
    for place, (name, wish) in enumerate(zip(question.pushes.names, question.wishes, strict=True)):
        one = Writer(MODEL).push(alone(outcomes, place), 0, name, wish)
        assert writer.push(outcomes, place, name, wish, texts) == one


@pytest.mark.usefixtures("in_turns")
def test_answers_are_not_mixed_up_by_threads() -> None:
    asked = [pushed(seed) for seed in range(4)]
    alike = [Writer(MODEL).observe(outcomes, 0, question, {}) for question, outcomes in asked]
    writer = Writer(MODEL)
    with ThreadPoolExecutor(len(asked)) as threads:
        for _ in range(5):
            found = threads.map(lambda one: writer.observe(one[1], 0, one[0], {}), asked)
            assert list(found) == alike
