"""Static covariates as numbers: scaled ones with a mask, and codes of categories with 0 for what training never saw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float, Int

from forecasting.series import Panel

StaticValue = float | str | None

FARTHEST = 1000.0
"""Standard deviations by which a static number may differ from those of training; far beyond lies overflow."""


class Coded(NamedTuple):
    """Static values of one series: each number in standard deviations and whether it is known; each category's code."""

    numbers: Float[np.ndarray, " two_a_number"]
    codes: Int[np.ndarray, " categories"]


class Number(msgspec.Struct, frozen=True, kw_only=True, tag="number"):
    """A static column of numbers, over the series of training."""

    name: str
    mean: float
    std: float


class Category(msgspec.Struct, frozen=True, kw_only=True, tag="category"):
    """A static column of categories; `known` in the order of their codes, which start at 1."""

    name: str
    known: tuple[str, ...]


class Statics(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The static columns of a panel, and their values by series, so that a request need not repeat them."""

    columns: tuple[Number | Category, ...] = ()
    series: dict[str, dict[str, StaticValue]] = {}

    @property
    def numbers(self) -> int:
        """Width of what the numbers become: value and mask."""
        return 2 * sum(isinstance(column, Number) for column in self.columns)

    @property
    def categories(self) -> tuple[int, ...]:
        """Number of codes of each category, the unknown one included."""
        return tuple(len(column.known) + 1 for column in self.columns if isinstance(column, Category))

    def encode(self, series: str | None, given: Mapping[str, StaticValue] | None = None) -> Coded:
        """Encode the values of a series: those given, else those it had in training, else unknown."""
        values = {**self.series.get(series or "", {}), **(given or {})}
        numbers = [_number(column, values.get(column.name)) for column in self.columns if isinstance(column, Number)]
        codes = [self._code(column.name, values.get(column.name)) for column in self._categorical]
        flat = np.array(numbers, dtype=np.float32).reshape(-1)
        return Coded(flat, np.array(codes, dtype=np.int64))

    def _code(self, column: str, value: StaticValue) -> int:
        """Return the code of a category; where 7 is given, the one that is written 7, 07 or 7.0."""
        known = self._codes[column]
        if isinstance(value, (int, float)) and str(value) not in known:
            return next((code for name, code in known.items() if _reads_as(name, value)), 0)
        return known.get(str(value), 0)

    @cached_property
    def _categorical(self) -> tuple[Category, ...]:
        return tuple(column for column in self.columns if isinstance(column, Category))

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {column.name: {name: code for code, name in enumerate(column.known, 1)} for column in self._categorical}


def fit_statics(train: Panel) -> Statics:
    """Learn the static columns from the series that have training rows."""
    targets = len(train.columns.targets)
    known = {one.id: dict(one.static) for one in train if np.isfinite(one.values[:, :targets]).any()}
    columns = [_column(name, [values.get(name) for values in known.values()]) for name in train.columns.static]
    return Statics(columns=tuple(columns), series=known if columns else {})


def _column(name: str, values: list[StaticValue]) -> Number | Category:
    seen = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in seen):
        return Category(name=name, known=tuple(sorted({str(value) for value in seen})))
    numbers = np.array(seen or [0.0], dtype=np.float64)
    moves = numbers.min() < numbers.max()  # the deviation of equal numbers is not always 0: their mean is rounded
    return Number(name=name, mean=float(numbers.mean()), std=float(numbers.std()) if moves else 1.0)


def _number(column: Number, value: StaticValue) -> tuple[float, float]:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0.0, 0.0
    return max(-FARTHEST, min(FARTHEST, (value - column.mean) / column.std)), 1.0


def _reads_as(name: str, value: float) -> bool:
    try:
        return float(name) == value
    except ValueError:
        return False
