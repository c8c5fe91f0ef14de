"""LitServe: one worker, no access log; `batched`: 32 windows or 2 ms.

What has no annotation is taken as JSON and given as JSON; LitServe would have FastAPI check any other type.
"""

from __future__ import annotations

import sys

import litserve  # type: ignore[import-not-found]
import torch
from torch import Tensor

from benchmarks.servers.network import network

BATCHED = {"max_batch_size": 32, "batch_timeout": 0.002}


class Api(litserve.LitAPI):  # type: ignore[misc] # without types where it is not installed
    """The network behind LitServe's interface."""

    def setup(self, device: str) -> None:
        self.network = network().to(device)

    def decode_request(self, request) -> Tensor:  # type: ignore[no-untyped-def] # noqa: ANN001 - see above
        return torch.tensor(request["rows"])

    def batch(self, inputs: list[Tensor]) -> Tensor:
        return torch.stack(inputs)

    def predict(self, x: Tensor) -> Tensor:
        rows = x if x.ndim == 3 else x[None]
        with torch.inference_mode():
            said: Tensor = self.network(rows)
        return said if x.ndim == 3 else said[0]

    def unbatch(self, output: Tensor) -> list[Tensor]:
        return list(output)

    def encode_response(self, output: Tensor):  # type: ignore[no-untyped-def] # noqa: ANN201 - see above
        return {"said": output.tolist()}


def main(port: str, *options: str) -> None:
    """Serve until a signal ends it."""
    api = Api(**(BATCHED if "batched" in options else {}))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, access_log=False, log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[2:])
