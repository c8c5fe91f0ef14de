"""The gate that every model passes before it serves, wherever it comes from: it is whole, and says what it always said.

A pure function of a folder; nothing that is served changes before all of it has been passed.
"""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

import numpy as np
import torch

from forecasting.bundle import Bundle, load_bundle
from forecasting.errors import SettingsError
from forecasting.golden import refuse_unlike
from forecasting.prediction import Window, forecast, predict_z
from service.contract import changes_between, refuse_changed
from service.models import ServedModel, ServedRef
from service.problems import OutOfMemory


def choose_device(wanted: str) -> str:
    """Return the torch device of a setting: for `auto` the GPU where there is one.

    Raises:
        SettingsError: the device is not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if int(number or 0) >= counts[kind]:
        message = f"GATECAST_DEVICE is {wanted}; this machine has {counts[kind]} of {kind}: use auto or cpu"
        raise SettingsError(message)
    return wanted


def open_model(
    folder: Path, ref: ServedRef, device: str, before: ServedModel | None = None, *, may_change: bool = False
) -> ServedModel:
    """Open a version beside the one it would replace, and bring it to work.

    Raises:
        BundleError: it is not whole, or does not say what was recorded when it was written.
        SchemaChanged: it has another contract than the one before, and that is not allowed.
        NotFinite: it answers with something that is not a number.
        OutOfMemory: the device has no room for it.
    """
    try:
        bundle = load_bundle(folder, device)
        if before is not None and not may_change:
            refuse_changed(before.bundle.spec, bundle.spec)
        model = _warm(_served(ref, bundle, before))
        refuse_unlike(bundle, partial(predict_z, bundle, engine=model.engine))
    except (torch.OutOfMemoryError, MemoryError):
        pass  # outside the handler, whose traceback would hold the tensors
    else:
        return model
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    message = f"{ref.name} version {ref.version} does not fit into the memory of {device}"
    raise OutOfMemory(message)


def _served(ref: ServedRef, bundle: Bundle, before: ServedModel | None) -> ServedModel:
    """Return the model; where its contract is not that of the one before, with what that was.

    Who still sends rows of an earlier contract is told so until the next change.
    """
    if before is None:
        return ServedModel(ref, bundle)
    old = before.bundle.spec
    return ServedModel(ref, bundle, old if any(changes_between(old, bundle.spec)) else before.replaced)


def _warm(model: ServedModel) -> ServedModel:
    """Forecast once, from a window of means: the first real request shall not pay for what is set up lazily."""
    forecast(model.bundle, means(model.bundle), engine=model.engine)
    return model


def means(bundle: Bundle) -> Window:
    """Return a window of which every cell is the mean of its column."""
    spec, rows = bundle.spec, bundle.spec.lookback
    z = np.zeros((rows + spec.horizon, len(spec.columns.row)), dtype=np.float32)
    values = bundle.scaler.units(None).from_z(z)
    ahead = values[rows:, spec.columns.seen :] if spec.columns.known else None
    return Window(values[:rows], np.arange(rows, dtype=np.int64) * spec.calendar.step, ahead=ahead)
