from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.scores import FullScores, Scorecard
from pipelines.promotion import Champion, Decision, decide
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


def test_a_first_model_that_beats_the_naive_forecasts_is_promoted() -> None:
    decision = decide(card(0.5, 1.0, 0.8), champion=None)
    assert decision.promote
    assert decision.reason == "it beats persistence (1.0000) and seasonal_naive (0.8000)"


@pytest.mark.parametrize(
    ("scores", "champion", "reason"),
    [
        (card(1.0), None, "it does not beat persistence: mse_z 1.0000 against 1.0000"),
        (card(0.9, 1.0, 0.8), None, "it does not beat seasonal_naive: mse_z 0.9000 against 0.8000"),
        (card(None), None, "no cell of the test part was observed: nothing to judge the model by"),
        (card(0.5), Champion(version="3", mse_z=0.5), "it does not beat version 3: mse_z 0.5000 against 0.5000"),
        (
            card(0.5),
            Champion(version="3", mse_z=None),
            "version 3 in production has another schema; promote by hand if that is meant",
        ),
        (
            card(0.5),
            Champion(version="3", mse_z=None, why="cannot be opened (format 9)"),
            "version 3 in production cannot be opened (format 9); promote by hand if that is meant",
        ),
        (
            card(1.0),
            Champion(version="3", mse_z=None, why="cannot be opened (format 9)"),
            "it does not beat persistence: mse_z 1.0000 against 1.0000",
        ),
    ],
)
def test_a_model_that_beats_not_everyone_is_kept_out_and_told_why(
    scores: Scorecard, champion: Champion | None, reason: str
) -> None:
    decision = decide(scores, champion)
    assert not decision.promote
    assert decision.reason == reason


@given(LOSSES, LOSSES, LOSSES, LOSSES)
@settings(max_examples=100, deadline=None)
def test_what_is_promoted_is_below_every_loss_it_is_held_against(
    model: float | None, persistence: float | None, seasonal: float | None, champion: float | None
) -> None:
    decision = decide(card(model, persistence, seasonal), Champion(version="1", mse_z=champion))
    if decision.promote:
        assert model is not None
        assert champion is not None
        assert all(model < loss for loss in (persistence, seasonal, champion) if loss is not None)


@given(st.floats(1e-6, 1e6), st.floats(-1e-6, 1e-6))
def test_a_model_does_not_beat_itself_by_rounding(loss: float, rounding: float) -> None:
    itself = Champion(version="1", mse_z=loss * (1 + rounding))
    assert not decide(card(loss, 2 * loss), itself).promote


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
