"""What the reader of a forecast of a stream should know; it was made all the same."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int

from forecasting.admission import IMPLAUSIBLE, Caution
from forecasting.streams.accepting import Verdicts
from forecasting.streams.playing import Played
from forecasting.streams.pool import Some
from forecasting.streams.streamed import Places, Streamed

SCREENED = "values far outside the training range were taken as missing"


Cautions = tuple[Caution, ...]


def knows_series(model: Streamed) -> bool:
    """Tell whether a stream can be of no series that the model knows."""
    return model.spec.panel and bool(model.bundle.scaler.ids)


def standing(model: Streamed, seq: Int[np.ndarray, " rows"], places: Places) -> dict[int, Cautions]:
    """Return what there is to be said of streams as they stand behind some rows, by the place of the row."""
    lookback = model.spec.lookback
    new, short = (places == 0) & knows_series(model), seq + 1 < lookback
    found = dict[int, Cautions]()
    for place in np.flatnonzero(new | short | (model.resync is not None)).tolist():
        rows = int(seq[place]) + 1 if short[place] else None
        found[place] = _about(rows, lookback, bool(new[place]), model.resync)
    return found


def cautions_about(model: Streamed, some: Some, verdicts: Verdicts, played: Played) -> dict[int, Cautions]:
    """Return what a reader of the newest forecast of each push should know, by its place in the plan."""
    plan = verdicts.plan
    found = standing(model, plan.seq, some.profile.places[plan.member])
    if verdicts.plain and not played.screened.any():
        return found
    screened = set(plan.push[played.screened].tolist())
    newest = set(verdicts.newest.tolist())
    found = {place: cautions for place, cautions in found.items() if place in newest}
    for push in screened | verdicts.cautions.keys():
        place = int(verdicts.newest[push])
        odd = (Caution(IMPLAUSIBLE, SCREENED),) if push in screened else ()
        found[place] = found.get(place, ()) + verdicts.cautions.get(push, ()) + odd
    return found


@lru_cache(maxsize=4096)
def _about(rows: int | None, lookback: int, new: bool, resync: tuple[int, int] | None) -> Cautions:
    said = []
    if rows is not None:
        said.append(Caution("short-history", f"{rows} rows so far; this model is trained to look back on {lookback}"))
    if new:
        detail = "no such series in training; scaled by the statistics of all series together"
        said.append(Caution("unknown-series", detail))
    if resync is not None:
        detail = f"every {resync[0]} rows the state is built anew from the last {resync[1]}: carried on, it does worse"
        said.append(Caution("resync", detail))
    return tuple(said)
