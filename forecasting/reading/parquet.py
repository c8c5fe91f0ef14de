"""From a Parquet file to a table of raw cells, or a named refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from forecasting.errors import UnreadableSource
from forecasting.reading.tables import Table, digest_of, refuse_too_many

if TYPE_CHECKING:
    from pathlib import Path

    from forecasting.reading.tables import Wanted

MAGIC = b"PAR1"
_LONGEST_CAUSE = 300


def read_parquet(path: Path, wanted: Wanted) -> Table:
    """Read the wanted columns of a Parquet file; a row's number is its place in the file, from 1.

    Raises:
        UnreadableSource: it is damaged, has too many rows, or a wanted column holds lists or records.
    """
    import pyarrow as pa  # noqa: PLC0415 - a project whose data are text has no need of it
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        with ParquetFile(path, page_checksum_verification=True) as file:
            refuse_too_many(str(path), file.metadata.num_rows)
            header = tuple(file.schema_arrow.names)
            frame = _frame(path, file, wanted)
    # what it raises on a damaged file has these four bases, according to the place of the damage
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        cause = (str(error) or type(error).__name__).splitlines()[0][:_LONGEST_CAUSE]
        message = f"{path} is damaged Parquet data ({cause}); copy it again from where it came"
        raise UnreadableSource(message) from None
    return Table(str(path), digest_of(path), header, frame)


def _frame(path: Path, file: Any, wanted: Wanted) -> pd.DataFrame:
    written = {name.strip(): name for name in reversed(file.schema_arrow.names)}
    taken = {name: written[name] for name in wanted.columns if name in written}
    for name, one in taken.items():
        _refuse_nested(path, name, file.schema_arrow.field(file.schema_arrow.names.index(one)).type)
    read = file.read(columns=list(taken.values()))
    cells = {name: read.column(read.schema.names.index(one)) for name, one in taken.items()}
    index = pd.RangeIndex(1, read.num_rows + 1, name="row")
    columns = {name: _plain(one, name in wanted.as_text).set_axis(index) for name, one in cells.items()}
    return pd.DataFrame(columns, index=index)


def _refuse_nested(path: Path, name: str, kind: Any) -> None:
    from pyarrow import types  # noqa: PLC0415 - see above

    if types.is_nested(kind):
        message = (
            f"column {name!r} of {path} holds {kind} in each cell; expected one value a cell: give it flat columns"
        )
        raise UnreadableSource(message)


def _plain(cells: Any, as_text: bool) -> pd.Series:
    """Return one column as pandas knows it: text where asked for (but for times), no codes, no decimals."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    kind = cells.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        cells = cells.cast(kind)
    if pa.types.is_timestamp(kind) and kind.tz:
        cells = cells.cast(pa.timestamp(kind.unit, "UTC"))
    elif as_text and not pa.types.is_temporal(kind):
        cells = cells.cast(pa.string())
    elif pa.types.is_decimal(kind):
        cells = cells.cast(pa.float64())
    found: pd.Series = cells.to_pandas()
    return found
