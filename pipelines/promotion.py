"""Whether a new version takes the alias `production`: a pure decision, recorded with the numbers it was made from.

The gate is a comparison on rows that neither model has learnt from, pair by pair. A score of another window, or of rows
that one of the two was trained on, says nothing here; nor does a gain that chance explains.
"""

from __future__ import annotations

import msgspec

from forecasting.comparing import LEAST_ORIGINS, Comparison
from forecasting.scores import Scorecard
from forecasting.sections import PromoteSection

NAIVE = ("persistence", "seasonal_naive")
LEAST_GAIN = 1e-4
"""The share by which a loss must be smaller than another to count: below it lies rounding."""

Policy = PromoteSection


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """The version in production, compared on the rows of the new scorecard where it can be.

    `why` says why it cannot, as what follows "version 3 in production"; `schema` that its schema is the reason.
    `left_out` are the times that it has learnt from, which are not counted.
    """

    version: str
    comparison: Comparison | None = None
    why: str = "cannot be compared"
    schema: bool = False
    left_out: int = 0
    data_hash: str | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided and why. Losses are `mse_z` on the same test rows, from `start` to `end`; None is not known.

    `verdict` is what the gate says, `promote` what is done: where an operator decides (`mode` manual, or by hand) they
    differ. Digests are those of the data that each model was trained on.
    """

    promote: bool
    reason: str
    by: str
    verdict: bool | None = None
    mode: str | None = None
    model: float | None = None
    persistence: float | None = None
    seasonal_naive: float | None = None
    champion: float | None = None
    champion_version: str | None = None
    gain: float | None = None
    p_value: float | None = None
    comparison: Comparison | None = None
    left_out: int = 0
    start: str | None = None
    end: str | None = None
    data_hash: str | None = None
    champion_data_hash: str | None = None


BETTER = Policy()


def decide(
    scorecard: Scorecard, champion: Champion | None, policy: Policy = BETTER, data_hash: str | None = None
) -> Decision:
    """Promote a model that beats the naive forecasts and, where one is in production, that one on the same rows."""
    losses = {name: card.mse_z if (card := scorecard.baselines.get(name)) else None for name in NAIVE}
    verdict, reason = _verdict(scorecard.model.mse_z, losses, champion, policy)
    manual = policy.mode == "manual"
    found = champion.comparison if champion else None
    return Decision(
        promote=verdict and not manual,
        reason=f"{reason}; the project's mode is manual: promote it by hand" if verdict and manual else reason,
        by="gate",
        verdict=verdict,
        mode=policy.mode,
        model=scorecard.model.mse_z,
        champion=found.theirs if found else None,
        champion_version=champion.version if champion else None,
        gain=found.gain if found else None,
        p_value=found.p_value if found else None,
        comparison=found,
        left_out=champion.left_out if champion else 0,
        start=scorecard.start,
        end=scorecard.end,
        data_hash=data_hash,
        champion_data_hash=champion.data_hash if champion else None,
        **losses,
    )


def by_hand(reason: str, scorecard: Scorecard | None) -> Decision:
    """Return the record of a promotion that an operator ordered."""
    return Decision(promote=True, reason=reason, by="operator", model=scorecard.model.mse_z if scorecard else None)


def _verdict(
    model: float | None, naive: dict[str, float | None], champion: Champion | None, policy: Policy
) -> tuple[bool, str]:
    if model is None:
        return False, "no cell of the test part was observed: nothing to judge the model by"
    for name, loss in naive.items():
        if loss is not None and not model < loss * (1 - LEAST_GAIN):
            return False, f"it does not beat {name}: mse_z {model:.4f} against {loss:.4f}"
    if champion is None:
        return True, f"it beats {_listed(naive)}"
    if champion.comparison is None:
        return _unmatched(naive, champion, policy)
    good, said = _matched(champion.comparison, f"version {champion.version}", policy)
    return good, f"it beats {_listed(naive)} and {said}" if good and _listed(naive) else f"it {said}"


def _unmatched(naive: dict[str, float | None], champion: Champion, policy: Policy) -> tuple[bool, str]:
    """Decide where the champion cannot be compared."""
    said = f"version {champion.version} in production {champion.why}"
    if not champion.schema:
        return False, f"{said}; promote by hand if that is meant"
    if policy.allow_schema_change:
        return True, f"it beats {_listed(naive)}; {said}, and a change of schema is allowed"
    advice = "promote by hand, or set promote.allow_schema_change, if that is meant"
    return False, f"{said}; {advice}"


def _matched(found: Comparison, champion: str, policy: Policy) -> tuple[bool, str]:
    """Decide by a comparison; the text follows "it" or "it beats ... and"."""
    numbers = f"mse_z {found.ours:.4f} against {found.theirs:.4f} at {found.origins:,} times, p {found.p_value:.2g}"
    if found.origins < LEAST_ORIGINS:
        least = f"at least {LEAST_ORIGINS} are needed"
        return False, f"was compared with {champion} at {found.origins} unseen times only; {least}"
    certain = found.p_value < policy.level
    if policy.mode == "not-worse":
        worse = (certain and not found.better) or found.gain <= -policy.min_gain
        return not worse, f"is {'' if worse else 'not '}worse than {champion}: {numbers}"
    if found.gain < LEAST_GAIN:
        return False, f"does not beat {champion}: {numbers}"
    if not certain:
        return False, f"does not beat {champion} beyond chance (p below {policy.level:g}): {numbers}"
    only = found.gain < policy.min_gain
    asked = f" only, and {policy.min_gain:.1%} are asked" if only else ""
    return not only, f"beats {champion} by {found.gain:.1%}{asked}: {numbers}"


def _listed(naive: dict[str, float | None]) -> str:
    return " and ".join(f"{name} ({loss:.4f})" for name, loss in naive.items() if loss is not None)
