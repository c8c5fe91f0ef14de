"""Whether the parts of a bundle fit each other: a digest proves what was written, not that it is of one model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from forecasting.calendar import Calendar
from forecasting.columns import Columns
from forecasting.conformal import Calibration
from forecasting.errors import CorruptBundle
from forecasting.members import Architecture
from forecasting.remembering import Memory
from forecasting.scaling import Scale, Scaler
from forecasting.statics import Statics
from forecasting.steadiness import Streaming

Shape = int | tuple[int, ...]
ARCHITECTURE, ROW = "the architecture in spec.json", "a row in spec.json"


class Width(NamedTuple):
    """How much of something a file has, and how much another place has of it."""

    file: str
    what: str
    found: Shape
    place: str
    wanted: Shape


def refuse_misfits(widths: Iterable[Width]) -> None:
    """Go through the widths of a bundle.

    Raises:
        CorruptBundle: two of them differ; the text names both, and where they are.
    """
    for file, what, found, place, wanted in widths:
        if found != wanted:
            message = (
                f"{file} has {_said(found)} {what} where {place} has {_said(wanted)}; "
                "its parts are of different models: register it again"
            )
            raise CorruptBundle(message)


def spec_widths(architecture: Architecture, columns: Columns, calendar: Calendar) -> Iterator[Width]:
    """Yield the widths of columns and calendar; the architecture is what the weights fit.

    Raises:
        CorruptBundle: the calendar has a frequency that is none.
    """
    found = {
        "targets": (len(columns.targets), architecture.targets),
        "targets and past covariates": (columns.seen, architecture.seen),
        "known covariates": (len(columns.known), architecture.known),
        "calendar features": (_calendar_width(calendar), architecture.calendar),
    }
    for what, (ours, theirs) in found.items():
        yield Width("spec.json", what, ours, "its architecture", theirs)


def _calendar_width(calendar: Calendar) -> int:
    try:
        return calendar.width
    except (ValueError, ArithmeticError) as error:
        message = f"spec.json of the bundle cannot be read: its calendar has the frequency {calendar.freq!r}, {error}"
        raise CorruptBundle(message) from error


def statics_widths(statics: Statics, architecture: Architecture, columns: Columns) -> Iterator[Width]:
    """Yield the widths of the static covariates: columns, numbers with their masks, codes of each category."""
    file, codes = "statics.json", statics.categories
    yield Width(file, "static columns", len(statics.columns), "spec.json", len(columns.static))
    yield Width(file, "static numbers and masks", statics.numbers, ARCHITECTURE, architecture.statics)
    yield Width(file, "static categories", len(codes), ARCHITECTURE, len(architecture.categories))
    for place, (ours, theirs) in enumerate(zip(codes, architecture.categories, strict=True), 1):
        yield Width(file, f"codes of category {place}", ours, ARCHITECTURE, theirs)


def scaler_widths(scaler: Scaler, columns: Columns) -> Iterator[Width]:
    """Yield the widths of every scale; a row has targets, past and known covariates."""
    file, row = "scaler.json", len(columns.row)
    yield Width(file, "transforms", len(scaler.transforms), ROW, row)
    scales = [("all series together", scaler.overall), *scaler.series.items()]
    for (name, scale), part in product(scales, Scale.__struct_fields__):
        yield Width(file, f"numbers for {part} of {name}", len(getattr(scale, part)), ROW, row)


def calibration_widths(calibration: Calibration, architecture: Architecture) -> Iterator[Width]:
    """Yield the shapes of a calibration: probability (of multipliers alone), step and target."""
    cells = (architecture.horizon, architecture.targets)
    wanted = {"multipliers": (len(calibration.probabilities), *cells), "cells": cells, "smear": cells}
    for what, shape in wanted.items():
        yield Width("calibration.json", f"numbers in {what}", _shape(getattr(calibration, what)), ARCHITECTURE, shape)


def streaming_widths(streaming: Streaming, lookback: int) -> Iterator[Width]:
    """Yield the length of the windows that the carried forecaster was held against."""
    yield Width("streaming.json", "rows in a window", streaming.window, "the lookback in spec.json", lookback)


def memory_widths(memory: Memory, architecture: Architecture) -> Iterator[Width]:
    """Yield the layers whose gates were looked at."""
    yield Width("memory.json", "layers", len(memory.layers), ARCHITECTURE, architecture.layers)


def _shape(nested: Any) -> tuple[int, ...]:
    """Return the shape of nested tuples as far as it is the same everywhere."""
    if not isinstance(nested, tuple):
        return ()
    inner = {_shape(one) for one in nested}
    return (len(nested), *(inner.pop() if len(inner) == 1 else ()))


def _said(width: Shape) -> str:
    return str(width) if isinstance(width, int) else " x ".join(map(str, width))
