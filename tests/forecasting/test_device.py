"""Where tensors are made: on torch's meta device, which raises when it meets the CPU, and on a GPU."""

from __future__ import annotations

import pytest
import torch

from forecasting.network import Forecaster, Rows, fill
from forecasting.scaled import origins
from forecasting.sequences import Batch
from forecasting.streaming import Job, stream
from forecasting.training import Fitted, fit, lesson_loss
from forecasting.validation import validation_of
from tests.forecasting.panels import CELLS, HOURLY, close, forecaster, plain, project, tensors, walk

every_cell = pytest.mark.parametrize("cell", CELLS)
gpu = pytest.mark.gpu


def rows_on(device: str, columns: int = 2, calendar: int = 3) -> Rows:
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(2, 7, columns, generator=draw)
    values[0, 2, 1] = torch.nan
    return Rows(values.to(device), torch.randn(2, 7, calendar, generator=draw).to(device))


def placed(cell: str, device: str) -> Forecaster:
    return forecaster(cell=cell, calendar=3).to(device)


@every_cell
def test_unroll_step_and_state_stay_on_the_device_of_the_weights(cell: str) -> None:
    network, rows = placed(cell, "meta"), rows_on("meta")
    state = network.initial_state(2)
    forecast, after = network.unroll(rows, state)
    last, _ = network.forecast_last(rows, after)
    step, _ = network.step(rows.values[:, 0], rows.calendar[:, 0], after)
    made = [*tensors(state), *tensors(after), *forecast, *last, *step, *fill(rows.values, state)]
    assert {tensor.device.type for tensor in made} == {"meta"}


@every_cell
def test_the_loss_and_its_gradients_stay_on_the_device_of_the_weights(cell: str) -> None:
    network, rows = placed(cell, "meta").requires_grad_(True), rows_on("meta")
    batch = Batch(rows.values[:, :4], rows, rows.values[:, :2])
    members, _ = network.unroll_members(rows, network.initial_state(2))
    loss = torch.stack([lesson_loss(made[:, 3:], batch.targets(3)) for made in members]).sum()
    loss.backward()
    assert {loss.device.type} | {
        weight.grad.device.type for weight in network.parameters() if weight.grad is not None
    } == {"meta"}


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
        forecast, state = network.unroll(rows, network.initial_state(2))
        step, after = network.step(rows.values[:, 0], rows.calendar[:, 0], state)
        said.append([one.cpu() for one in (*forecast, *step, *tensors(after))])
    close(said[1], said[0], 1e-4)


@gpu
def test_steps_equal_the_unroll_on_a_gpu(cuda: str) -> None:
    network, rows = placed("lstm", cuda), rows_on(cuda)
    whole, _ = network.unroll(rows, network.initial_state(2))
    state = network.initial_state(2)
    for position in range(7):
        forecast, state = network.step(rows.values[:, position], rows.calendar[:, position], state)
        close(forecast.point, whole.point[:, position], 1e-4)


@gpu
def test_the_loss_and_its_gradients_are_those_of_the_cpu(cuda: str) -> None:
    losses, gradients = [], []
    for device in ("cpu", cuda):
        network, rows = placed("lstm", device).requires_grad_(True).train(), rows_on(device)
        members, _ = network.unroll_members(rows, network.initial_state(2))
        loss = lesson_loss(members[0][:, 3:], Batch(rows.values[:, :4], rows, rows.values[:, :2]).targets(3))
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
def test_a_model_trained_on_a_gpu_comes_back_to_the_cpu(cuda: str) -> None:
    found: Fitted = fit(project(train={"device": cuda}), [plain(walk(200), 120, 160, HOURLY)], Nobody())
    assert {weight.device.type for weight in found.forecaster.state_dict().values()} == {"cpu"}
    assert found.best.objective <= 2.0
