"""The champion against a challenger: both on the rows that the challenger was tested on and the champion never saw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from forecasting.assembly import Prepared
from forecasting.bundle import Bundle
from forecasting.comparing import Paired, compare
from forecasting.errors import BundleError, NoSuchModel
from forecasting.evaluation import Backtest
from forecasting.pairing import losses_beside
from forecasting.registry import PRODUCTION, Registry
from pipelines.promotion import Champion
from pipelines.versions import open_version


class Rival(NamedTuple):
    """The version in production, and its losses beside ours where it can be compared."""

    champion: Champion
    paired: Paired | None = None


def match(registry: Registry, name: str, tested: Backtest, prepared: Prepared) -> Rival | None:
    """Hold what was tested against the version in production; None where there is none.

    A champion that cannot be opened must not cost what was just trained: it is said, not raised.
    """
    try:
        found = registry.version(name, PRODUCTION)
    except NoSuchModel:
        return None
    try:
        bundle = open_version(registry, found)
    except BundleError as error:
        return Rival(Champion(version=found.version, why=f"cannot be opened ({error})"))
    paired = losses_beside(bundle, tested, prepared.panel, prepared.split)
    digest = bundle.spec.provenance.data_hash
    if paired is None:
        other = Champion(version=found.version, why="has another schema", schema=True, data_hash=digest)
        return Rival(other)
    unseen = _unseen_by(bundle, paired)
    left_out = len(paired.times) - len(unseen.times)
    comparison = compare(unseen, bundle.spec.horizon)
    why = "has learnt from every row of the test part"
    return Rival(
        Champion(version=found.version, comparison=comparison, why=why, left_out=left_out, data_hash=digest), unseen
    )


def _unseen_by(champion: Bundle, paired: Paired) -> Paired:
    """Leave out origins before the end of what the champion has learnt from; they are not untouched.

    Of a champion that does not say where that is, nothing is left out.
    """
    until = champion.spec.provenance.seen_end
    if until is None:
        return paired
    # the first origin whose targets are all unseen is the last row that was seen
    first = np.searchsorted(paired.times, pd.Timestamp(until).value - champion.spec.calendar.step)
    return Paired(*(part[first:] for part in paired))
