from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.linear import LinearRoad
from tests.forecasting.panels import close


def road(columns: int, horizon: int, lags: int, calendar: int, seed: int) -> LinearRoad:
    made = LinearRoad(columns, horizon, lags, calendar)
    draw = torch.Generator().manual_seed(seed)
    for buffer in made.buffers():
        buffer.copy_(torch.randn(buffer.shape, generator=draw))
    return made


@given(
    columns=st.integers(1, 3),
    horizon=st.integers(1, 3),
    lags=st.integers(1, 4),
    calendar=st.integers(0, 2),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_the_road_is_the_sum_over_changes_level_calendar_and_bias(
    columns: int, horizon: int, lags: int, calendar: int, seed: int
) -> None:
    made, rows = road(columns, horizon, lags, calendar, seed), 4
    changes, level = torch.randn(1, rows + lags - 1, columns), torch.randn(1, rows, columns)
    features = torch.randn(1, rows, calendar)
    said = made(changes, level, features)
    assert said.shape == (1, rows, horizon, columns)
    for t in range(rows):
        for h in range(horizon):
            for c in range(columns):
                output = h * columns + c
                along = sum(made.changes[output, :, k] @ changes[0, t + k] for k in range(lags))
                across = made.level[output] @ level[0, t] + made.calendar[output] @ features[0, t]
                close(said[0, t, h, c], along + across + made.bias[output])


def test_lags_anchored_on_the_last_value_are_sums_of_changes() -> None:
    """Y = z_t + a (z_(t-1) - z_t) + b (z_(t-2) - z_t) has the weights -(a + b) and -b on the changes of t and t-1."""
    a, b = 0.7, -0.4
    made = LinearRoad(columns=1, horizon=1, lags=2, calendar=0)
    made.changes[0, 0] = torch.tensor([-b, -(a + b)])  # oldest first, as a convolution takes them
    z = torch.tensor([3.0, -1.0, 2.0])
    changes, level = z.diff()[None, :, None], z[None, 2:, None]
    said = level[0, 0, 0] + made(changes, level, torch.zeros(1, 1, 0))[0, 0, 0, 0]
    close(said, z[2] + a * (z[1] - z[2]) + b * (z[0] - z[2]))


def test_the_road_is_saved_with_the_network_and_not_trained() -> None:
    made = LinearRoad(columns=2, horizon=1, lags=3, calendar=4)
    assert not list(made.parameters())
    assert set(made.state_dict()) == {"changes", "level", "calendar", "bias"}
