"""Ctrl-C in long work: the first one asks for an end in order, a second one ends everything at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

Entered = TypeVar("Entered")


@dataclass
class Stop:
    """Whether an end was asked for."""

    asked: bool = False


@contextmanager
def stoppable(say: Callable[[], None]) -> Iterator[Stop]:
    """Let the first Ctrl-C in the block ask for an end, which `say` then confirms.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    stop, before = Stop(), signal.getsignal(signal.SIGINT)

    def on_interrupt(_: int, __: FrameType | None) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, before)
        say()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    except SystemExit as end:  # Lightning's answer to the second one
        raise KeyboardInterrupt from end
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def closed_in_order(block: AbstractContextManager[Entered]) -> Iterator[Entered]:
    """Enter a block; once Ctrl-C has ended it, a further one does not keep it from being closed too."""
    before = signal.getsignal(signal.SIGINT)
    try:
        with block as entered:
            try:
                yield entered
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                raise
    finally:
        signal.signal(signal.SIGINT, before)
