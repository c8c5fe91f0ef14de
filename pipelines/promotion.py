"""Whether a new version takes the alias `production`: a pure decision, recorded with the numbers it was made from."""

from __future__ import annotations

import msgspec

from forecasting.scores import Scorecard

NAIVE = ("persistence", "seasonal_naive")
LEAST_GAIN = 1e-4
"""The share by which a loss must be smaller to count: below it lies rounding, and a model does not beat itself."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided and why. Losses are `mse_z` on the same test rows; None is not known."""

    promote: bool
    reason: str
    by: str
    model: float | None = None
    persistence: float | None = None
    seasonal_naive: float | None = None
    champion: float | None = None
    champion_version: str | None = None


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """The version in production; `mse_z` is its loss on the rows of the new scorecard, None where it cannot be had.

    `why` says why it cannot, as what follows "version 3 in production".
    """

    version: str
    mse_z: float | None
    why: str = "has another schema"


def decide(scorecard: Scorecard, champion: Champion | None) -> Decision:
    """Promote a model that beats the naive forecasts and, where one is in production, that one on the same rows."""
    losses = {name: card.mse_z if (card := scorecard.baselines.get(name)) else None for name in NAIVE}
    verdict, reason = _verdict(scorecard.model.mse_z, losses, champion)
    return Decision(
        promote=verdict,
        reason=reason,
        by="gate",
        model=scorecard.model.mse_z,
        champion=champion.mse_z if champion else None,
        champion_version=champion.version if champion else None,
        **losses,
    )


def by_hand(reason: str, scorecard: Scorecard | None) -> Decision:
    """Return the record of a promotion that an operator ordered."""
    return Decision(promote=True, reason=reason, by="operator", model=scorecard.model.mse_z if scorecard else None)


def _verdict(model: float | None, naive: dict[str, float | None], champion: Champion | None) -> tuple[bool, str]:
    if model is None:
        return False, "no cell of the test part was observed: nothing to judge the model by"
    for name, loss in naive.items():
        if loss is not None and not _beats(model, loss):
            return False, f"it does not beat {name}: mse_z {model:.4f} against {loss:.4f}"
    if champion is None:
        return True, f"it beats {_listed(naive)}"
    if champion.mse_z is None:
        return False, f"version {champion.version} in production {champion.why}; promote by hand if that is meant"
    if not _beats(model, champion.mse_z):
        return False, f"it does not beat version {champion.version}: mse_z {model:.4f} against {champion.mse_z:.4f}"
    return True, f"it beats {_listed(naive)} and version {champion.version} ({champion.mse_z:.4f})"


def _beats(model: float, other: float) -> bool:
    return model < other * (1 - LEAST_GAIN)


def _listed(naive: dict[str, float | None]) -> str:
    return " and ".join(f"{name} ({loss:.4f})" for name, loss in naive.items() if loss is not None)
