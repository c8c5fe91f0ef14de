"""Read the data of a project: source -> table -> findings -> regular panel.

A source is a file (csv, csv.gz, Parquet), a glob of files or a folder of Parquet files with the same columns, or a
SELECT at a database; or what streams have observed, joined to a history that is one of these. What is no table at all
is an error of its own (`NoSuchSource`, `UnreadableSource`).

Findings and their rules. `refused` ends the reading with `DataRejected`, which carries the report with every refusal
that was found; `repaired` says what was changed; `noted` changes nothing.

    header   missing-column     refused   a column of [data] is not in the header
             duplicate-column   refused   a column of [data] is in the header twice
             spaced-header      noted     a column was found once white space around its name was taken off
             empty-table        refused   a header and no rows, or only blank ones
    cells    blank-rows         repaired  every cell of the row is empty: left out
             missing-id         refused   no id in the series column
             wrong-type         refused   a cell is neither a number nor a missing marker
                                          (empty, -, NA, N/A, NaN, null, None, <NA>; any plain or capital spelling);
                                          true and false are 1 and 0 in covariates, and no numbers in targets
             infinite           refused   a cell is infinite, or beyond the range of float32
             missing-cells      noted     cells of a target or past covariate that are missing, by column
             missing-known      noted     cells of a known covariate that are missing, by column
             out-of-bounds      repaired  cells outside the limits that data.transform sets (bounds; 0 for log1p), at
                                          most 3 or 1 % of the column: read as missing
                                refused   more of them than that
             not-integer        refused   a cell with a fraction in a column that data.transform says is integer
             missing-static     noted     series without a value in a static column: unknown there
             static-changes     refused   a static column with a second value in the same series
    times    unreadable-time    refused   no ISO 8601 time in the years 1800 to 2199
             mixed-times        refused   some times have a UTC offset and some have none
             missing-hour       refused   a local time that was skipped when clocks went forward
             ambiguous-hour     repaired  a local time that came twice when clocks went back: both copies are there and
                                          the rows of the series run forward when the first is the earlier one
                                refused   anything else
    rows     unsorted           repaired  a row is earlier than the one before in its series: sorted by time, stable
             duplicate-rows     repaired  the same series, time, targets and covariates again: kept once
             duplicate-times    refused   the same series and time with another target or covariate
             off-grid           refused   a time between the steps of data.freq; all series share the phase of most rows
             gap                repaired  no row at a step of the grid: inserted as a row of missing cells
             absurd-gap         refused   the grid would be over 20 times the rows there are, or over 50 million rows
    panel    future-rows        noted     time steps behind the last target or past covariate, with known ones alone:
                                          kept to forecast from, not learnt from
             too-short          refused   fewer than 30 time steps, or fewer than backtest.split needs
             unused-rows        noted     time steps behind the last one that backtest.split asks for
             all-missing        refused   a target or covariate without a value
             unlearnt           refused   a target without a number in the training rows
             silent-series      refused   a series without a number in any target
             constant           refused   a target with one value only
                                noted     a covariate with one value only
             constant-series    noted     a target with one value only within a series
             mostly-missing     noted     a target or covariate with more than half of its cells missing
             short-series       noted     a series of a single row
             implausible        repaired  cells of a target or past covariate outside the limits learned on the
                                          training rows (see `plausible`), at most 3 or 1 % of the column in that
                                          series: read as missing
             unit-change        refused   more of them than that

Rows to forecast from (`read_history`) are not judged as a panel. Steps of a day and longer follow local days: a local
midnight that clocks skip or repeat is no finding there.

files.py       paths and globs to a table        timestamps.py  time zones
texts.py       csv to a table                    statics.py     one value a series
parquet.py     Parquet to a table                limits.py      bounds and whole numbers
database.py    SELECT to a table                 grid.py        order, repeats, gaps
tables.py      what a table is                   quality.py     what cannot be learnt from
observed.py    rows of streams, joined to a history
checking.py    header, ids, numbers              panels.py      all of it, in order
"""

from forecasting.reading.observed import Observed
from forecasting.reading.panels import panel_from_frame, panel_from_table, read_history, read_joined, read_panel

__all__ = ["Observed", "panel_from_frame", "panel_from_table", "read_history", "read_joined", "read_panel"]
