from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.bundle import load_bundle
from forecasting.describing import describe_streaming
from forecasting.steadiness import LIMIT, LONGEST, Streaming
from tests.forecasting.spoiling import refused, rewritten

SETTLED = ((1, 0.5), (2, 0.004), (4, 0.001))
ENDLESS = ((1, 0.5), (LONGEST, 0.2))
SHORT = ((1, 0.5), (64, 0.2))
ANEW = (
    "does not settle within 1,024 rows, ratio 1.500, not safe: its state must be rebuilt from the last 6 rows every 6 "
    "rows"
)


def streaming(**changes: Any) -> Streaming:
    """Build what was found of a model that settles after two rows; windows have six."""
    fields: dict[str, Any] = {
        "window": 6,
        "origins": 90,
        "carried": 700,
        "ratio": 1.004,
        "settling": 2,
        "curve": SETTLED,
    }
    return Streaming(**fields | changes)


@pytest.mark.parametrize(
    ("found", "safe"),
    [
        (streaming(), True),
        (streaming(ratio=LIMIT), True),
        (streaming(ratio=LIMIT + 1e-6), False),
        (streaming(ratio=None), True),
        (streaming(ratio=1.01, settling=None, curve=ENDLESS), False),
        (streaming(ratio=0.97, settling=None, curve=ENDLESS), True),
        (streaming(ratio=1.01, settling=None, curve=SHORT), True),
        (streaming(ratio=1.03, settling=None, curve=()), False),
    ],
)
def test_a_model_is_safe_unless_carrying_costs_or_its_memory_has_no_end_and_no_use(
    found: Streaming, safe: bool
) -> None:
    assert found.safe is safe


@pytest.mark.parametrize(("settling", "rows"), [(2, 2), (None, 6), (40, 6)])
def test_an_unsafe_model_starts_anew_from_no_more_than_a_window(settling: int | None, rows: int) -> None:
    found = streaming(ratio=2.0, settling=settling, curve=((2, 0.0), (40, 0.0)))
    assert (found.resync_rows, found.resync_every) == (rows, rows)


@given(st.floats(0, 1e6), st.integers(1, 5000), st.sampled_from([None, 1, 2, 4]))
def test_what_is_written_is_read(ratio: float, window: int, settling: int | None) -> None:
    found = streaming(ratio=ratio, window=window, settling=settling)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Streaming) == found


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (streaming(), "settles after 2 rows, ratio 1.004, safe"),
        (streaming(settling=1, ratio=None), "settles after 1 row, ratio unknown, safe"),
        (streaming(ratio=1.5, settling=None, curve=ENDLESS), ANEW),
        (streaming(ratio=0.9, settling=None, curve=()), "too few rows to see it settle, ratio 0.900, safe"),
    ],
)
def test_it_is_said_in_words(found: Streaming, said: str) -> None:
    assert describe_streaming(found) == said


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny bundle that a test may spoil."""
    return Path(copytree(tiny_folder, tmp_path / "copy"))


def spoiled(folder: Path, **changes: Any) -> None:
    """Write what was found into the bundle, with keys changed as no `Streaming` could be."""
    rewritten(folder, "streaming.json", json.dumps(msgspec.to_builtins(streaming()) | changes).encode())


def test_a_bundle_keeps_what_was_found(folder: Path) -> None:
    spoiled(folder)
    assert load_bundle(folder).streaming == streaming()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ratio", -0.1, "Expected `float` >= 0.0"),
        ("ratio", "1.0", "Expected `float | null`"),
        ("settling", 0, "Expected `int` >= 1"),
        ("settling", 3, "settling is 3, which is no length of the curve"),
        ("window", 0, "Expected `int` >= 1"),
        ("origins", -1, "Expected `int` >= 0"),
        ("curve", [[2, 0.1], [1, 0.0]], "the lengths of the curve do not increase"),
        ("curve", [[2, None]], "Expected `float`"),
        ("curve", [[1, 0.0], [2]], "Expected `array` of length 2"),
    ],
)
def test_figures_that_cannot_be_are_refused(key: str, value: Any, said: str, folder: Path) -> None:
    spoiled(folder, **{key: value})
    message = refused(folder)
    assert message.startswith("streaming.json of the bundle cannot be read: ")
    assert said in message


def test_a_figure_beyond_all_numbers_is_refused(folder: Path) -> None:
    content = (msgspec.json.encode(streaming())).replace(b"1.004", b"1e999")
    rewritten(folder, "streaming.json", content)
    assert "out of range" in refused(folder)


def test_windows_of_another_length_are_those_of_another_model(folder: Path) -> None:
    spoiled(folder, window=7)
    message = (
        "streaming.json has 7 rows in a window where the lookback in spec.json has 6; its parts are of different "
        "models: register it again"
    )
    assert refused(folder) == message
