"""MLServer: one process, no access log, no metrics, a runtime of a few lines; `batched`: 32 windows or 2 ms."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import torch
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]

from benchmarks.servers.network import network

NAME = "network"
BATCHED = {"max_batch_size": 32, "max_batch_time": 0.002}


class Runtime(MLModel):  # type: ignore[misc] # without types where it is not installed
    """The network behind MLServer's interface."""

    async def load(self) -> bool:
        self.network = network()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = torch.from_numpy(NumpyCodec.decode_input(payload.inputs[0]))
        with torch.inference_mode():
            said = self.network(rows).numpy()
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("said", said)])


def main(folder: Path, port: str, *options: str) -> None:
    """Write the settings and become the server."""
    server = {
        "debug": False,
        "parallel_workers": 0,
        "host": "127.0.0.1",
        "http_port": int(port),
        "grpc_port": _free_port(),
        "metrics_endpoint": None,
    }
    model = {"name": NAME, "implementation": f"{__spec__.name}.Runtime", **(BATCHED if "batched" in options else {})}
    (folder / "settings.json").write_text(json.dumps(server), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(folder)])  # noqa: S606 - our own command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
