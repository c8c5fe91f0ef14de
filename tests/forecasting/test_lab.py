"""The laboratory: its measures on cases that are known, its verdicts on results made up, and the page it writes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from forecasting.lab import adding, claims, plan
from forecasting.lab.flow import LAGS, flow_of
from forecasting.lab.growth import growth_of
from forecasting.lab.page import page_of
from forecasting.lab.pictures import adding_figure, flow_figure, growth_figure
from forecasting.lab.results import Added, Flow, Lesson, Results
from forecasting.lab.variants import Network, Variant

DOCS = Path(__file__).parents[2] / "docs"
KEPT = msgspec.json.decode((DOCS / "memory.json").read_bytes(), type=Results)


def test_the_page_is_what_the_laboratory_wrote() -> None:
    assert (DOCS / "memory.md").read_text() == page_of(KEPT)
    for name in ("flow", "adding", "growth"):
        assert (DOCS / "pictures" / f"memory-{name}.png").exists()
    assert not KEPT.quick


def test_all_is_tried_that_the_page_speaks_of() -> None:
    assert {(one.variant, one.length) for one in KEPT.added} == {
        (trial.variant, trial.length) for trial in plan.FULL.trials
    }
    assert {one.variant for one in KEPT.flows} == set(plan.FULL.flows)
    assert all(len(one.lessons) == KEPT.seeds == 3 for one in KEPT.added)


def errors(system: str, begin: str, length: int) -> list[float]:
    found = KEPT.adding(system, begin, length)
    assert found is not None
    return [lesson.error for lesson in found.lessons]


def test_the_kept_results_hold_the_figures_they_are_to_hold() -> None:
    def factors(system: str, begin: str = "default") -> tuple[float, ...]:
        found = KEPT.flow(system, begin)
        assert found is not None
        return found.factors

    assert all(0.55 <= one <= 0.68 for one in factors("lstm"))
    assert all(0.97 <= one <= 0.99 for one in factors("lstm", "chrono"))
    assert max(factors("alternative1")) < 0.75
    assert min(factors("alternative2", "chrono")) > 0.95
    assert max(errors("lstm", "chrono", 200)) < 0.005
    for system, begin in (("lstm", "default"), ("lstm", "one"), ("alternative1", "default")):
        assert min(errors(system, begin, 200)) > 0.13
    assert max(errors("lstm", "chrono", 400) + errors("gru", "chrono", 400)) < 0.005


@pytest.mark.parametrize(("variant", "low", "high"), [
    (Variant("lstm"), 0.55, 0.68), (Variant("lstm", "chrono"), 0.97, 0.99), (Variant("alternative1"), 0.3, 0.75),
    (Variant("alternative2", "chrono"), 0.95, 0.99), (Variant("lstm1997"), 0.99, 1.03),
])  # fmt: skip
def test_gradients_flow_back_as_the_systems_let_them(variant: Variant, low: float, high: float) -> None:
    flow = flow_of(variant, 3)
    assert flow.lags == LAGS
    assert all(low <= one <= high for one in flow.factors)
    assert all(seed[-1] == pytest.approx(one ** LAGS[-1]) for seed, one in zip(flow.left, flow.factors, strict=True))


def test_the_sums_are_those_of_the_two_marked_numbers_one_in_each_half() -> None:
    rows, sums = adding.sequences(200, 11, torch.Generator().manual_seed(0))
    numbers, marks = rows.unbind(dim=2)
    assert torch.equal(marks[:, :5].sum(dim=1), torch.ones(200))
    assert torch.equal(marks[:, 5:].sum(dim=1), torch.ones(200))
    torch.testing.assert_close(sums, (numbers * marks).sum(dim=1))
    assert float((sums - 1).square().mean()) == pytest.approx(adding.BASELINE, rel=0.25)


def test_a_lesson_is_solved_where_little_has_to_be_remembered_and_not_in_no_time() -> None:
    solved = adding.learn(Variant("gru"), 10, 0, most=600)
    assert solved.error < adding.SOLVED
    assert solved.solved_after == solved.iterations <= 600
    short = adding.learn(Variant("gru"), 10, 0, most=20)
    assert (short.solved_after, short.iterations) == (None, 20)
    assert short.error > adding.SOLVED


def test_the_same_seed_learns_the_same() -> None:
    assert adding.learn(Variant("lstm"), 10, 1, most=30) == adding.learn(Variant("lstm"), 10, 1, most=30)
    assert adding.learn(Variant("lstm"), 10, 2, most=30).error != adding.learn(Variant("lstm"), 10, 1, most=30).error


def test_only_the_cell_of_1997_is_refused_for_its_growth() -> None:
    old, new = growth_of(Variant("lstm1997"), iterations=30), growth_of(Variant("lstm"), iterations=30)
    assert (old.refused, new.refused) == (True, False)
    assert old.sizes[-1] > 3 * old.sizes[2]


def made_up(**changes: object) -> Results:
    return msgspec.structs.replace(KEPT, **changes)


def verdict(results: Results, claim: str) -> str:
    return next(one.verdict for one in claims.verdicts(results) if claim in one.claim)


def flows(**factors: float) -> tuple[Flow, ...]:
    named = {name: Variant(name) for name in ("lstm", "alternative1", "alternative1_deep")}
    named |= {"chrono": Variant("lstm", "chrono"), "alternative2": Variant("alternative2", "chrono")}
    return tuple(Flow(variant=named[name], lags=(1,), left=((one,),), factors=(one,)) for name, one in factors.items())


@pytest.mark.parametrize(
    ("results", "claim", "said"),
    [
        (made_up(flows=flows(lstm=0.6, chrono=0.98)), "constant flow", "half right"),
        (made_up(flows=flows(lstm=0.98, chrono=0.98)), "constant flow", "confirmed"),
        (made_up(flows=flows(lstm=0.6, chrono=0.6)), "constant flow", "refuted"),
        (made_up(flows=flows(alternative1=0.6, alternative1_deep=0.3)), "weights computed the memory", "confirmed"),
        (made_up(flows=flows(alternative1=0.99, alternative1_deep=0.3)), "weights computed the memory", "refuted"),
        (made_up(flows=flows(alternative2=0.97)), "regular RNN", "refuted"),
        (made_up(flows=flows(alternative2=0.6)), "regular RNN", "confirmed"),
        (made_up(added=()), "retains information", "not measured"),
        (made_up(growths=()), "may grow indefinitely", "not measured"),
        (KEPT, "may grow indefinitely", "confirmed"),
        (KEPT, "no learnt weights", "refuted"),
        (KEPT, "w2 is the keep gate", "refuted"),
    ],
)  # fmt: skip
def test_a_verdict_follows_from_the_numbers(results: Results, claim: str, said: str) -> None:
    assert verdict(results, claim) == said


@pytest.mark.parametrize(("default", "chrono", "said"), [
    (0.16, 0.001, "half right"), (0.001, 0.001, "confirmed"), (0.16, 0.16, "refuted"),
])  # fmt: skip
def test_what_is_easily_kept_is_told_by_what_was_learnt(default: float, chrono: float, said: str) -> None:
    def tried(begin: str, error: float) -> Added:
        lesson = Lesson(seed=0, error=error, solved_after=9 if error < adding.SOLVED else None, iterations=9)
        return Added(variant=Variant("lstm", begin), length=200, lessons=(lesson,))

    assert verdict(made_up(added=(tried("default", default), tried("chrono", chrono))), "retains") == said


def test_pictures_are_drawn() -> None:
    for figure in (flow_figure(KEPT), adding_figure(KEPT), growth_figure(KEPT)):
        assert figure.axes


def test_the_weights_of_a_network_are_those_of_its_seed() -> None:
    one, same, other = (Network(Variant("question", "chrono"), 2, 50, seed) for seed in (1, 1, 2))
    weights = [torch.cat([weight.flatten() for weight in network.parameters()]) for network in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.slow
def test_what_decides_over_two_hundred_rows_is_how_the_keep_gates_begin() -> None:
    assert adding.learn(Variant("lstm", "chrono"), 200, 0).error < adding.SOLVED
    assert adding.learn(Variant("lstm"), 200, 0).error > 0.13
