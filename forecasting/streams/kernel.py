"""Tracking of many streams at once, compiled: plain loops over one stream after another.

What is computed, and why, is said in `tracking`. A missing number is NaN, so the compiler may not assume that there is
none; streams share no sum, so that what comes of one does not depend on those beside it, to the bit.

A tracker is, in this order: the head; by level COVERED and COVERED_LATELY; by target its numbers, then what was issued
for the next row (point, median, ends); by step and target the factor; by end, step and target the offset.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from forecasting.scaling import FULLEST, NEAREST

(ROWS, CELLS, CELLS_LATELY, SEEN, USUAL, INPUTS_UP, INPUTS_DOWN, INPUTS_LEFT, ERRORS_UP, ERRORS_LEFT, HEAD) = range(11)
COVERED, COVERED_LATELY, PER_LEVEL = range(3)
(LAST, COUNT, MEDIAN_ERROR, POINT_SQUARE, NAIVE_ERROR, NAIVE_SQUARE, INTERVAL, CENTRE, ISSUED) = range(9)
"""The numbers of a target; ISSUED is where point, median and ends begin."""

(SAID_ACTUAL, SAID_POINT, SAID_MEDIAN, SAID_NAIVE, SAID_INTERVAL, SAID_COVERED) = range(6)
"""The numbers of a target in a score; SAID_COVERED is where the levels begin."""

LATELY = 1 / 500
"""Share of the newest row in what is counted lately."""

FACTOR_RATE, FACTOR_MOST, FACTOR_RANGE = 1 / 20, 4.0, 64.0
OFFSET_RATE, OFFSET_OTHER, OFFSET_MOST, LEAST_KEPT = 0.03, 0.5, 4.0, 0.1

INPUT_MEMORY, INPUT_WARM_UP, INPUT_MOST, INPUT_SLACK, INPUT_LIMIT = 1_000.0, 200.0, 4.0, 0.5, 60.0
ERROR_MOST, ERROR_SLACK, ERROR_LIMIT = 5.0, 0.5, 50.0
ALARM_ROWS = 500.0

compiled: Callable[..., Any] = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def advance(  # type: ignore[no-untyped-def]
    tracker, pending, actual, arrived, point, median, scale, mean, std, log, lowest, highest, integer, shift, fixed,
    after, later, values, score, finite,
):  # fmt: skip
    """Take a row of each stream, and what a network said after it; write the five last ones."""
    streams, horizon, targets = point.shape
    several = len(mean) > 1
    learned = np.empty(targets)
    for b in range(streams):
        u = b if several else 0
        after[b] = tracker[b]
        later[b, 1:] = pending[b, :-1]
        score[b] = np.nan
        if arrived[b]:
            for c in range(targets):
                x = np.float64(actual[b, c])
                learned[c] = np.nan if not math.isfinite(x) else math.log1p(x) if log[u, c] else x
            _score(after[b], actual[b], values.shape[1] - 2, fixed, score[b])
            _errors(after[b], pending[b, 0, 0], learned, fixed)
            for h in range(horizon):
                for c in range(targets):
                    _adapt(after[b], pending[b, h, h, c], learned[c], h, c, values[b], fixed)
            _inputs(after[b], learned, std[u], values.shape[1] - 2)
        _running(after[b], values.shape[1] - 2, targets, score[b])
        finite[b] = True
        for h in range(horizon):
            for c in range(targets):
                said = point[b, h, c], median[b, h, c], scale[b, h, c]
                units = (
                    np.float64(mean[u, c]), np.float64(std[u, c]), log[u, c], np.float64(lowest[u, c]),
                    np.float64(highest[u, c]), integer[u, c],
                )  # fmt: skip
                finite[b] &= _say(after[b], said, units, shift[h, c], h, c, fixed, values[b])
                centre, width = said[1] * units[1] + units[0], said[2] * units[1]
                later[b, 0, h, c, 0] = centre if arrived[b] else np.nan
                later[b, 0, h, c, 1] = width if arrived[b] else np.nan
        _issue(after[b], values[b], finite[b] and arrived[b])


@compiled
def _target(ends, target):  # type: ignore[no-untyped-def]
    """Return where the numbers of a target begin."""
    return HEAD + ends // 2 * PER_LEVEL + target * (ISSUED + 2 + ends)


@compiled
def _score(state, actual, ends, fixed, score):  # type: ignore[no-untyped-def]
    """Compare what came with what was said of it, in the units of the data, and with the value before."""
    targets = len(actual)
    alphas = fixed[len(fixed) - ends // 2 - 1 :]
    judged = int(alphas[ends // 2])
    scored = 0
    for c in range(targets):
        x, at = np.float64(actual[c]), _target(ends, c)
        if not math.isfinite(x):
            continue
        before = state[at + LAST]
        state[at + LAST] = x
        point, median = state[at + ISSUED], state[at + ISSUED + 1]
        if math.isnan(median) or math.isnan(before):
            continue
        scored += 1
        state[at + COUNT] += 1
        state[at + MEDIAN_ERROR] += abs(x - median)
        state[at + POINT_SQUARE] += (x - point) ** 2
        state[at + NAIVE_ERROR] += abs(x - before)
        state[at + NAIVE_SQUARE] += (x - before) ** 2
        said = c * (SAID_COVERED + ends // 2)
        score[said + SAID_ACTUAL], score[said + SAID_POINT], score[said + SAID_MEDIAN] = x, point, median
        score[said + SAID_NAIVE] = before
        for level in range(ends // 2):
            low, high = state[at + ISSUED + 2 + 2 * level], state[at + ISSUED + 3 + 2 * level]
            held = 1.0 if low <= x <= high else 0.0
            score[said + SAID_COVERED + level] = held
            place = HEAD + level * PER_LEVEL
            state[place + COVERED] += held
            state[place + COVERED_LATELY] += held * LATELY
            if level == judged:
                missed = high - low + 2 / alphas[level] * (max(low - x, 0.0) + max(x - high, 0.0))
                state[at + INTERVAL] += missed
                score[said + SAID_INTERVAL] = missed
    if scored:
        state[ROWS] += 1
        state[CELLS] += scored
        state[CELLS_LATELY] += scored * LATELY
        state[CELLS_LATELY] *= 1 - LATELY
        for level in range(ends // 2):
            state[HEAD + level * PER_LEVEL + COVERED_LATELY] *= 1 - LATELY


@compiled
def _residual(pending, learned):  # type: ignore[no-untyped-def]
    """Return (what came - median) / scale; NaN where one of them is missing."""
    median, scale = np.float64(pending[0]), np.float64(pending[1])
    if not (math.isfinite(median) and math.isfinite(scale) and scale > 0):
        return np.nan
    return (learned - median) / scale


@compiled
def _adapt(state, pending, learned, h, c, values, fixed):  # type: ignore[no-untyped-def]
    """Move factor and offsets of one step and target by what came."""
    r = _residual(pending, learned)
    if math.isnan(r):
        return
    ends, horizon, targets = values.shape[0] - 2, values.shape[1], values.shape[2]
    each, cell = horizon * targets, h * targets + c
    at = _target(ends, targets) + cell
    rate = 1.0 / math.sqrt(h + 1.0)
    factor = state[at]
    for level in range(ends // 2):
        alpha = fixed[len(fixed) - ends // 2 - 1 + level]
        low, high = at + each * (1 + 2 * level), at + each * (2 + 2 * level)
        m_low, m_high = fixed[each * (1 + 2 * level) + cell], fixed[each * (2 + 2 * level) + cell]
        width = max(m_high - m_low, 0.01)
        below = (1.0 if r < factor * (m_low - state[low] * width) else 0.0) - alpha / 2
        above = (1.0 if r > factor * (m_high + state[high] * width) else 0.0) - alpha / 2
        step = OFFSET_RATE * rate
        state[low] = _held(state[low] + step * (below + OFFSET_OTHER * above), -m_low, width)
        state[high] = _held(state[high] + step * (above + OFFSET_OTHER * below), m_high, width)
    expected = fixed[cell]
    if math.isfinite(expected):
        surprise = min(abs(r) / (expected * factor), FACTOR_MOST) - 1
        state[at] = min(max(factor * (1 + FACTOR_RATE * rate * surprise), 1 / FACTOR_RANGE), FACTOR_RANGE)


@compiled
def _held(offset, multiplier, width):  # type: ignore[no-untyped-def]
    """Keep an end at a tenth of its calibrated distance at least, and within some widths of it."""
    return min(max(offset, (LEAST_KEPT - 1) * multiplier / width), OFFSET_MOST)


@compiled
def _errors(state, pending, learned, fixed):  # type: ignore[no-untyped-def]
    """Sum up by how much errors of the next step exceed what calibration expects (Page-Hinkley)."""
    total, cells = 0.0, 0
    for c in range(len(learned)):
        r = _residual(pending[c], learned[c])
        if not (math.isnan(r) or math.isnan(fixed[c])):
            total += min(abs(r) / fixed[c], ERROR_MOST)
            cells += 1
    state[ERRORS_LEFT] = max(state[ERRORS_LEFT] - 1, 0.0)
    if cells:
        state[ERRORS_UP] = max(state[ERRORS_UP] + total / cells - 1 - ERROR_SLACK, 0.0)
        if state[ERRORS_UP] > ERROR_LIMIT:
            state[ERRORS_UP], state[ERRORS_LEFT] = 0.0, ALARM_ROWS


@compiled
def _inputs(state, learned, std, ends):  # type: ignore[no-untyped-def]
    """Sum up by how much rows are farther from, or closer to, their usual level than they usually are."""
    rate = max(1 / (state[SEEN] + 1), 1 / INPUT_MEMORY)
    total, cells = 0.0, 0
    for c in range(len(learned)):
        if math.isnan(learned[c]):
            continue
        at = _target(ends, c) + CENTRE
        if math.isnan(state[at]):
            state[at] = learned[c]
        away = min(max((learned[c] - state[at]) / std[c], -INPUT_MOST), INPUT_MOST)
        state[at] += rate * away * std[c]
        total += abs(away)
        cells += 1
    state[INPUTS_LEFT] = max(state[INPUTS_LEFT] - 1, 0.0)
    if not cells:
        return
    distance = total / cells - state[USUAL]
    state[USUAL] += rate * distance
    state[SEEN] += 1
    if state[SEEN] <= INPUT_WARM_UP:
        return
    state[INPUTS_UP] = max(state[INPUTS_UP] + distance - INPUT_SLACK, 0.0)
    state[INPUTS_DOWN] = max(state[INPUTS_DOWN] - distance - INPUT_SLACK, 0.0)
    if max(state[INPUTS_UP], state[INPUTS_DOWN]) > INPUT_LIMIT:
        state[INPUTS_UP] = state[INPUTS_DOWN] = state[SEEN] = state[USUAL] = 0.0
        state[INPUTS_LEFT] = ALARM_ROWS
        for c in range(len(learned)):
            state[_target(ends, c) + CENTRE] = np.nan


@compiled
def _running(state, ends, targets, score):  # type: ignore[no-untyped-def]
    """Write the running part of a score."""
    at = targets * (SAID_COVERED + ends // 2)
    score[at], score[at + 1] = state[ROWS], (state[INPUTS_LEFT] > 0) + 2 * (state[ERRORS_LEFT] > 0)
    for level in range(ends // 2):
        place = HEAD + level * PER_LEVEL
        lately = state[CELLS_LATELY] > 0
        score[at + 2 + level] = state[place + COVERED_LATELY] / state[CELLS_LATELY] if lately else np.nan
        score[at + 2 + ends // 2 + level] = state[place + COVERED] / state[CELLS] if lately else np.nan
    for c in range(targets):
        place = _target(ends, c)
        naive = state[place + NAIVE_ERROR]
        score[at + 2 + ends + c] = 1 - state[place + MEDIAN_ERROR] / naive if naive > 0 else np.nan


@compiled
def _say(state, said, units, shift, h, c, fixed, values):  # type: ignore[no-untyped-def]
    """Write point, median and ends of one step and target in the units of the data; tell whether all are finite."""
    ends, horizon, targets = values.shape[0] - 2, values.shape[1], values.shape[2]
    each, cell = horizon * targets, h * targets + c
    at = _target(ends, targets) + cell
    point, median, scale = np.float64(said[0]), np.float64(said[1]), np.float64(said[2])
    values[0, h, c] = _data(point, np.float64(shift), units)
    values[1, h, c] = middle = _data(median, 0.0, units)
    total = np.float32(point) + np.float32(median) + values[0, h, c] + middle
    inner = outer = 0.0
    for level in range(ends // 2):
        m_low, m_high = fixed[each * (1 + 2 * level) + cell], fixed[each * (2 + 2 * level) + cell]
        width = max(m_high - m_low, 0.01)
        inner = min(inner, state[at] * (m_low - state[at + each * (1 + 2 * level)] * width))
        outer = max(outer, state[at] * (m_high + state[at + each * (2 + 2 * level)] * width))
        low, high = median + inner * scale, median + outer * scale
        total += np.float32(low) - np.float32(low) + np.float32(high) - np.float32(high)
        values[2 + 2 * level, h, c] = low = min(_data(low, 0.0, units), middle)
        values[3 + 2 * level, h, c] = high = max(_data(high, 0.0, units), middle)
        total += low - low + high - high
    return math.isfinite(total)


@compiled
def _data(z, shift, units):  # type: ignore[no-untyped-def]
    """Return a number in the units of the data, see `scaling.Units.from_z`."""
    mean, std, log, lowest, highest, integer = units
    if log:
        held = min(max(z, -NEAREST), NEAREST) * std + mean
        x = math.expm1(min(held + shift, FULLEST))
    else:
        x = z * std + mean
    x = min(max(x, lowest), highest)
    return np.float32(np.rint(x) if integer else x)


@compiled
def _issue(state, values, usable):  # type: ignore[no-untyped-def]
    """Keep what was said of the next row, in the units of the data, until it comes."""
    parts, _, targets = values.shape
    for c in range(targets):
        at = _target(parts - 2, c) + ISSUED
        for part in range(parts):
            state[at + part] = values[part, 0, c] if usable else np.nan
