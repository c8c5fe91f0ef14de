"""The linear road: ridge autoregression on recent changes, solved in closed form.

With d_t = z_t - z_(t-1), the forecast of step h is

    z_t + sum_k W_hk d_(t-k) + L_h z_t + K_h calendar_t + A_h known_(t+h) + N_h known_t + b_h

where d and z hold targets and past covariates, known the covariates known in advance. A sum over changes is a sum over
lags anchored on the last value (z_(t-k) - z_t is minus the sum of the changes since), with the advantage that a change
which is not known is 0 and can leak nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class RoadShape(NamedTuple):
    """Numbers of what goes in and out; `seen` counts targets and past covariates, `lags` is in rows."""

    horizon: int
    targets: int
    seen: int
    lags: int
    calendar: int
    known: int = 0


class LinearRoad(nn.Module):
    """Fixed after its closed-form fit: its weights are buffers, saved with the network and not touched by training."""

    changes: Tensor
    level: Tensor
    calendar: Tensor
    ahead: Tensor
    now: Tensor
    bias: Tensor

    def __init__(self, shape: RoadShape) -> None:
        """Start at zero, which is persistence."""
        super().__init__()
        self.shape = shape
        outputs = shape.horizon * shape.targets
        self.register_buffer("changes", torch.zeros(outputs, shape.seen, shape.lags))
        self.register_buffer("level", torch.zeros(outputs, shape.seen))
        self.register_buffer("calendar", torch.zeros(outputs, shape.calendar))
        self.register_buffer("ahead", torch.zeros(shape.horizon, shape.targets, shape.known))
        self.register_buffer("now", torch.zeros(outputs, shape.known))
        self.register_buffer("bias", torch.zeros(outputs))

    def forward(
        self,
        changes: Float[Tensor, "batch past seen"],
        level: Float[Tensor, "batch time seen"],
        calendar: Float[Tensor, "batch time feature"],
        known: Float[Tensor, "batch reach known"],
        positions: range | None = None,
    ) -> Float[Tensor, "batch position horizon target"]:
        """Return what the linear road adds to the last value at some positions (default: all).

        `changes` has lags - 1 rows more than `level`, before them; `known` has `horizon` rows more, after them.
        """
        at = range(level.shape[1]) if positions is None else positions
        here, rows = slice(at.start, at.stop, at.step), slice(at.start, at.stop + self.shape.lags - 1)
        along = F.conv1d(changes[:, rows].transpose(1, 2), self.changes, stride=at.step).transpose(1, 2)
        across = torch.cat([level[:, here], calendar[:, here], known[:, here]], dim=-1)
        weights = torch.cat([self.level, self.calendar, self.now], dim=-1)
        added = along + across @ weights.T + self.bias
        added = added.reshape(*along.shape[:2], self.shape.horizon, self.shape.targets)
        return added + self._of_ahead(known, at) if self.shape.known else added

    def _of_ahead(self, known: Tensor, at: range) -> Float[Tensor, "batch position horizon target"]:
        """Weigh the known covariates of each step: those of step h stand h rows after the position."""
        weighed = torch.einsum("btk,hck->bthc", known, self.ahead)
        steps = [weighed[:, at.start + h : at.stop + h : at.step, h - 1] for h in range(1, self.shape.horizon + 1)]
        return torch.stack(steps, dim=2)
