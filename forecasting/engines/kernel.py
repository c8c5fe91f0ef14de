"""One row of many streams through a network, compiled: plain loops, since its sums are too small to be worth a call.

The equations of `network`, `filling`, `linear`, `members` and `cells`. `packing` lays out what goes in: `weights` is
one flat array; `plan` holds the sizes of the network, and where things begin in `weights` and in a state (`At`). They
are few, because an array costs 60 ns on its way in.

What is said of a stream does not depend on those beside it, to the bit. A number is the same chain of sums however many
streams are computed; a block only says how many of them a row of weights is used for while it is near. So a product may
be contracted with a sum, and sums regrouped only inside `dot`, which is of one stream. Nothing may assume that there
are no NaNs: missing cells are.

It is one long file because numba dates what it keeps by the file of the function that is called: code that stood in
another one, or a number taken from there, could change and the old code would still run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import njit

TOGETHER = 16
"""Cells that take a row side by side: their gates stay in the nearest cache."""

F = np.float32
ZERO, HALF, ONE, TWO, STRETCH = F(0), F(0.5), F(1), F(2), F(3)  # at last, network.LARGEST_STRETCH
LSTM, GRU, RNN = range(3)
VIEWS, OUTPUTS = 4, 3  # as in `members`

At = IntEnum(
    "At",
    # sizes; OWN inputs has each fold for itself, COMMON all share. An input weighs on WIDTH columns of the GATES,
    # a hidden unit on as many from PAST. A head says SAID numbers, zeros behind them included, a step ahead STEP.
    "SEEN TARGETS LAGS CALENDAR KNOWN STATICS CATEGORIES HORIZON CELL HIDDEN LAYERS FOLDS MEMBERS "
    "OWN COMMON WIDTH GATES PAST SAID STEP "
    # places in a state, behind the changes, and what a member carries; in the weights; in a member; in the plan
    "LEVELS CELLS CARRIED WAITS LONGEST BIAS AHEAD SHARE SPREAD NOISE MEMBER SHARED ABOVE HEAD CONTEXT STRIDE SPANS",
    start=0,
)
"""Where each entry stands in `plan`; behind them codes, width and place of each category."""
REST = len(At)


OTHER = "rows or states are of another network, or not of the same streams; each stream needs one of each"
NO_CODE = "a category has a code that the network has no embedding for; encode it with the statics of its bundle"


class Room(NamedTuple):
    """What a block of streams is computed in; a row is a stream or, from `own` on, a fold of one."""

    views: Any
    recent: Any
    common: Any
    shared: Any
    pairs: Any
    mixed: Any
    own: Any
    gates: Any
    before: Any
    hidden: Any
    raw: Any
    context: Any
    bent: Any
    step: Any


def compiled(function: Callable[..., Any], flags: Collection[str] = ("contract",), **options: Any) -> Any:
    """Compile at the first call; a division by 0 gives no error, which would stand in the way of vectors."""
    return njit(fastmath=set(flags), error_model="numpy", **options)(function)


inlined = partial(compiled, inline="always")
"""For what is called in one place: compiled as a part of it, in less time and to faster code."""


def kept(function: Callable[..., Any]) -> Any:
    """Compile at the first call, without holding the interpreter, and keep what came of it for the next process.

    Beside this file, else in the user's cache; where neither can be written, each process compiles for itself.
    """
    try:
        return compiled(function, nogil=True, cache=True)
    except RuntimeError:
        return compiled(function, nogil=True)


@compiled
def exp(x):
    """Return e to the x, relative error below 1e-7; x is held within -87 and 88.3. Source: Cephes, expf."""
    x = F(-87) if x < F(-87) else x  # noqa: FURB136 - in this order NaN stays
    x = F(88.3) if x > F(88.3) else x  # noqa: FURB136
    shifted = x * F(1.44269504) + F(12582912)  # 1.5 * 2**23: the rounded number stands in the lowest bits
    n = shifted - F(12582912)
    r = x - n * F(0.693359375) - n * F(-2.12194440e-4)
    p = F(1.9875691500e-4) * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    power = (F(shifted).view(np.int32) + np.int32(127)) << np.int32(23)
    return (p * r * r + r + ONE) * np.int32(power).view(np.float32)


@compiled
def sigmoid(x):
    """Return 1 / (1 + e to the -x)."""
    return ONE / (ONE + exp(-x))


@compiled
def tanh(x):
    """Return the hyperbolic tangent, relative error below 3e-7. Source: Cephes, tanhf."""
    s = x * x
    p = F(-5.70498872745e-3) * s + F(2.06390887954e-2)
    p = p * s + F(-5.37397155531e-2)
    p = p * s + F(1.33314422036e-1)
    p = p * s + F(-3.33332819422e-1)
    large = ONE - TWO / (exp(TWO * abs(x)) + ONE)
    return p * s * x + x if abs(x) < F(0.625) else (large if x > ZERO else -large)


@partial(compiled, flags=("contract", "reassoc"))
def dot(one, other):
    """Return a sum of products, in whatever order vectors like."""
    total = ZERO
    for i in range(len(one)):
        total += one[i] * other[i]
    return total


@compiled
def weigh(out, first, rows, inputs, count, weights, place, width):
    """Add to columns [first, first + width) of each row its inputs times their rows of weights, in their order."""
    four = count - count % 4
    for i in range(0, four, 4):
        at = place + i * width
        a, b = weights[at : at + width], weights[at + width : at + 2 * width]
        c, d = weights[at + 2 * width : at + 3 * width], weights[at + 3 * width : at + 4 * width]
        for row in range(rows):
            sums, x = out[row, first : first + width], inputs[row, i : i + 4]
            p, q, r, s = x[0], x[1], x[2], x[3]
            for j in range(width):
                sums[j] = sums[j] + p * a[j] + q * b[j] + r * c[j] + s * d[j]
    for i in range(four, count):
        a = weights[place + i * width : place + (i + 1) * width]
        for row in range(rows):
            sums, p = out[row, first : first + width], inputs[row, i]
            for j in range(width):
                sums[j] = sums[j] + p * a[j]


@compiled
def copy(into, start, source):
    """Write one array into another."""
    for i in range(len(source)):
        into[start + i] = source[i]


@compiled
def add(into, source):
    """Add one array to another."""
    for i in range(len(source)):
        into[i] += source[i]


@compiled
def clear(into):
    """Write zeros."""
    for i in range(len(into)):
        into[i] = ZERO


@inlined
def fill(weights, plan, values, state, view, recent):
    """Take the cells of a row into the past of a stream: see `filling.fill`. Changes lie column by column."""
    seen, lags, longest = plan[At.SEEN], plan[At.LAGS], plan[At.LONGEST]
    levels = state[plan[At.LEVELS] : plan[At.LEVELS] + 3 * seen]
    for c in range(seen):
        last, ever, waited = levels[c], levels[seen + c], levels[2 * seen + c]
        there = values[c] == values[c]
        level = values[c] if there else last
        change = level - last if ever != ZERO else ZERO
        wait = ZERO if there else (waited + ONE if waited >= ZERO and waited < longest else F(longest))
        levels[c], levels[seen + c], levels[2 * seen + c] = level, ONE if there else ever, wait
        view[c], view[seen + c], view[2 * seen + c] = level, change, ONE if there else ZERO
        view[3 * seen + c] = weights[plan[At.WAITS] + int(wait)]
        past, lately = state[c * (lags - 1) : (c + 1) * (lags - 1)], recent[c * lags : (c + 1) * lags]
        for k in range(lags - 1):
            lately[k] = past[k]
        lately[lags - 1] = change
        for k in range(lags - 1):
            past[k] = lately[k + 1]


@compiled
def pair(known, pairs):
    """Lay covariates known in advance beside their masks, 0 where they are missing."""
    for k in range(len(known)):
        there = known[k] == known[k]
        pairs[k], pairs[len(known) + k] = known[k] if there else ZERO, ONE if there else ZERO


@inlined
def tell(plan, calendar, known, numbers, view, recent, common, own):
    """Lay out what a stream's cells see, but for its categories, and what its road sees beside the changes."""
    seen, folds = plan[At.SEEN], plan[At.FOLDS]
    each, at, place = plan[At.OWN] // VIEWS, 0, seen * plan[At.LAGS]
    for part in range(VIEWS):
        for fold in range(folds):
            for c in range(each):
                own[fold, part * each + c] = view[part * seen + fold + c]
        for c in range(each * folds, seen):
            common[at] = view[part * seen + c]
            at += 1
    for c in range(seen):
        recent[place + c] = view[c]
    place += seen
    for k in range(len(calendar)):
        common[at + k] = recent[place + k] = calendar[k]
    at, place = at + len(calendar), place + len(calendar)
    pair(known, common[at : at + 2 * len(known)])
    for k in range(len(known)):
        recent[place + k] = common[at + k]
    at += 2 * len(known)
    for k in range(plan[At.STATICS]):
        common[at + k] = numbers[k]


@inlined
def embed(weights, plan, member, codes, common):
    """Lay the embeddings of a stream's categories behind all else that its folds share."""
    at = plan[At.COMMON]
    for i in range(plan[At.CATEGORIES] - 1, -1, -1):
        width = plan[REST + 3 * i + 1]
        at -= width
        place = member + plan[REST + 3 * i + 2] + codes[i] * width
        for k in range(width):
            common[at + k] = weights[place + k]


@compiled
def lstm(gates, hidden, memory):
    """Take the sums of write, keep, content and read into hidden units and memory."""
    size = len(hidden)
    write, keep, content, read = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
    for i in range(size):
        memory[i] = sigmoid(keep[i]) * memory[i] + sigmoid(write[i]) * tanh(content[i])
        hidden[i] = sigmoid(read[i]) * tanh(memory[i])


@compiled
def gru(gates, hidden):
    """Take the sums of content (of inputs), reset, keep and content (of hidden units) into hidden units."""
    size = len(hidden)
    given, reset, keep, past = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
    for i in range(size):
        content, kept = tanh(given[i] + sigmoid(reset[i]) * past[i]), sigmoid(keep[i])
        hidden[i] = (ONE - kept) * content + kept * hidden[i]


@compiled
def rnn(gates, hidden):
    """Take the sums into hidden units."""
    for i in range(len(hidden)):
        hidden[i] = tanh(gates[i])


@inlined
def layer(weights, plan, place, inputs, count, room, states, cells, memories):
    """Let a layer take its inputs, on top of what `room.gates` holds, into the state and `room.hidden`."""
    size, folds, width = plan[At.HIDDEN], plan[At.FOLDS], plan[At.WIDTH]
    rows = len(states) * folds
    for stream in range(len(states)):
        for fold in range(folds):
            at = cells + fold * size
            copy(room.before[stream * folds + fold], 0, states[stream, at : at + size])
    weigh(room.gates, 0, rows, inputs, count, weights, place, width)
    weigh(room.gates, plan[At.PAST], rows, room.before, size, weights, place + count * width, width)
    for stream in range(len(states)):
        for fold in range(folds):
            row, at = stream * folds + fold, fold * size
            hidden = states[stream, cells + at : cells + at + size]
            if plan[At.CELL] == LSTM:
                lstm(room.gates[row], hidden, states[stream, memories + at : memories + at + size])
            elif plan[At.CELL] == GRU:
                gru(room.gates[row], hidden)
            else:
                rnn(room.gates[row], hidden)
            copy(room.hidden[row], 0, hidden)


@inlined
def take(weights, plan, number, codes, room, states):
    """Let the cells of a member take a row of a block of streams."""
    size, folds, width = plan[At.HIDDEN], plan[At.FOLDS], plan[At.WIDTH]
    member, layers = plan[At.MEMBER] + number * plan[At.STRIDE], plan[At.LAYERS]
    across = folds * size
    for stream in range(len(states)):
        embed(weights, plan, member, codes[stream], room.common[stream])
        clear(room.shared[stream])
    weigh(room.shared, 0, len(states), room.common, plan[At.COMMON], weights, member + plan[At.SHARED], width)
    place, inputs, count = member, room.own, plan[At.OWN]
    for depth in range(layers):
        bias = place + (count + size) * width
        for stream in range(len(states)):
            for fold in range(folds):
                gates, start = room.gates[stream * folds + fold], bias + fold * plan[At.GATES]
                copy(gates, 0, weights[start : start + plan[At.GATES]])
                if depth == 0:
                    add(gates, room.shared[stream])
        cells = plan[At.CELLS] + number * plan[At.CARRIED] + depth * across
        layer(weights, plan, place, inputs, count, room, states, cells, cells + layers * across)
        upper = member + plan[At.ABOVE] + depth * (2 * size * width + folds * plan[At.GATES])
        place, inputs, count = upper, room.hidden, size


@compiled
def bend(context, mixed, bent):
    """Take what the hidden units and a step's covariates add up to."""
    for i in range(len(bent)):
        bent[i] = tanh(context[i] + mixed[i])


@inlined
def look_ahead(weights, plan, place, known, room, streams):
    """Add to what the head says of each step what the covariates known of that step change."""
    size, folds, step, horizon = plan[At.HIDDEN], plan[At.FOLDS], plan[At.STEP], plan[At.HORIZON]
    width, rows = plan[At.KNOWN], streams * plan[At.FOLDS]
    each, mix = plan[At.TARGETS] // folds, place + size * size + size
    for row in range(rows):
        copy(room.context[row], 0, weights[mix - size : mix])
    weigh(room.context, 0, rows, room.hidden, size, weights, place, size)
    for ahead in range(horizon):
        for stream in range(streams):
            pair(known[stream, ahead * width : (ahead + 1) * width], room.pairs[stream])
            clear(room.mixed[stream])
        weigh(room.mixed, 0, streams, room.pairs, 2 * width, weights, mix, size)
        for stream in range(streams):
            for fold in range(folds):
                row = stream * folds + fold
                bend(room.context[row], room.mixed[stream], room.bent[row])
                clear(room.step[row])
        weigh(room.step, 0, rows, room.bent, size, weights, mix + 2 * width * size, step)
        for row in range(rows):
            for output in range(OUTPUTS):
                for c in range(each):
                    room.raw[row, (output * horizon + ahead) * each + c] += room.step[row, output * each + c]


@inlined
def trust(weights, plan, raw, first, each, said):
    """Add a fold's corrections in their units, each with its spread; the scale's stay within their limits."""
    horizon, targets, at = plan[At.HORIZON], plan[At.TARGETS], 0
    for output in range(OUTPUTS):
        for ahead in range(horizon):
            spread = plan[At.SPREAD] + (output * horizon + ahead) * targets + first
            for c in range(each):
                value = raw[at]
                if output == OUTPUTS - 1:
                    value = STRETCH if value > STRETCH else value  # noqa: FURB136 - so that NaN stays
                    value = -STRETCH if value < -STRETCH else value  # noqa: FURB136
                said[output, ahead, first + c] += weights[spread + c] * value
                at += 1


@inlined
def correct(weights, plan, number, known, room, said):
    """Add a member's corrections, in their units, to what is said of a block of streams."""
    size, folds, width = plan[At.HIDDEN], plan[At.FOLDS], plan[At.SAID]
    member, streams, targets = plan[At.MEMBER] + number * plan[At.STRIDE], said.shape[1], plan[At.TARGETS]
    head, each = member + plan[At.HEAD], targets // folds
    for row in range(streams * folds):
        copy(room.raw[row], 0, weights[head + size * width : head + (size + 1) * width])
    weigh(room.raw, 0, streams * folds, room.hidden, size, weights, head, width)
    if plan[At.KNOWN]:
        look_ahead(weights, plan, member + plan[At.CONTEXT], known, room, streams)
    for stream in range(streams):
        for fold in range(folds):
            trust(weights, plan, room.raw[stream * folds + fold], fold * each, each, said[:, stream])


@inlined
def lead(weights, plan, out, known, recent):
    """Return what the linear road adds to one output; `known` are the covariates of its step."""
    spans, added = plan[At.SPANS], weights[plan[At.BIAS] + out]
    for span in range(plan[spans + out], plan[spans + out + 1], 3):
        start, length, place = plan[span], plan[span + 1], plan[span + 2]
        added += dot(recent[start : start + length], weights[place : place + length])
    for k in range(len(known)):
        value = known[k] if known[k] == known[k] else ZERO
        added += value * weights[plan[At.AHEAD] + out * len(known) + k]
    return added


@inlined
def finish(weights, plan, known, room, said):
    """Add anchor and linear road to what the members say of a block of streams; turn the log scale into the scale."""
    horizon, targets, width = plan[At.HORIZON], plan[At.TARGETS], plan[At.KNOWN]
    share, noise = plan[At.SHARE], plan[At.NOISE]
    for ahead in range(horizon):
        for c in range(targets):
            out = ahead * targets + c
            for stream in range(said.shape[1]):  # innermost: the weights of an output are near for all of them
                level, then = room.views[stream, c], known[stream, ahead * width : (ahead + 1) * width]
                added = lead(weights, plan, out, then, room.recent[stream])
                said[0, stream, ahead, c] += level + weights[share + out] * added
                said[1, stream, ahead, c] += level + weights[share + horizon * targets + out] * added
                root = exp(HALF * (said[2, stream, ahead, c] + weights[noise + out]))
                said[2, stream, ahead, c] = root * root  # so that what no 32-bit float holds becomes infinite


@inlined
def check(plan, values, calendar, known, numbers, codes, states, said):
    """Refuse what would be read beyond its end."""
    seen, streams, rows = plan[At.SEEN], len(states), values.shape[1] // plan[At.SEEN]
    needed = rows + (plan[At.HORIZON] if said.shape[1] else 0)
    right = states.shape[1] == plan[At.CELLS] + plan[At.MEMBERS] * plan[At.CARRIED]
    right &= len(values) == streams and len(calendar) == streams and len(known) == streams
    right &= values.shape[1] == rows * seen and calendar.shape[1] == rows * plan[At.CALENDAR]
    right &= known.shape[1] >= needed * plan[At.KNOWN]
    if plan[At.STATICS] or plan[At.CATEGORIES]:
        right &= len(numbers) == streams and len(codes) == streams
        right &= numbers.shape[1] == plan[At.STATICS] and codes.shape[1] == plan[At.CATEGORIES]
    if not right:
        raise ValueError(OTHER)
    for i in range(plan[At.CATEGORIES]):
        for stream in range(streams):
            if not 0 <= codes[stream, i] < plan[REST + 3 * i]:
                raise ValueError(NO_CODE)


@inlined
def furnish(plan, block):
    """Return room for a block of streams."""
    rows, size, seen, known = block * plan[At.FOLDS], plan[At.HIDDEN], plan[At.SEEN], plan[At.KNOWN]
    recent = seen * plan[At.LAGS] + seen + plan[At.CALENDAR] + known
    return Room(
        np.empty((block, VIEWS * seen), F),
        np.empty((block, recent), F),
        np.empty((block, plan[At.COMMON]), F),
        np.empty((block, plan[At.WIDTH]), F),
        np.empty((block, 2 * known), F),
        np.empty((block, size), F),
        np.empty((rows, plan[At.OWN]), F),
        np.empty((rows, plan[At.GATES]), F),
        np.empty((rows, size), F),
        np.empty((rows, size), F),
        np.empty((rows, plan[At.SAID]), F),
        np.empty((rows, size), F),
        np.empty((rows, size), F),
        np.empty((rows, plan[At.STEP]), F),
    )


@kept
def advance(weights, plan, values, calendar, known, numbers, codes, states, said):
    """Take rows of streams, one behind the other in each line, into `states`; add the forecasts behind them to `said`.

    `known` goes `horizon` rows further. `said` (output, stream, step, target) holds zeros, or no streams: then nothing
    is said.
    """
    seen, width, days, folds = plan[At.SEEN], plan[At.KNOWN], plan[At.CALENDAR], plan[At.FOLDS]
    streams, rows = len(values), values.shape[1] // seen
    check(plan, values, calendar, known, numbers, codes, states, said)
    block = max(1, min(streams, TOGETHER // folds))
    room = furnish(plan, block)
    for low in range(0, streams, block):
        stop = min(low + block, streams)
        for row in range(rows):
            for at in range(low, stop):
                here = at - low
                view, recent = room.views[here], room.recent[here]
                fill(weights, plan, values[at, row * seen : (row + 1) * seen], states[at], view, recent)
                day, now = calendar[at, row * days : (row + 1) * days], known[at, row * width : (row + 1) * width]
                own = room.own[here * folds : (here + 1) * folds]
                tell(plan, day, now, numbers[at], view, recent, room.common[here], own)
            for number in range(plan[At.MEMBERS]):
                take(weights, plan, number, codes[low:stop], room, states[low:stop])
                if said.shape[1] and row == rows - 1:
                    correct(weights, plan, number, known[low:stop, rows * width :], room, said[:, low:stop])
        if said.shape[1]:
            finish(weights, plan, known[low:stop, rows * width :], room, said[:, low:stop])
