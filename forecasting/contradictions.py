"""What the project file must not say at once, though every key by itself may be as it is."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from forecasting.addresses import is_address, without_password
from forecasting.cells import SYSTEMS, KeepBias
from forecasting.sections import LOG, BacktestSection, DataSection, ModelSection, TrainSection


def contradiction(data: DataSection, model: ModelSection, train: TrainSection, backtest: BacktestSection) -> str | None:
    """Return the first one that is found, in words that name the key and what was expected."""
    checks = (
        _bad_log(data),
        _bad_query(data),
        _repeated(data),
        _stray(data),
        _bad_transform(data),
        _bad_zone(data),
        _bad_freq(data),
        _bad_levels(model),
        _bad_keep(model, train),
        _bad_split(backtest),
    )
    return next((found for found in checks if found), None)


def _bad_keep(model: ModelSection, train: TrainSection) -> str | None:
    """Find a way to begin that is none, or that the cell has no gate for."""
    text, cell = train.keep_bias, model.cell
    try:
        begin = KeepBias.of(text)
    except ValueError as error:
        return f"train.keep_bias is {error}"
    if begin.kind != "default" and not SYSTEMS[cell].keeps:
        keeping = ", ".join(name for name, system in SYSTEMS.items() if system.keeps)
        return f"train.keep_bias is {text!r}, and no gate of model.cell = {cell!r} keeps; those of {keeping} do"
    return None


def _bad_query(data: DataSection) -> str | None:
    key, kept = ("data.history", data.history or "") if data.source == LOG else ("data.source", data.source)
    address, asked = is_address(kept), bool(data.query and data.query.strip())
    if address and not asked:
        return f"{key} is the address {without_password(kept)}; say with data.query what to select there"
    if data.query is not None and not address:
        return f"data.query asks a database, and {key} is {kept!r}; expected an address with ://"
    return None


def _bad_log(data: DataSection) -> str | None:
    """Find a key about the log where the log is not read, or one that names a stream among several series."""
    keys = {"history": data.history, "stream": data.stream, "principal": data.principal}
    given = [key for key, value in keys.items() if value is not None]
    if data.source != LOG and given:
        return f"data.{given[0]} goes with data.source = {LOG!r}, and that is {without_password(data.source)!r}"
    if data.history == LOG:
        return f"data.history is {LOG!r}; expected a file, a glob of files or an address"
    if data.stream is not None and data.series is not None:
        return "data.stream names one stream, and data.series says that there are several; leave one out"
    return None


def _named(data: DataSection) -> list[str]:
    return [data.time, *([data.series] if data.series else []), *data.columns.row, *data.static]


def _repeated(data: DataSection) -> str | None:
    named = _named(data)
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        return f"column {twice[0]!r} is named twice in [data]; a column is time, series, target or covariate, once"
    return None


def _stray(data: DataSection) -> str | None:
    """Find a name in one of the tables about columns that belongs to no column it could mean."""
    meant: dict[str, tuple[Collection[str], Sequence[str]]] = {
        "units": (data.units, _named(data)),
        "transform": (data.transform, data.columns.row),
        "categorical": (data.categorical, data.static),
    }
    for key, (given, valid) in meant.items():
        if stray := sorted(set(given) - set(valid)):
            expected = f"one of {', '.join(valid)}" if valid else "none: data.static is empty"
            return f"data.{key} names {stray[0]!r}; expected {expected}"
    if data.static and data.series is None:
        return "data.static needs data.series: a static column holds one value a series"
    return None


def _bad_transform(data: DataSection) -> str | None:
    for name, transform in zip(data.columns.row, data.transforms(), strict=True):
        if any(bound is not None and math.isnan(bound) for bound in transform.bounds):
            return f"data.transform.{name} has a bound that is no number; write inf where there is none"
        low, high = transform.limits
        if low is not None and high is not None and low >= high:
            return f"data.transform.{name} leaves values from {low:g} to {high:g}; the first must be the smaller"
    return None


def _bad_levels(model: ModelSection) -> str | None:
    twice = sorted({level for level in model.levels if model.levels.count(level) > 1})
    return f"model.levels names {twice[0]} twice; name each level once" if twice else None


def _bad_zone(data: DataSection) -> str | None:
    try:
        ZoneInfo(data.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"data.timezone is {data.timezone!r}; expected an IANA name such as UTC or Europe/Berlin"
    return None


def _bad_freq(data: DataSection) -> str | None:
    try:
        pd.tseries.frequencies.to_offset(data.freq)
    except ValueError:
        return f"data.freq is {data.freq!r}; expected a pandas frequency such as min, 15min, h, D, W-MON or MS"
    return None


def _bad_split(backtest: BacktestSection) -> str | None:
    split, fractions = backtest.split, all(part < 1 for part in backtest.split)
    if min(split) <= 0:
        return f"backtest.split is {split}; each of train, validation and test must be above 0"
    if fractions and sum(split) > 1 + 1e-9:
        return f"backtest.split is {split}; fractions must not add up to more than 1"
    if not fractions and any(part != int(part) for part in split):
        return f"backtest.split is {split}; give three fractions below 1, or three whole numbers of rows"
    return None
