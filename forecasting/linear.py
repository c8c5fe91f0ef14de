"""The linear road: ridge autoregression on recent changes, solved in closed form.

With d_t = z_t - z_(t-1), the forecast of step h is

    z_t + sum_k W_hk d_(t-k) + L_h z_t + K_h calendar_t + b_h

A sum over changes is a sum over lags anchored on the last value (z_(t-k) - z_t is minus the sum of the changes since),
with the advantage that a change which is not known is 0 and can leak nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LinearRoad(nn.Module):
    """Fixed after its closed-form fit: its weights are buffers, saved with the network and not touched by training."""

    changes: Tensor
    level: Tensor
    calendar: Tensor
    bias: Tensor

    def __init__(self, columns: int, horizon: int, lags: int, calendar: int) -> None:
        """Start at zero, which is persistence."""
        super().__init__()
        outputs = horizon * columns
        self.horizon, self.columns, self.lags = horizon, columns, lags
        self.register_buffer("changes", torch.zeros(outputs, columns, lags))
        self.register_buffer("level", torch.zeros(outputs, columns))
        self.register_buffer("calendar", torch.zeros(outputs, calendar))
        self.register_buffer("bias", torch.zeros(outputs))

    def forward(
        self,
        changes: Float[Tensor, "batch past column"],
        level: Float[Tensor, "batch time column"],
        calendar: Float[Tensor, "batch time feature"],
    ) -> Float[Tensor, "batch time horizon column"]:
        """Return what the linear road adds to the last value; `changes` has lags - 1 rows more than `level`."""
        along = F.conv1d(changes.transpose(1, 2), self.changes).transpose(1, 2)
        across = torch.cat([level, calendar], dim=-1) @ torch.cat([self.level, self.calendar], dim=-1).T
        return (along + across + self.bias).reshape(*level.shape[:2], self.horizon, self.columns)
