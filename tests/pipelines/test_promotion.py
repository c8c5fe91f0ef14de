from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.comparing import Paired, compare
from forecasting.scores import FullScores, Scorecard
from pipelines.promotion import Champion, Decision, Policy, decide
from tests.pipelines.command import gatecast

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

LOSSES = st.one_of(st.none(), st.floats(1e-6, 1e6))


def card(model: float | None, persistence: float | None = 1.0, seasonal: float | None = None) -> Scorecard:
    rows = {"start": "2024-01-01T00:00:00Z", "end": "2024-01-02T00:00:00Z", "origins": 24, "reasons": {}}
    baselines = {name: _scores(loss) for name, loss in (("persistence", persistence), ("seasonal_naive", seasonal))}
    return msgspec.convert({**rows, "model": _scores(model), "baselines": baselines}, Scorecard)


def _scores(loss: float | None) -> dict[str, Any]:
    empty = dict.fromkeys(one.name for one in msgspec.structs.fields(FullScores) if one.required)
    return {**empty, "cells": 24, "mse_z": loss, "by_step": [], "by_column": {}}


def rival(ours: float, theirs: float, chance: float = 0.1, origins: int = 200) -> Champion:
    """Return version 3, compared at so many times; `chance` is the size of what the losses differ by without cause."""
    noise = np.random.default_rng(0).normal(size=origins) * chance
    found = compare(Paired(np.arange(origins), np.full(origins, ours), theirs + noise - noise.mean()), 1)
    return Champion(version="3", comparison=found)


def test_a_first_model_that_beats_the_naive_forecasts_is_promoted() -> None:
    decision = decide(card(0.5, 1.0, 0.8), champion=None)
    assert decision.promote
    assert decision.reason == "it beats persistence (1.0000) and seasonal_naive (0.8000)"


OTHER = Champion(version="3", why="has another schema", schema=True)
SHUT = Champion(version="3", why="cannot be opened (format 9)")
SURE, UNSURE = rival(0.5, 0.6), rival(0.5, 0.6, chance=9.0)


@pytest.mark.parametrize(
    ("scores", "champion", "reason"),
    [
        (card(1.0), None, "it does not beat persistence: mse_z 1.0000 against 1.0000"),
        (card(0.9, 1.0, 0.8), None, "it does not beat seasonal_naive: mse_z 0.9000 against 0.8000"),
        (card(None), None, "no cell of the test part was observed: nothing to judge the model by"),
        (card(1.0), SURE, "it does not beat persistence: mse_z 1.0000 against 1.0000"),
        (
            card(0.5),
            rival(0.5, 0.5 - 1e-9),
            "it does not beat version 3: mse_z 0.5000 against 0.5000 at 200 times, p 1",
        ),
        (card(0.5), rival(0.5, 0.4), "it does not beat version 3: mse_z 0.5000 against 0.4000 at 200 times, p "),
        (card(0.5), UNSURE, "it does not beat version 3 beyond chance (p below 0.05): mse_z 0.5000 against 0.6000 at "),
        (
            card(0.5),
            rival(0.5, 0.503, chance=1e-4),
            "it beats version 3 by 0.6% only, and 1.0% are asked: mse_z 0.5000 against 0.5030 at 200 times, p ",
        ),
        (card(0.5), rival(0.5, 0.9, origins=9), "it was compared with version 3 at 9 unseen times only; at least 50 "),
        (
            card(0.5),
            OTHER,
            "version 3 in production has another schema; promote by hand, or set promote.allow_schema_change",
        ),
        (card(0.5), SHUT, "version 3 in production cannot be opened (format 9); promote by hand if that is meant"),
        (card(1.0), SHUT, "it does not beat persistence: mse_z 1.0000 against 1.0000"),
    ],
)
def test_a_model_that_beats_not_everyone_is_kept_out_and_told_why(
    scores: Scorecard, champion: Champion | None, reason: str
) -> None:
    decision = decide(scores, champion)
    assert not decision.promote
    assert decision.verdict is False
    assert decision.reason.startswith(reason)


def test_a_model_that_beats_the_champion_beyond_chance_is_promoted_with_all_that_speaks_for_it() -> None:
    decision = decide(card(0.5), SURE, data_hash="new")
    assert (decision.promote, decision.verdict, decision.mode) == (True, True, "better")
    said = "it beats persistence (1.0000) and beats version 3 by 16.7%: mse_z 0.5000 against 0.6000 at 200 times, p "
    assert decision.reason.startswith(said)
    assert (decision.champion, decision.champion_version, decision.data_hash) == (pytest.approx(0.6), "3", "new")
    assert decision.comparison == SURE.comparison
    assert decision.start == "2024-01-01T00:00:00Z"


def test_an_operator_who_decides_alone_is_told_what_the_gate_would_do() -> None:
    decision = decide(card(0.5), SURE, Policy(mode="manual"))
    assert (decision.promote, decision.verdict) == (False, True)
    assert decision.reason.endswith("; the project's mode is manual: promote it by hand")
    refused = decide(card(0.5), UNSURE, Policy(mode="manual"))
    assert (refused.promote, refused.verdict) == (False, False)


@pytest.mark.parametrize(
    ("champion", "promoted"),
    [(UNSURE, True), (rival(0.5, 0.499, chance=0.1), True), (rival(0.5, 0.4), False), (rival(0.5, 0.4, 9.0), False)],
)
def test_where_not_worse_is_enough_a_loss_by_chance_is_forgiven_and_a_large_one_is_not(
    champion: Champion, promoted: bool
) -> None:
    decision = decide(card(0.5), champion, Policy(mode="not-worse"))
    assert decision.promote == promoted
    assert f"is {'not ' if promoted else ''}worse than version 3" in decision.reason


def test_a_champion_of_another_schema_makes_way_where_that_is_allowed_and_a_broken_one_does_not() -> None:
    allowed = Policy(allow_schema_change=True)
    assert decide(card(0.5), OTHER, allowed).promote
    assert not decide(card(1.0), OTHER, allowed).promote
    assert not decide(card(0.5), SHUT, allowed).promote


HELD = st.tuples(st.floats(1e-6, 1e6), st.floats(0, 1), st.integers(1, 300))


@given(LOSSES, LOSSES, LOSSES, HELD, st.sampled_from(["better", "manual"]))
@settings(max_examples=100, deadline=None)
def test_what_is_promoted_is_below_every_loss_it_is_held_against(
    model: float | None, persistence: float | None, seasonal: float | None, held: tuple[float, float, int], mode: Any
) -> None:
    champion, chance, origins = held
    beside = rival(model or 1.0, champion, chance * champion, origins)
    decision = decide(card(model, persistence, seasonal), beside, Policy(mode=mode))
    if decision.promote:
        assert mode == "better"
        assert model is not None
        assert beside.comparison is not None
        assert all(model < loss for loss in (persistence, seasonal) if loss is not None)
        assert model < champion * (1 - 0.99 * 0.01)
        assert beside.comparison.p_value < 0.05


@given(st.floats(1e-6, 1e6), st.floats(-1e-6, 1e-6))
def test_a_model_does_not_beat_itself_by_rounding(loss: float, rounding: float) -> None:
    assert not decide(card(loss, 2 * loss), rival(loss, loss * (1 + rounding), chance=0.0)).promote


def test_a_model_of_random_walks_is_registered_and_not_promoted(refused: Shop) -> None:
    said = refused.trained.json
    assert refused.trained.code == 0
    assert (said["version"], said["promoted"]) == ("1", False)
    assert said["reason"].startswith("it does not beat persistence: mse_z ")
    assert "registered, not promoted: it does not beat persistence" in refused.trained.err
    assert refused.registry.version("walk", "1").aliases == ()


def test_promotion_by_hand_goes_through_the_gate(refused: Shop) -> None:
    said = gatecast(refused.home, "promote", "walk", "1")
    assert said.code == 0
    assert said.out.startswith("walk version 1 not promoted: it does not beat persistence")
    assert refused.registry.version("walk", "1").aliases == ()


@pytest.mark.parametrize("given", [["--force"], ["--force", "--reason", " "], ["--reason", "I like it"]])
def test_force_and_reason_are_given_together(refused: Shop, given: list[str]) -> None:
    said = gatecast(refused.home, "promote", "walk", "1", *given)
    assert said.code == 2
    assert "give both or neither" in said.err


def test_an_operator_may_force_a_promotion_which_is_recorded(refused: Shop) -> None:
    said = gatecast(refused.home, "promote", "walk", "1", "--force", "--reason", "a [trial] by ops", "--json")
    decision = msgspec.convert(said.json, Decision)
    version = refused.registry.version("walk", "production")
    assert (decision.promote, decision.by, decision.reason) == (True, "operator", "a [trial] by ops")
    assert json.loads(version.tags["production.decision"])["reason"] == "a [trial] by ops"
    assert "operator: a [trial]" in gatecast(refused.home, "models", "walk").out


def test_the_champion_itself_may_be_promoted_again_which_is_recorded_once_more(shop: Shop) -> None:
    before = len(list(shop.home.rglob("decision*.json")))
    said = gatecast(shop.home, "promote", "tiny", "production", "--json")
    assert said.json["promote"] is True
    assert len(list(shop.home.rglob("decision*.json"))) == before + 1
    assert shop.registry.version("tiny", "production").version == "1"


@pytest.mark.parametrize(
    ("name", "version", "advice"),
    [("tyny", "1", "did you mean 'tiny'?"), ("tiny", "99", "its newest versions: "), ("tiny", "best", "its aliases: ")],
)
def test_what_is_not_registered_is_named_with_what_is(shop: Shop, name: str, version: str, advice: str) -> None:
    said = gatecast(shop.home, "promote", name, version)
    assert said.code == 2
    assert advice in said.err
