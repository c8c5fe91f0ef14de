"""Where tensors are made: on torch's meta device, which raises when it meets the CPU, and on a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from forecasting.filling import fill
from forecasting.lesson import lesson_loss
from forecasting.members import Static
from forecasting.network import Forecaster, Rows
from forecasting.prediction import Window, predict_z
from forecasting.scaled import origins
from forecasting.sequences import Batch
from forecasting.streaming import Job, stream
from forecasting.training import Fitted, fit
from forecasting.validation import validation_of
from tests.bundles import make_rich_bundle
from tests.forecasting.panels import CELLS, HOURLY, close, forecaster, plain, project, tensors, walk

every_cell = pytest.mark.parametrize("cell", CELLS)
every_way = pytest.mark.parametrize("channels", ["joint", "independent"])
gpu = pytest.mark.gpu


EVERY_KIND = {"calendar": 3, "past": 1, "known": 2, "statics": 2, "categories": (3,)}


def rows_on(device: str) -> Rows:
    draw = torch.Generator().manual_seed(0)
    values, calendar, known = (torch.randn(2, *shape, generator=draw) for shape in ((7, 3), (7, 3), (9, 2)))
    values[0, 2, 1] = torch.nan
    return Rows(values.to(device), calendar.to(device), known.to(device))


def static_on(device: str) -> Static:
    return Static(torch.tensor([[0.5, 1.0], [0.0, 0.0]], device=device), torch.tensor([[1], [0]], device=device))


def batch_on(device: str) -> Batch:
    rows = rows_on(device)
    return Batch(rows.values[:, :4], rows, rows.values[:, :2, :2], static_on(device))


def placed(cell: str, device: str, channels: str = "joint") -> Forecaster:
    return forecaster(cell=cell, channels=channels, **EVERY_KIND).to(device)


def loss_of(network: Forecaster, batch: Batch) -> torch.Tensor:
    state = network.primed_state(batch.prior, batch.static)
    members, _ = network.unroll_members(batch.rows, state, range(3, 7))
    return torch.stack([lesson_loss(made, batch.targets(range(3, 7))) for made in members]).sum()


@every_cell
@every_way
def test_unroll_step_and_state_stay_on_the_device_of_the_weights(cell: str, channels: str) -> None:
    network, rows = placed(cell, "meta", channels), rows_on("meta")
    state = network.initial_state(2, static_on("meta"))
    forecast, after = network.unroll(rows, state)
    last, _ = network.forecast_last(rows, after)
    step, _ = network.step(rows.values[:, 0], rows.calendar[:, 0], rows.known[:, :3], after)
    filled = fill(rows.values, state.past)
    made = [*tensors(state), *tensors(network.initial_state(2)), *tensors(after), *forecast, *last, *step, *filled]
    assert {tensor.device.type for tensor in made} == {"meta"}


@every_cell
@every_way
def test_the_loss_and_its_gradients_stay_on_the_device_of_the_weights(cell: str, channels: str) -> None:
    network = placed(cell, "meta", channels).requires_grad_(True)
    loss = loss_of(network, batch_on("meta"))
    loss.backward()
    gradients = {weight.grad.device.type for weight in network.parameters() if weight.grad is not None}
    assert {loss.device.type} | gradients == {"meta"}


@every_cell
def test_the_meta_device_would_have_noticed(cell: str) -> None:
    network = placed(cell, "meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        network.unroll(rows_on("cpu"), network.initial_state(2))
    with pytest.raises((RuntimeError, NotImplementedError)):
        network.unroll(rows_on("meta"), placed(cell, "cpu").initial_state(2))


@pytest.fixture
def cuda() -> str:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return "cuda"


@gpu
@every_cell
def test_a_gpu_says_what_the_cpu_says(cell: str, cuda: str) -> None:
    said = []
    for device in ("cpu", cuda):
        network, rows = placed(cell, device), rows_on(device)
        forecast, state = network.unroll(rows, network.initial_state(2, static_on(device)))
        step, after = network.step(rows.values[:, 0], rows.calendar[:, 0], rows.known[:, :3], state)
        said.append([one.cpu() for one in (*forecast, *step, *tensors(after))])
    close(said[1], said[0], 1e-4)


@gpu
def test_steps_equal_the_unroll_on_a_gpu(cuda: str) -> None:
    network, rows = placed("lstm", cuda), rows_on(cuda)
    whole, _ = network.unroll(rows, network.initial_state(2, static_on(cuda)))
    state = network.initial_state(2, static_on(cuda))
    for position in range(7):
        known = rows.known[:, position : position + 3]
        forecast, state = network.step(rows.values[:, position], rows.calendar[:, position], known, state)
        close(forecast.point, whole.point[:, position], 1e-4)


@gpu
def test_the_loss_and_its_gradients_are_those_of_the_cpu(cuda: str) -> None:
    losses, gradients = [], []
    for device in ("cpu", cuda):
        network = placed("lstm", device).requires_grad_(True).train()
        loss = loss_of(network, batch_on(device))
        loss.backward()
        losses.append(loss.detach().cpu())
        gradients.append([weight.grad.cpu() for weight in network.parameters() if weight.grad is not None])
    close(losses[1], losses[0], 1e-4)
    close(gradients[1], gradients[0], 1e-4)


@gpu
def test_history_is_streamed_on_a_gpu_as_on_the_cpu(cuda: str) -> None:
    one = plain(walk(700, missing=0.1), 500, 600, HOURLY)
    networks = [forecaster(calendar=HOURLY.width).to(device) for device in ("cpu", cuda)]
    ours, theirs = (stream(network, [Job(one, origins(one.test, 2))])[0] for network in networks)
    close(theirs.point, ours.point, 1e-4)
    judged = [validation_of(network, [one]).judge(network) for network in networks]
    assert judged[1].mse_z == pytest.approx(judged[0].mse_z, rel=1e-3)


class Nobody:
    """Looks on and says nothing."""

    def step(self, done: int, most: int) -> None: ...

    def epoch(self, epoch: object) -> None: ...

    def stopping(self) -> bool:
        return False


@gpu
def test_a_window_is_answered_on_a_gpu_as_on_the_cpu(cuda: str) -> None:
    said = []
    for device in ("cpu", cuda):
        bundle = make_rich_bundle()
        draw = np.random.default_rng(0)
        drawn = draw.uniform([0, 0, 0, 20, 0], [20, 9, 3, 40, 1], size=(10, 5)).astype(np.float32)
        asked = Window(drawn[:8], 3_600_000_000_000 * np.arange(8), "north", drawn[8:, 3:])
        said.append(predict_z(replace(bundle, forecaster=bundle.forecaster.to(device)), asked))
    close(said[1], said[0], 1e-4)


@gpu
def test_a_model_trained_on_a_gpu_comes_back_to_the_cpu(cuda: str) -> None:
    found: Fitted = fit(project(train={"device": cuda}), [plain(walk(200), 120, 160, HOURLY)], Nobody())
    assert {weight.device.type for weight in found.forecaster.state_dict().values()} == {"cpu"}
    assert found.best.objective <= 2.0
