"""What the question's answer claims, and what the numbers say of it: the verdict is worked out, never written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from forecasting.cells import LoopedCell
from forecasting.cells.looped import Layer
from forecasting.lab.results import Added, Flow, Results

CONSTANT, LOST = 0.95, 0.75
"""A factor a step above the first passes errors on over a hundred rows, below the second it does not over twenty."""
CONFIRMED, HALF, REFUTED, OPEN = "confirmed", "half right", "refuted", "not measured"


class Verdict(NamedTuple):
    """What was claimed, what the numbers say of it, and the numbers."""

    claim: str
    verdict: str
    evidence: str


def verdicts(results: Results) -> list[Verdict]:
    """Hold each claim against the results."""
    return [Verdict(claim, *judge(results)) for claim, judge in CLAIMS.items()]


def factors(flow: Flow | None) -> str:
    """Write the factors a step of all seeds as a range."""
    if flow is None:
        return "-"
    low, high = min(flow.factors), max(flow.factors)
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def outcome(added: Added | None) -> str:
    """Write what became of the adding problem."""
    if added is None:
        return "-"
    errors = [lesson.error for lesson in added.lessons]
    most = max(lesson.iterations for lesson in added.lessons)
    return f"{added.solved}/{len(added.lessons)} ({min(errors):.4f} to {max(errors):.4f}, at most {most:,} iterations)"


def _keeps(flow: Flow | None) -> bool:
    return flow is not None and min(flow.factors) > CONSTANT


def _loses(flow: Flow | None) -> bool:
    return flow is not None and max(flow.factors) < LOST


def _constant_flow(results: Results) -> tuple[str, str]:
    default, chrono, plain = results.flow("lstm"), results.flow("lstm", "chrono"), results.flow("rnn")
    said = (
        f"as torch begins it an LSTM passes on {factors(default)} of an error a step, a plain RNN {factors(plain)}; "
        f"with keep biases for memories of up to 200 rows it is {factors(chrono)}: the structure gives a knob that "
        "the others do not have, not the flow"
    )
    return (HALF if _loses(default) else CONFIRMED) if _keeps(chrono) else REFUTED, said


def _through_weights(results: Results) -> tuple[str, str]:
    one, deep, skip = (results.flow(f"alternative1{end}") for end in ("", "_deep", "_skip"))
    said = (
        f"a network that makes the new memory passes on {factors(one)} a step, one of two layers {factors(deep)}, and "
        f"no bias changes that; with the old memory added and no gate it is {factors(skip)}: it explodes. Adding, "
        f"T = 200: {outcome(results.adding('alternative1', 'default', 200))}"
    )
    return CONFIRMED if _loses(one) and _loses(deep) else REFUTED, said


def _both_alike(results: Results) -> tuple[str, str]:
    flow, added = results.flow("alternative2", "chrono"), results.adding("alternative2", "chrono", 200)
    said = (
        f"a network that reads a gated memory passes on {factors(flow)} a step where its keep gates begin by chrono; "
        f"adding, T = 200, at a third of the learning rate: {outcome(added)}. What cures is the gated memory, not the "
        "gate that reads"
    )
    return REFUTED if _keeps(flow) else CONFIRMED, said


def _easily_kept(results: Results) -> tuple[str, str]:
    tried = {length: results.adding("lstm", "chrono", length) for length in (100, 200, 400)}
    told = "; ".join(f"T = {length}: {outcome(one)}" for length, one in tried.items() if one)
    default = results.adding("lstm", "default", 200)
    if default is None:
        return OPEN, "the adding problem was not tried at these lengths"
    kept = all(one.solved == len(one.lessons) for one in tried.values() if one)
    said = f"with chrono an LSTM learns to add, {told}; as torch begins it, T = 200: {outcome(default)}"
    return (HALF if default.solved < len(default.lessons) else CONFIRMED) if kept else REFUTED, said


def _no_weights(_: Results) -> tuple[str, str]:
    layer: Layer = LoopedCell("gru", 32, 32, 1, 0.0).layers[0]  # type: ignore[assignment]
    share = layer.past.weight.numel() / sum(one.numel() for one in layer.parameters())
    said = (
        f"{share:.0%} of the weights of a GRU of 32 units on 32 numbers act on the hidden state, in gates and content; "
        "what has none is the product keep * h alone"
    )
    return REFUTED, said


def _named_gates(_: Results) -> tuple[str, str]:
    """Close the gate that the formula multiplies with the old memory, and see whether the old memory is gone."""
    cell = LoopedCell("question", 1, 4, 1, 0.0).requires_grad_(False)
    layer: Layer = cell.layers[0]  # type: ignore[assignment]
    layer.given.bias[layer.block("keep")] = -60.0
    state = (torch.zeros(1, 1, 4), torch.full((1, 1, 4), 9.0))
    gone = float(cell.step(torch.zeros(1, 1), state)[1][1].abs().max()) <= 1
    said = "w1, which the text calls the write gate, multiplies the old memory in its formula: closed, it erases that"
    return REFUTED if gone else CONFIRMED, said


def _grows(results: Results) -> tuple[str, str]:
    one, other = results.growth("lstm1997"), results.growth("lstm")
    if one is None or other is None:
        return OPEN, "-"
    sizes = ", ".join(f"{size:,.0f} after {rows:,}" for rows, size in zip(one.behind, one.sizes, strict=True))
    said = (
        f"the largest number in the state of the cell of 1997 is {sizes} rows; of an LSTM it is {other.sizes[-1]:.1f}. "
        "The one is not streamed"
    )
    return CONFIRMED if one.refused and not other.refused else REFUTED, said


CLAIMS: dict[str, Callable[[Results], tuple[str, str]]] = {
    "the structure of the LSTM ensures constant flow of error": _constant_flow,
    "if weights computed the memory, errors would go back through them at each step": _through_weights,
    "both alternatives are a regular RNN": _both_alike,
    "it retains information easily over longer spans": _easily_kept,
    "a GRU has no learnt weights that act on the hidden state": _no_weights,
    "w2 is the keep gate, w1 the write gate (the question)": _named_gates,
    "without a forget gate the state may grow indefinitely (Gers et al. 2000)": _grows,
}
