"""Static columns: from a cell in every row to one value a series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Int

from forecasting.reading.checking import infinite, numbers_of, text_of
from forecasting.reading.tables import quoted
from forecasting.report import Finding, counted
from forecasting.statics import StaticValue

if TYPE_CHECKING:
    from forecasting.sections import DataSection


def read_statics(
    frame: pd.DataFrame, codes: Int[np.ndarray, " rows"], ids: tuple[str, ...], data: DataSection
) -> tuple[tuple[Mapping[str, StaticValue], ...], tuple[Finding, ...]]:
    """Return the static values of each series, None where no row has one, and findings.

    `codes` numbers the series of each row. A column is of numbers if all its cells are and `data.categorical` does not
    name it; else of text.
    """
    columns: dict[str, list[StaticValue]] = {}
    findings: list[Finding] = []
    for name in data.static:
        cells = frame[name]
        numbers, words = numbers_of(cells, flags=False)
        if name in data.categorical or words.any():
            values = text_of(cells)
        else:
            values = pd.Series(numbers, index=cells.index)
            findings += infinite(cells, numbers)
        columns[name] = _by_series(values, codes, len(ids))
        findings += [*_changes(cells, values, codes, ids), *_missing(name, columns[name], ids)]
    return tuple({name: values[at] for name, values in columns.items()} for at in range(len(ids))), tuple(findings)


def _by_series(values: pd.Series, codes: np.ndarray, count: int) -> list[StaticValue]:
    firsts = values.groupby(codes).first().reindex(range(count))
    return [None if pd.isna(one) else one for one in firsts.tolist()]


def _changes(cells: pd.Series, values: pd.Series, codes: np.ndarray, ids: tuple[str, ...]) -> tuple[Finding, ...]:
    first = values.groupby(codes).transform("first")
    differs = (values.notna() & (values != first)).to_numpy(bool) & (codes >= 0)
    if not differs.any():
        return ()
    finding = Finding(
        code="static-changes",
        action="refused",
        message=f"{counted(int(differs.sum()), 'cell')} of {cells.name!r} unlike the first of the same series; "
        "a static column holds one value a series: correct it, or name it in data.past or data.known",
        count=int(differs.sum()),
        column=str(cells.name),
        series=ids[codes[differs.argmax()]],
        where=quoted(cells, differs),
    )
    return (finding,)


def _missing(name: str, values: list[StaticValue], ids: tuple[str, ...]) -> tuple[Finding, ...]:
    lost = [one for one, value in zip(ids, values, strict=True) if value is None]
    if not lost:
        return ()
    message = f"no value of {name!r} in {counted(len(lost), 'series')}; read as unknown"
    finding = Finding(
        code="missing-static",
        action="noted",
        message=message,
        count=len(lost),
        column=name,
        series=lost[0],
        where=lost[0],
    )
    return (finding,)
