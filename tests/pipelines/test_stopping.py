from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipelines.stopping import closed_in_order, stoppable


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_ctrl_c_asks_and_the_second_one_ends() -> None:
    before, heard = signal.getsignal(signal.SIGINT), list[str]()
    with stoppable(lambda: heard.append("stopping")) as stop:
        assert not stop.asked
        press()
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            press()
    assert heard == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_exit_in_the_block_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stoppable(lambda: None):
        raise SystemExit(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_ctrl_c_has_ended_is_closed_whatever_is_pressed() -> None:
    closed = list[str]()

    @contextmanager
    def block() -> Iterator[str]:
        try:
            yield "entered"
        finally:
            press()
            closed.append("closed")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="the first one"), closed_in_order(block()) as entered:  # noqa: PT012
        assert entered == "entered"
        raise KeyboardInterrupt("the first one")  # noqa: EM101, TRY003 - as a person would
    assert closed == ["closed"]
    assert signal.getsignal(signal.SIGINT) is before
