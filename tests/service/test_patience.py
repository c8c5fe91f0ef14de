from hypothesis import given
from hypothesis import strategies as st

from service.models import ServedRef, Slot
from service.patience import LONGEST_SECONDS, Patience, backoff

SLOT = Slot("tiny")


def ref(version: str) -> ServedRef:
    return ServedRef("tiny", version, "production", "r")


def test_the_pause_doubles_with_every_failure_and_ends_with_success() -> None:
    patience, waited = Patience(2.0), []
    for _ in range(10):
        patience.failed(SLOT, ref("1"), 0.0)
        waited.append(patience.troubles[SLOT].due)
    assert waited == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    patience.over(SLOT)
    patience.failed(SLOT, ref("1"), 0.0)
    assert patience.troubles[SLOT].due == 2


def test_another_version_does_not_wait_for_what_the_one_before_did() -> None:
    patience = Patience(2.0)
    patience.given_up(SLOT, ref("1"))
    assert patience.waits(SLOT, ref("1"), 1e12)
    assert not patience.waits(SLOT, ref("2"), 0.0)
    patience.failed(SLOT, ref("2"), 0.0)
    assert patience.waits(SLOT, ref("2"), 1.9)
    assert not patience.waits(SLOT, ref("2"), 2.0)
    assert not patience.waits(SLOT, ref("1"), 0.0)


@given(st.floats(1e-3, 1e6), st.integers(0, 10**6))
def test_a_pause_never_ends_early_and_never_grows_beyond_the_longest(seconds: float, failures: int) -> None:
    pause = backoff(seconds, failures, LONGEST_SECONDS)
    assert seconds <= pause <= max(seconds, LONGEST_SECONDS)
