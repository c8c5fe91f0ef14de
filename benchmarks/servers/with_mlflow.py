"""`mlflow models serve` in its own environment: the flavour of torch, a signature of tensors, everything as it is.

Its access log cannot be switched off by its command line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mlflow.pytorch
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from benchmarks.servers.network import COLUMNS, ROWS, network

FLOATS = np.dtype(np.float32)


def main(folder: Path, port: str) -> None:
    """Save the model and become its server."""
    model = folder / "model"
    if not model.exists():
        inputs = Schema([TensorSpec(FLOATS, (-1, ROWS, COLUMNS))])
        outputs = Schema([TensorSpec(FLOATS, (-1, COLUMNS))])
        mlflow.pytorch.save_model(
            network(),
            str(model),
            signature=ModelSignature(inputs, outputs),
            serialization_format="pickle",  # the other one freezes the number of windows
            pip_requirements=["mlflow", "torch"],
        )
    serve = ["models", "serve", "--env-manager", "local", "--host", "127.0.0.1", "--port", port, "-m", str(model)]
    found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # it starts `uvicorn` by its name
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", *serve], {**os.environ, "PATH": found})  # noqa: S606 - our own command


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
