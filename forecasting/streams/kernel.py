"""Tracking of many streams at once, compiled: plain loops over one stream after another.

What is computed, and why, is said in `tracking`. A missing number is NaN, so the compiler may not assume that there is
none; streams share no sum, so that what comes of one does not depend on those beside it, to the bit.

A tracker is, in this order: the head; COVERED and COVERED_LATELY of each level; of each target its numbers, then point,
median and ends issued for the next row; of each step and target the factor, then the offset of each end. `fixed` (see
`expecting`) is of each step and target E|r|, how quickly its factor moves, how far at most, and the multiplier of each
end; then what each level may miss, how quickly each step moves, and which level is judged. All of it stands in one
file, because a change in another one leaves what was compiled and kept as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from forecasting.scaling import FULLEST, NEAREST

ROWS, CELLS, CELLS_LATELY, INPUTS_LEFT, ERRORS_LEFT, HEAD = range(6)
COVERED, COVERED_LATELY, PER_LEVEL = range(3)
(LAST, COUNT, MEDIAN_ERROR, POINT_SQUARE, NAIVE_ERROR, NAIVE_SQUARE, INTERVAL) = range(7)
CENTRE, USUAL, SMOOTH, VARIANCE, SEEN, FARTHER, CLOSER, WORSE, ISSUED = range(7, 16)

SAID_ACTUAL, SAID_POINT, SAID_MEDIAN, SAID_NAIVE, SAID_INTERVAL, SAID_COVERED = range(6)
"""The numbers of a target in a score; the levels begin at the last one. Behind the targets stands what is running."""

LATELY = 1 / 500
FACTOR_RANGE = 64.0
OFFSET_RATE, OFFSET_OTHER, OFFSET_MOST, LEAST_KEPT, NARROWEST = 0.02, 0.6, 4.0, 0.1, 0.01
ERROR_MOST, ERROR_SLACK, ERROR_LIMIT = 5.0, 0.5, 3.2
MEMORY, WARM_UP, DEVIATION_MOST, INPUT_SLACK, INPUT_LIMIT = 2_000.0, 200.0, 3.0, 0.4, 80.0
SMOOTHING, VARIANCE_MEMORY, VARIANCE_BEFORE, VARIANCE_MOST, CAUTION, DOUBT = 0.01, 3_000.0, 3.5, 9.0, 17.0, 0.7
ALARM_ROWS = 500.0
NOT_YET, NO = np.float32(np.nan), np.nan

compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def advance(
    tracker, pending, actual, arrived, point, median, scale, mean, std, log, lowest, highest, integer, plain, shift,
    fixed, after, later, values, score, finite,
):  # fmt: skip
    """Take a row of each stream, and what a network said after it; write the last five, and count the finite."""
    streams, horizon, targets = point.shape
    good_ones = 0
    levels = values.shape[1] // 2 - 1
    alphas = fixed[len(fixed) - 1 - horizon - levels : len(fixed) - 1 - horizon]
    rates, judged = fixed[len(fixed) - 1 - horizon : len(fixed) - 1], int(fixed[len(fixed) - 1])
    learned = np.empty(targets)
    for b in range(streams):
        row, told, said, later_said = after[b], score[b], values[b], later[b]
        u = b if len(mean) > 1 else 0
        carry(tracker[b], row, pending[b], later_said, told)
        if arrived[b]:
            learn(actual[b], log[u if len(log) > 1 else 0], learned)
            score_last(row, actual[b], alphas, judged, told)
            watch_errors(row, pending[b, 0, 0], learned, fixed, levels)
            adapt_all(row, pending[b], learned, fixed, alphas, rates)
            watch_inputs(row, learned, std[u], levels)
        running(row, levels, targets, told)
        finite[b] = True
        for h in range(horizon):
            for c in range(targets):
                x = np.float64(point[b, h, c]), np.float64(median[b, h, c]), np.float64(scale[b, h, c])
                m, s = np.float64(mean[u, c]), np.float64(std[u, c])
                at, cell = offsets_at(levels, targets, h * targets + c), (h * targets + c) * (3 + 2 * levels)
                if plain:
                    good = say(row, at, fixed, cell, x, m, s, said, h, c)
                else:
                    bounds = log[u, c], np.float64(lowest[u, c]), np.float64(highest[u, c]), integer[u, c]
                    good = say_within(row, at, fixed, cell, x, m, s, np.float64(shift[h, c]), bounds, said, h, c)
                finite[b] &= good
                later_said[0, h, c, 0] = x[1] * s + m if arrived[b] else NO
                later_said[0, h, c, 1] = x[2] * s if arrived[b] else NO
        issue(row, said, finite[b] and arrived[b])
        good_ones += finite[b]
    return good_ones


@compiled
def carry(tracker, row, pending, later, told):
    """Begin with what there was: the tracker, and forecasts a row older. Loops compile quicker than slices."""
    horizon, targets = later.shape[1], later.shape[2]
    for i in range(len(row)):
        row[i] = tracker[i]
    for i in range(len(told)):
        told[i] = NOT_YET
    for j in range(1, len(later)):
        for h in range(horizon):
            for c in range(targets):
                later[j, h, c, 0], later[j, h, c, 1] = pending[j - 1, h, c, 0], pending[j - 1, h, c, 1]


@compiled
def target_at(levels, target):
    """Return where the numbers of a target begin."""
    return HEAD + levels * PER_LEVEL + target * (ISSUED + 2 + 2 * levels)


@compiled
def offsets_at(levels, targets, cell):
    """Return where the factor of a step and target stands, and behind it the offsets."""
    return target_at(levels, targets) + cell * (1 + 2 * levels)


@compiled
def learn(actual, log, learned):
    """Write what came in the units it is learnt in; whatever is not a number is missing."""
    for c in range(len(actual)):
        x = np.float64(actual[c])
        learned[c] = (math.log1p(x) if log[c] else x) if math.isfinite(x) else NO


@compiled
def residual(pending, c, learned):
    """Return (what came - median) / scale; NaN where one of them is missing."""
    median, scale = np.float64(pending[c, 0]), np.float64(pending[c, 1])
    good = math.isfinite(median) and math.isfinite(scale) and scale > 0
    return (learned[c] - median) / scale if good else NO


@compiled
def score_last(row, actual, alphas, judged, told):
    """Compare what came with what was said of it, in the units of the data, and with the value before."""
    levels, scored = len(alphas), 0
    for c in range(len(actual)):
        x, at, told_at = np.float64(actual[c]), target_at(levels, c), c * (SAID_COVERED + levels)
        if not math.isfinite(x):
            continue
        before, point, median = row[at + LAST], row[at + ISSUED], row[at + ISSUED + 1]
        row[at + LAST] = x
        if math.isnan(median) or math.isnan(before):
            continue
        scored += 1
        row[at + COUNT] += 1
        row[at + MEDIAN_ERROR] += abs(x - median)
        row[at + POINT_SQUARE] += (x - point) ** 2
        row[at + NAIVE_ERROR] += abs(x - before)
        row[at + NAIVE_SQUARE] += (x - before) ** 2
        told[told_at + SAID_ACTUAL], told[told_at + SAID_POINT] = x, point
        told[told_at + SAID_MEDIAN], told[told_at + SAID_NAIVE] = median, before
        for level in range(levels):
            low, high = row[at + ISSUED + 2 + 2 * level], row[at + ISSUED + 3 + 2 * level]
            held = 1.0 if low <= x <= high else 0.0
            told[told_at + SAID_COVERED + level] = held
            row[HEAD + level * PER_LEVEL + COVERED] += held
            row[HEAD + level * PER_LEVEL + COVERED_LATELY] += held * LATELY
            if level == judged:
                missed = high - low + 2 / alphas[level] * (max(low - x, 0.0) + max(x - high, 0.0))
                row[at + INTERVAL] += missed
                told[told_at + SAID_INTERVAL] = missed
    if scored:
        row[ROWS] += 1
        row[CELLS] += scored
        row[CELLS_LATELY] = (row[CELLS_LATELY] + scored * LATELY) * (1 - LATELY)
        for level in range(levels):
            row[HEAD + level * PER_LEVEL + COVERED_LATELY] *= 1 - LATELY


@compiled
def adapt_all(row, pending, learned, fixed, alphas, rates):
    """Move factors and offsets: those of step h by the forecast issued h rows ago."""
    levels, targets = len(alphas), len(learned)
    for h in range(len(rates)):
        for c in range(targets):
            r = residual(pending[h, h], c, learned)
            if not math.isnan(r):
                cell = h * targets + c
                at = offsets_at(levels, targets, cell)
                adapt(row, at, fixed, cell * (3 + 2 * levels), alphas, rates[h], r)


@compiled
def adapt(row, at, fixed, cell, alphas, rate, r):
    """Move the factor of a step and target, and the offsets of its ends, by a residual."""
    factor, step = row[at], OFFSET_RATE * rate
    for level in range(len(alphas)):
        low, high = 1 + 2 * level, 2 + 2 * level
        m_low, m_high, half = fixed[cell + 2 + low], fixed[cell + 2 + high], alphas[level] / 2
        width = max(m_high - m_low, NARROWEST)
        below = (1.0 if r < factor * (m_low - row[at + low] * width) else 0.0) - half
        above = (1.0 if r > factor * (m_high + row[at + high] * width) else 0.0) - half
        row[at + low] = held(row[at + low] + step * (below + OFFSET_OTHER * above), -m_low / width)
        row[at + high] = held(row[at + high] + step * (above + OFFSET_OTHER * below), m_high / width)
    surprise = min(abs(r) / (fixed[cell] * factor), fixed[cell + 2]) - 1
    row[at] = min(max(factor * (1 + fixed[cell + 1] * rate * surprise), 1 / FACTOR_RANGE), FACTOR_RANGE)


@compiled
def held(offset, calibrated):
    """Keep an end at a tenth of its calibrated distance at least, and within some widths of it."""
    return min(max(offset, (LEAST_KEPT - 1) * calibrated), OFFSET_MOST)


@compiled
def watch_errors(row, pending, learned, fixed, levels):
    """Sum up by how much the errors of the next step exceed what calibration expects."""
    row[ERRORS_LEFT] = max(row[ERRORS_LEFT] - 1, 0.0)
    for c in range(len(learned)):
        r, at = residual(pending, c, learned), target_at(levels, c)
        if math.isnan(r) or levels == 0:
            continue
        expected, rate = fixed[c * (3 + 2 * levels)], fixed[c * (3 + 2 * levels) + 1]
        excess = min(abs(r) / expected, ERROR_MOST) - 1
        row[at + WORSE] = max(row[at + WORSE] + excess - ERROR_SLACK, 0.0)
        if row[at + WORSE] * rate > ERROR_LIMIT:
            row[at + WORSE], row[ERRORS_LEFT] = 0.0, ALARM_ROWS


@compiled
def watch_inputs(row, learned, std, levels):
    """Sum up by how much each column is farther from its usual level, or closer to it, than it usually is."""
    row[INPUTS_LEFT] = max(row[INPUTS_LEFT] - 1, 0.0)
    for c in range(len(learned)):
        if not math.isnan(learned[c]) and watch_input(row, target_at(levels, c), learned[c], std[c]):
            row[INPUTS_LEFT] = ALARM_ROWS


@compiled
def watch_input(row, at, x, std):
    """Do it of one column, and tell whether that is an alarm; after one its level and distance are learnt anew."""
    excess = unusual(row, at, x, std)
    limit = max(INPUT_LIMIT, CAUTION * row[at + VARIANCE] * (2 - SMOOTHING) / SMOOTHING / (2 * INPUT_SLACK))
    if max(row[at + FARTHER], row[at + CLOSER]) < DOUBT * limit:  # a shift must not pass for noise
        square = min(row[at + SMOOTH] ** 2, VARIANCE_MOST * row[at + VARIANCE])
        row[at + VARIANCE] += max(1 / VARIANCE_MEMORY, 1 / (row[at + SEEN] + 499)) * (square - row[at + VARIANCE])
    if row[at + SEEN] <= WARM_UP:
        return False
    slack = INPUT_SLACK * min(row[at + USUAL], 1.0)  # closer than 0 cannot be
    row[at + FARTHER] = max(row[at + FARTHER] + excess - INPUT_SLACK, 0.0)
    row[at + CLOSER] = max(row[at + CLOSER] - excess - slack, 0.0)
    if max(row[at + FARTHER], row[at + CLOSER]) <= limit:
        return False
    row[at + USUAL] = row[at + SMOOTH] = row[at + SEEN] = row[at + FARTHER] = row[at + CLOSER] = 0.0
    return True


@compiled
def unusual(row, at, x, std):
    """Return how much farther from its usual level a value is than it usually is, in z units, and learn both."""
    seen = row[at + SEEN]
    rate = max(1 / (seen + 1), 1 / MEMORY)
    if seen == 0:
        row[at + CENTRE], row[at + VARIANCE] = x, VARIANCE_BEFORE * SMOOTHING / (2 - SMOOTHING)
    farther = (x - row[at + CENTRE]) / std
    away = min(max(farther, -DEVIATION_MOST), DEVIATION_MOST)
    row[at + CENTRE] += rate * std * (away if seen >= WARM_UP else farther)
    excess = abs(away) - row[at + USUAL]
    row[at + USUAL] += rate * excess
    row[at + SMOOTH] += SMOOTHING * (excess - row[at + SMOOTH])
    row[at + SEEN] = seen + 1
    return excess


@compiled
def running(row, levels, targets, told):
    """Write the running part of a score."""
    at, scored = targets * (SAID_COVERED + levels), row[ROWS] > 0
    told[at], told[at + 1] = row[ROWS], (row[INPUTS_LEFT] > 0) + 2 * (row[ERRORS_LEFT] > 0)
    for level in range(levels):
        place = HEAD + level * PER_LEVEL
        told[at + 2 + level] = row[place + COVERED_LATELY] / row[CELLS_LATELY] if scored else NO
        told[at + 2 + levels + level] = row[place + COVERED] / row[CELLS] if scored else NO
    for c in range(targets):
        place = target_at(levels, c)
        naive = row[place + NAIVE_ERROR]
        told[at + 2 + 2 * levels + c] = 1 - row[place + MEDIAN_ERROR] / naive if naive > 0 else NO


@compiled
def say(row, at, fixed, cell, x, mean, std, said, h, c):
    """Write point, median and ends of a step and target where units are plain; tell whether they are finite."""
    point, median, scale = x
    said[0, h, c], said[1, h, c] = point * std + mean, median * std + mean
    inner = outer = 0.0
    for level in range(len(said) // 2 - 1):
        inner, outer = widened(row, at, fixed, cell, level, inner, outer)
        said[2 + 2 * level, h, c] = (median + inner * scale) * std + mean
        said[3 + 2 * level, h, c] = (median + outer * scale) * std + mean
    return is_finite(said, h, c) and is_finite_z(point, median, scale, inner, outer)


@compiled
def say_within(row, at, fixed, cell, x, mean, std, shift, bounds, said, h, c):
    """The same with transforms and bounds: see `scaling.Units.from_z`; the ends may not pass the median."""
    point, median, scale = x
    said[0, h, c] = within(point, mean, std, shift, bounds)
    said[1, h, c] = middle = within(median, mean, std, 0.0, bounds)
    inner = outer = 0.0
    for level in range(len(said) // 2 - 1):
        inner, outer = widened(row, at, fixed, cell, level, inner, outer)
        said[2 + 2 * level, h, c] = min(within(median + inner * scale, mean, std, 0.0, bounds), middle)
        said[3 + 2 * level, h, c] = max(within(median + outer * scale, mean, std, 0.0, bounds), middle)
    return is_finite(said, h, c) and is_finite_z(point, median, scale, inner, outer)


@compiled
def widened(row, at, fixed, cell, level, inner, outer):
    """Return how many scales the ends of a level lie from the median; not inside those of the level before."""
    m_low, m_high = fixed[cell + 3 + 2 * level], fixed[cell + 4 + 2 * level]
    width, factor = max(m_high - m_low, NARROWEST), row[at]
    low, high = factor * (m_low - row[at + 1 + 2 * level] * width), factor * (m_high + row[at + 2 + 2 * level] * width)
    return min(low, inner), max(high, outer)


@compiled
def within(z, mean, std, shift, bounds):
    """Return a number in the units of the data, inside its bounds and whole where the column is."""
    log, lowest, highest, integer = bounds
    x = min(max(z, -NEAREST), NEAREST) * std + mean if log else z * std + mean
    x = math.expm1(min(x + shift, FULLEST)) if log else x
    x = min(max(x, lowest), highest)
    return np.float32(np.rint(x) if integer else x)


@compiled
def is_finite(said, h, c):
    """Tell whether all that is said of a step and target is finite, as 32-bit floats."""
    nothing = np.float32(0)
    for part in range(len(said)):
        nothing += said[part, h, c] - said[part, h, c]
    return nothing == 0


@compiled
def is_finite_z(point, median, scale, inner, outer):
    """Tell the same before bounds, which would make infinity look like an answer; the widest ends tell of all."""
    low, high = np.float32(median + inner * scale), np.float32(median + outer * scale)
    total = np.float32(point) - np.float32(point) + (np.float32(median) - np.float32(median))
    return total + (low - low) + (high - high) == 0


@compiled
def issue(row, said, usable):
    """Keep what was said of the next row, in the units of the data, until it comes."""
    parts, targets = said.shape[0], said.shape[2]
    for c in range(targets):
        at = target_at(parts // 2 - 1, c) + ISSUED
        for part in range(parts):
            row[at + part] = said[part, 0, c] if usable else NO


@compiled
def scale(values, mean, std, lower, upper, farthest, z, actual, screened, far):
    """Scale rows of plain columns as `scaling.Units.to_z` does; tell which, and count how many, have odd values.

    Odd is implausible, which is then missing (`screened`), or absurd (`far`).
    """
    targets, odd = actual.shape[1], 0
    for b in range(len(values)):
        u = b if len(mean) > 1 else 0
        screened[b] = far[b] = False
        for c in range(values.shape[1]):
            x = values[b, c]
            if x < lower[u, c] or x > upper[u, c]:
                screened[b] = True
                x = NOT_YET
            z[b, c] = (x - mean[u, c]) / std[u, c]
            far[b] |= abs(z[b, c]) > farthest
            if c < targets:
                actual[b, c] = x
        odd += screened[b] | far[b]
    return odd


@compiled
def onward(before, times, step, latest, lookback, every, after):
    """Write where streams are after one more row each; count those due for a snapshot, and short ones; or return -1, 0.

    -1: a row is not the next of its stream. Short is shorter than the model looks back. `before` and `after` hold id,
    epoch, seq and time of each.
    """
    due = short = 0
    for b in range(len(times)):
        seq, time = before[b, 2] + 1, times[b]
        if seq < 1 or time - before[b, 3] != step or time >= latest:
            return -1, 0
        after[b, 0], after[b, 1], after[b, 2], after[b, 3] = before[b, 0], before[b, 1], seq, time
        due += (seq + before[b, 0]) % every == 0
        short += seq + 1 < lookback
    return due, short
