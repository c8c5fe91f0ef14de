"""Every recurrent system of the question this project grew from: one layer, one row, equations as they are written.

    W x, W h, W c    what the layer learnt of the row, the hidden state, the memory; biases are not written
    keep, write, read = sigmoid(W x + W h), each with weights of its own; content, offer = tanh(W x + W h)
    *                by component; h hidden state, c memory; h', c' those behind the row

The question (`docs/memory.md`): a recurrent network forgets, and the LSTM does not; why does its arithmetic do what a
network that is told the old memory, and says the new one, does not do? Gates have one name here whatever letter a paper
gave them: what multiplies the old memory keeps, the new content writes, the output reads.

The first three also exist as torch's fused modules; they have their weights in the same order here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, sigmoid, tanh

LayerState = tuple[Tensor, ...]
"""(hidden,) or (hidden, memory), each of shape (batch, hidden)."""


class Gates(NamedTuple):
    """How much of the old memory stays, of the content is written, of the memory is said; None where nothing gates."""

    keep: Tensor | None = None
    write: Tensor | None = None
    read: Tensor | None = None


@runtime_checkable  # beartype asks, in the tests
class Learnt(Protocol):
    """The weights of a layer, as a system uses them; `given` is W x of the row."""

    def mixed(self, given: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return W x + W h, cut into the system's blocks."""

    def past(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return W h alone, cut into the system's blocks."""

    def own(self, name: str, told: Tensor) -> Tensor:
        """Return what the map of this name makes of a memory."""


Advance = Callable[[Learnt, Tensor, LayerState], tuple[LayerState, Gates]]


class System(NamedTuple):
    """A recurrent system: what a row and the hidden state are mapped to, in this order, and what is made of it.

    `memories` counts the parts of its state. `maps` are those of the memory alone, with a bias where the value says so.
    `bounded` tells whether the state has bounds by itself, `apart` that W h has a bias of its own.
    """

    blocks: tuple[str, ...]
    memories: int
    advance: Advance
    maps: Mapping[str, bool] = {}
    bounded: bool = True
    apart: bool = False

    @property
    def keeps(self) -> bool:
        """Whether a gate keeps, so that there is a bias to set it by."""
        return "keep" in self.blocks


def lstm(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say c' = keep * c + write * content,  h' = read * tanh(c').

    Source: Hochreiter and Schmidhuber 1997 with the keep gate of Gers, Schmidhuber and Cummins 2000, their forget gate.
    """
    hidden, memory = state
    write, keep, content, read = learnt.mixed(given, hidden)
    kept, written, said = sigmoid(keep), sigmoid(write), sigmoid(read)
    memory = torch.addcmul(kept * memory, written, tanh(content))
    return (said * tanh(memory), memory), Gates(kept, written, said)


def gru(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say h' = keep * h + (1 - keep) * tanh(W x + reset * W h),  reset = sigmoid(W x + W h).

    Source: Cho et al. 2014, in torch's convention: its z is what keeps (others call what writes z), and reset acts
    behind the product W h, not before it. What is not kept is written; no gate reads.
    """
    (hidden,) = state
    given_reset, given_keep, given_content = given.chunk(3, dim=-1)
    past_reset, past_keep, past_content = learnt.past(hidden)
    keep = sigmoid(given_keep + past_keep)
    content = tanh(given_content + sigmoid(given_reset + past_reset) * past_content)
    return (content + keep * (hidden - content),), Gates(keep, 1 - keep)


def rnn(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say h' = tanh(W x + W h): o_i, h_i = F(o_(i-1), h_(i-1)), where a head makes o of h (Elman 1990)."""
    (pre,) = learnt.mixed(given, state[0])
    return (tanh(pre),), Gates()


def question(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say c' = w1 * c + w2 * c_int,  h' = h_int * sigmoid(c'): the LSTM as the question writes it.

    The text beside its formula calls w1 the write and w2 the keep gate; by the formula it is the other way round, and
    so are they named here. Content and gate of the output are the other way round, too: in the LSTM the memory goes
    through a tanh and is the content, and a sigmoid of row and hidden state reads it. Here the memory reads h_int.
    """
    hidden, memory = state
    write, keep, content, offer = learnt.mixed(given, hidden)
    kept, written = sigmoid(keep), sigmoid(write)
    memory = torch.addcmul(kept * memory, written, tanh(content))
    read = sigmoid(memory)
    return (tanh(offer) * read, memory), Gates(kept, written, read)


def lstm1997(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say c' = c + write * content,  h' = read * tanh(c'): the LSTM before it could forget.

    Source: Hochreiter and Schmidhuber 1997.
    """
    hidden, memory = state
    write, content, read = learnt.mixed(given, hidden)
    written, said = sigmoid(write), sigmoid(read)
    memory = memory + written * tanh(content)
    return (said * tanh(memory), memory), Gates(write=written, read=said)


def alternative1(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say c' = tanh(W x + W h + W c),  h' = read * c': a network makes the new memory (the first alternative)."""
    hidden, memory = state
    content, read = learnt.mixed(given, hidden)
    memory, said = tanh(content + learnt.own("memory", memory)), sigmoid(read)
    return (said * memory, memory), Gates(read=said)


def alternative1_deep(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say c' = tanh(W tanh(W x + W h + W c)),  h' = read * c': the same with a network of two layers."""
    hidden, memory = state
    content, read = learnt.mixed(given, hidden)
    inner = tanh(content + learnt.own("memory", memory))
    memory, said = tanh(learnt.own("deep", inner)), sigmoid(read)
    return (said * memory, memory), Gates(read=said)


def alternative1_skip(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say c' = c + tanh(W x + W h + W c),  h' = read * c': the same with the old memory added, and no gate."""
    hidden, memory = state
    content, read = learnt.mixed(given, hidden)
    memory, said = memory + tanh(content + learnt.own("memory", memory)), sigmoid(read)
    return (said * memory, memory), Gates(read=said)


def alternative2(learnt: Learnt, given: Tensor, state: LayerState) -> tuple[LayerState, Gates]:
    """Say c' = keep * c + write * content,  h' = tanh(W x + W h + W c'): a network reads (the second alternative)."""
    hidden, memory = state
    write, keep, content, offer = learnt.mixed(given, hidden)
    kept, written = sigmoid(keep), sigmoid(write)
    memory = torch.addcmul(kept * memory, written, tanh(content))
    return (tanh(offer + learnt.own("memory", memory)), memory), Gates(kept, written)


SYSTEMS: dict[str, System] = {
    "lstm": System(("write", "keep", "content", "read"), 2, lstm),
    "gru": System(("reset", "keep", "content"), 1, gru, apart=True),
    "rnn": System(("content",), 1, rnn),
    "question": System(("write", "keep", "content", "offer"), 2, question),
    "lstm1997": System(("write", "content", "read"), 2, lstm1997, bounded=False),
    "alternative1": System(("content", "read"), 2, alternative1, {"memory": False}),
    "alternative1_deep": System(("content", "read"), 2, alternative1_deep, {"memory": False, "deep": True}),
    "alternative1_skip": System(("content", "read"), 2, alternative1_skip, {"memory": False}, bounded=False),
    "alternative2": System(("write", "keep", "content", "offer"), 2, alternative2, {"memory": False}),
}
