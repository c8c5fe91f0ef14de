"""One registered version behind two servers: `mlflow models serve` and ours say the same to the same request."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from forecasting.registry import embedded
from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

BIN = Path(sys.executable).parent


@contextmanager
def serving(command: Sequence[str], ready: str, log: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Run a server, and give its address once it is ready."""
    port = free_port()
    with running([*command, "--port", str(port)], log, environ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}{ready}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # mlflow's server is a child of the process that was started


@pytest.fixture(scope="module")
def servers(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Start ours, then MLflow's, on the same store."""
    folder, uri = tmp_path_factory.mktemp("servers"), embedded(shop.home)[0]
    theirs = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = [str(BIN / "mlflow"), "models", "serve", "-m", "models:/tiny@production", "--env-manager", "local"]
    ours = [sys.executable, "-m", "pipelines", "serve"]
    mine = {**Settings(home=shop.home).environment(), "GATECAST_MODELS": "tiny"}  # whatever else was trained there
    with (
        serving(ours, "/readyz", folder / "ours.log", mine) as one,
        serving(command, "/ping", folder / "theirs.log", theirs) as other,
    ):
        yield one, other


def ask(server: str, body: dict[str, Any]) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{server}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
        return json.load(answer)["predictions"], answer.headers


def test_both_servers_say_the_same_of_the_same_version(servers: tuple[str, str], shop: Shop) -> None:
    rows = pd.read_csv(shop.data).rename(columns={"time": "timestamp"}).tail(48)
    scale = rows[["x", "y"]].std()
    bodies = [
        {"dataframe_split": rows.to_dict("split")},
        {"dataframe_records": rows.to_dict("records"), "params": {"levels": [80]}},
        {"inputs": rows.to_dict("list")},
    ]
    for body in bodies:
        (ours, headers), (theirs, _) = (ask(server, body) for server in servers)
        assert [list(row) for row in ours] == [list(row) for row in theirs]
        assert len(ours) == 2
        for left, right in zip(ours, theirs, strict=True):
            assert (left["timestamp"], left["step"]) == (right["timestamp"], right["step"])
            for name in set(left) - {"timestamp", "step"}:
                assert left[name] == pytest.approx(right[name], abs=1e-5 * scale[name[0]]), name
        assert headers["X-Gatecast-Model"] == "tiny@1"
        assert headers["X-Gatecast-Run"] == shop.trained.json["run_id"]
    assert np.isfinite([value for row in ours for value in list(row.values())[2:]]).all()
