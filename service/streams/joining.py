"""Pushes that are taken together: laid one behind the other, as if one request had brought them all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

import numpy as np

from forecasting.streams.pushes import Pushes

T = TypeVar("T")


def joined(several: Sequence[Pushes]) -> Pushes:
    """Return pushes of one principal, one kind and one model as one."""
    if len(several) == 1:
        return several[0]
    one = several[0]
    ends = np.cumsum([len(each.times) for each in several])
    starts = [each.starts[1:] + end for each, end in zip(several, [0, *ends[:-1].tolist()], strict=True)]
    return Pushes(
        one.principal,
        list(chain.from_iterable(each.names for each in several)),
        np.concatenate([[0], *starts]),
        np.concatenate([each.times for each in several]),
        np.concatenate([each.values for each in several]),
        None if one.ahead is None else np.concatenate([each.ahead for each in several if each.ahead is not None]),
        _each(several, [each.series for each in several], None),
        _each(several, [each.static for each in several], {}),
        one.history,
    )


def _each(several: Sequence[Pushes], parts: Sequence[Sequence[T] | None], nothing: T) -> list[T] | None:
    """Lay out what only some of the pushes say."""
    if all(part is None for part in parts):
        return None
    filled = ([nothing] * len(each.names) if part is None else part for each, part in zip(several, parts, strict=True))
    return list(chain.from_iterable(filled))
