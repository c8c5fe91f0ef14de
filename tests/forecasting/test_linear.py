from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.linear import LinearRoad, RoadShape
from tests.forecasting.panels import close

PLAIN = RoadShape(horizon=1, targets=1, seen=1, lags=2, calendar=0)


def road(shape: RoadShape, seed: int) -> LinearRoad:
    made = LinearRoad(shape)
    draw = torch.Generator().manual_seed(seed)
    for buffer in made.buffers():
        buffer.copy_(torch.randn(buffer.shape, generator=draw))
    return made


@st.composite
def shapes(draw: st.DrawFn) -> RoadShape:
    targets = draw(st.integers(1, 3))
    horizon, lags, calendar, known = (draw(st.integers(*ends)) for ends in ((1, 3), (1, 4), (0, 2), (0, 2)))
    return RoadShape(horizon, targets, targets + draw(st.integers(0, 2)), lags, calendar, known)


@given(shape=shapes(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_road_is_the_sum_over_changes_level_calendar_known_covariates_and_bias(shape: RoadShape, seed: int) -> None:
    made, rows = road(shape, seed), 4
    changes, level = torch.randn(1, rows + shape.lags - 1, shape.seen), torch.randn(1, rows, shape.seen)
    features, known = torch.randn(1, rows, shape.calendar), torch.randn(1, rows + shape.horizon, shape.known)
    said = made(changes, level, features, known)
    assert said.shape == (1, rows, shape.horizon, shape.targets)
    for t in range(rows):
        for h in range(shape.horizon):
            for c in range(shape.targets):
                output = h * shape.targets + c
                along = sum(made.changes[output, :, k] @ changes[0, t + k] for k in range(shape.lags))
                across = made.level[output] @ level[0, t] + made.calendar[output] @ features[0, t]
                told = made.now[output] @ known[0, t] + made.ahead[h, c] @ known[0, t + h + 1]
                close(said[0, t, h, c], along + across + told + made.bias[output])


def test_lags_anchored_on_the_last_value_are_sums_of_changes() -> None:
    """Y = z_t + a (z_(t-1) - z_t) + b (z_(t-2) - z_t) has the weights -(a + b) and -b on the changes of t and t-1."""
    a, b = 0.7, -0.4
    made = LinearRoad(PLAIN)
    made.changes[0, 0] = torch.tensor([-b, -(a + b)])  # oldest first, as a convolution takes them
    z = torch.tensor([3.0, -1.0, 2.0])
    changes, level = z.diff()[None, :, None], z[None, 2:, None]
    said = level[0, 0, 0] + made(changes, level, torch.zeros(1, 1, 0), torch.zeros(1, 2, 0))[0, 0, 0, 0]
    close(said, z[2] + a * (z[1] - z[2]) + b * (z[0] - z[2]))


def test_the_road_is_saved_with_the_network_and_not_trained() -> None:
    made = LinearRoad(PLAIN._replace(known=3))
    assert not list(made.parameters())
    assert set(made.state_dict()) == {"changes", "level", "calendar", "ahead", "now", "bias"}
    assert not any(buffer.any() for buffer in made.buffers())
