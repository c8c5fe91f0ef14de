"""The artifact of a registered version: the bundle, the code that loads it, and what goes in and comes out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow.pyfunc
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from forecasting.bundle import Spec, load_bundle
from forecasting.prediction import default_levels

BUNDLE = "artifacts/bundle"
"""Where the bundle lies in the artifact."""

PYFUNC = Path(__file__).with_name("pyfunc.py")


def write_artifact(folder: Path, bundle: Path, spec: Spec, example: pd.DataFrame, model: Model) -> None:
    """Write into a new folder what mlflow's `load_model` can open: models-from-code, so without a pickle."""
    levels = default_levels(load_bundle(bundle).calibration)
    with TemporaryDirectory() as scratch:
        staged = shutil.copytree(bundle, Path(scratch) / Path(BUNDLE).name)  # mlflow keeps the name it finds
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(PYFUNC),
            artifacts={"bundle": str(staged)},
            signature=signature_of(spec, levels),
            input_example=_frame(example),
            pip_requirements=requirements(),
            mlflow_model=model,
        )


def requirements() -> list[str]:
    """Return what a process that loads the artifact needs, said outright: to infer it takes mlflow half a minute."""
    ours = [f"gatecast=={found}"] if (found := gatecast_version()) else []
    torch = version("torch").partition("+")[0]  # without the build: 2.13.0+cpu is not on the package index
    return [*ours, f"mlflow=={version('mlflow')}", f"torch=={torch}"]


def gatecast_version() -> str | None:
    """Return the version of this distribution; a checkout that is not installed has none."""
    try:
        return version("gatecast")
    except PackageNotFoundError:
        return None


def signature_of(spec: Spec, levels: tuple[int, ...]) -> ModelSignature:
    """Return the columns that `pyfunc` takes, and returns where no other levels are asked for, and its parameters."""
    # mlflow's own datetime refuses a time zone, so the type is open: aware or naive times, or RFC 3339 as in JSON.
    time = ColSpec(AnyType(), "timestamp", required=False)
    series = ColSpec(DataType.string, "series", required=False)
    static = [ColSpec(AnyType(), name, required=False) for name in spec.columns.static]
    inputs = [time, series, *_doubles(spec.columns.row), *static]
    ends = [f"{name}-{end}-{level}" for level in levels for name in spec.targets for end in ("lo", "hi")]
    answers = _doubles([*spec.targets, *(f"{name}-median" for name in spec.targets), *ends])
    outputs = [series, time, ColSpec(DataType.long, "step"), *answers]
    params = ParamSchema([ParamSpec("levels", DataType.long, list(levels), (-1,))])
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs), params=params)


def _doubles(names: Iterable[str]) -> list[ColSpec]:
    return [ColSpec(DataType.double, name) for name in names]


def _frame(example: pd.DataFrame) -> pd.DataFrame:
    """Write times as RFC 3339 in the column `timestamp`; the example is kept as JSON, which has no index."""
    if isinstance(example.index, pd.DatetimeIndex):
        example = example.rename_axis("timestamp").reset_index()
    if "timestamp" not in example:
        return example
    return example.assign(timestamp=[time.isoformat() for time in pd.to_datetime(example["timestamp"], utc=True)])
