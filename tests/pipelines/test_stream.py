"""A file replayed into a real service: what it says, what it leaves there, and what it does when something fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings
from tests.pipelines.command import Said, gatecast

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

ROWS = 40


@dataclass(frozen=True)
class Service:
    """A service that runs."""

    home: Path
    url: str

    def stream(self, data: Path, *arguments: object) -> Said:
        return gatecast(self.home, "stream", "tiny", "--data", data, "--url", self.url, *arguments)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310 - our own address
            return json.load(answer)


@pytest.fixture(scope="module")
def service(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port, folder = free_port(), tmp_path_factory.mktemp("service")
    environ = Settings(home=shop.home).environment()
    command = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    with running(command, folder / "log", environ) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz", process, folder / "log")
        yield Service(shop.home, f"http://127.0.0.1:{port}")


@pytest.fixture
def rows(shop: Shop) -> pd.DataFrame:
    return pd.read_csv(shop.data).head(ROWS)


def written(folder: Path, rows: pd.DataFrame, name: str = "new.csv") -> Path:
    rows.to_csv(folder / name, index=False)
    return folder / name


def test_a_file_is_pushed_row_by_row_and_running_it_again_changes_nothing(
    service: Service, rows: pd.DataFrame, tmp_path: Path
) -> None:
    data = written(tmp_path, rows)
    first = service.stream(data, "--stream", "twice", "--json")
    assert first.code == 0, first.err
    assert (first.json["rows"], first.json["replayed"], first.json["refused"]) == (ROWS, 0, 0)
    one = first.json["series"]["twice"]
    assert (one["rows"], one["version"], one["drift"]) == (ROWS, "1", "none")
    assert one["skill"] is not None
    assert 0 <= one["coverage"] <= 1
    assert 0 < one["latency_ms"]["p50"] <= one["latency_ms"]["p99"]
    before = service.get("/v1/models/tiny/streams/twice")
    again = service.stream(data, "--stream", "twice", "--json").json
    assert (again["rows"], again["replayed"]) == (ROWS, ROWS)
    assert again["series"]["twice"]["skill"] == one["skill"]
    assert service.get("/v1/models/tiny/streams/twice") == before


def test_history_is_imported_and_the_rest_is_pushed(service: Service, rows: pd.DataFrame, tmp_path: Path) -> None:
    data = written(tmp_path, rows)
    said = service.stream(data, "--stream", "imported", "--import", "--last", 5, "--json").json
    assert (said["imported"], said["rows"], said["refused"]) == (ROWS - 5, 5, 0)
    pushed = service.stream(data, "--stream", "pushed", "--json").json
    assert pushed["imported"] == 0
    newest = [service.get(f"/v1/models/tiny/streams/{name}") for name in ("imported", "pushed")]
    assert newest[0]["sequence"] == newest[1]["sequence"] == ROWS - 1
    whole = service.stream(data, "--stream", "all-of-it", "--import", "--json").json
    assert (whole["imported"], whole["rows"]) == (ROWS, 0)


def test_several_series_share_requests_and_each_has_its_stream(
    service: Service, rows: pd.DataFrame, tmp_path: Path
) -> None:
    both = pd.concat([rows.assign(series="a b"), rows.iloc[10:].assign(series="c")])
    said = service.stream(written(tmp_path, both), "--series", "series", "--stream", "p.", "--json")
    assert said.code == 0, said.err
    assert {name: one["rows"] for name, one in said.json["series"].items()} == {"p.a~20b": ROWS, "p.c": ROWS - 10}
    single = service.stream(written(tmp_path, both), "--series", "series", "--stream", "q.", "--batch", 1, "--json")
    for name in ("a~20b", "c"):
        ours, theirs = (one.json["series"][f"{prefix}.{name}"] for one, prefix in ((said, "p"), (single, "q")))
        assert ours["skill"] == pytest.approx(theirs["skill"], rel=1e-4)


def test_a_gap_is_left_to_the_service(service: Service, rows: pd.DataFrame, tmp_path: Path) -> None:
    said = service.stream(written(tmp_path, rows.drop(index=[12, 13])), "--stream", "holes", "--json")
    assert said.code == 0, said.err
    assert said.json["rows"] == ROWS - 2
    assert service.get("/v1/models/tiny/streams/holes")["sequence"] == ROWS - 1


def test_rows_that_are_refused_are_told_and_the_others_go_on(
    service: Service, rows: pd.DataFrame, tmp_path: Path
) -> None:
    service.stream(written(tmp_path, rows), "--stream", "changed")
    rows.loc[3, "x"] += 1
    more = pd.read_csv(service.home.with_name("data.csv")).iloc[ROWS : ROWS + 1]
    said = service.stream(written(tmp_path, pd.concat([rows, more])), "--stream", "changed", "--json")
    assert said.code == 65
    assert (said.json["refused"], said.json["replayed"], said.json["rows"]) == (1, ROWS - 1, ROWS)
    assert "was accepted with other values" in said.json["reason"]
    assert "gatecast: 1 rows were refused, all others are accepted; the first: changed:" in said.err


def test_without_json_a_table_is_printed(service: Service, rows: pd.DataFrame, tmp_path: Path) -> None:
    said = service.stream(written(tmp_path, rows), "--stream", "table")
    assert said.code == 0
    assert said.out.splitlines()[1].split()[:5] == ["stream", "rows", "again", "refused", "skill"]
    assert f"{ROWS} rows pushed in" in said.out


def test_a_picture_is_drawn_of_what_was_said_and_what_came(
    service: Service, rows: pd.DataFrame, tmp_path: Path
) -> None:
    said = service.stream(written(tmp_path, rows), "--stream", "drawn", "--picture", tmp_path / "it.png")
    assert said.code == 0, said.err
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    refused = service.stream(tmp_path / "new.csv", "--picture", tmp_path / "it.bmp")
    assert (refused.code, "name a file *.png" in refused.err) == (2, True)


def test_a_rate_is_kept_to(service: Service, rows: pd.DataFrame, tmp_path: Path) -> None:
    said = service.stream(written(tmp_path, rows.head(6)), "--stream", "slow", "--rate", 20, "--json").json
    assert said["rows"] == 6
    assert said["seconds"] >= 5 / 20


def test_ctrl_c_ends_it_behind_the_request_at_hand(service: Service, rows: pd.DataFrame, tmp_path: Path) -> None:
    arguments = ["--data", str(written(tmp_path, rows)), "--url", service.url, "--stream", "cut", "--rate", "20"]
    command = [sys.executable, "-m", "pipelines", "--home", str(service.home), "stream", "tiny", *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 30
        while time.monotonic() < until and "cut" not in str(service.get("/v1/models/tiny/streams")):
            continue
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    said = json.loads(out)
    assert process.returncode == 130
    assert said["interrupted"]
    assert "stopping" in err
    assert said["rows"] == service.get("/v1/models/tiny/streams/cut")["sequence"] + 1 < ROWS


def test_a_service_that_dies_and_comes_back_has_every_row_once(shop: Shop, rows: pd.DataFrame, tmp_path: Path) -> None:
    port, home = free_port(), tmp_path / "home"
    environ = Settings(home, shop.registry.uri).environment()
    serve = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    arguments = ["--data", written(tmp_path, rows), "--url", f"http://127.0.0.1:{port}", "--rate", "20", "--json"]
    with ExitStack() as stack:
        process = stack.enter_context(running(serve, tmp_path / "first", environ))
        wait_for(f"http://127.0.0.1:{port}/readyz", process, tmp_path / "first")
        service = Service(home, f"http://127.0.0.1:{port}")
        command = [sys.executable, "-m", "pipelines", "--home", home, "stream", "tiny", *arguments]
        pushing = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        while pushing.poll() is None and "sequence" not in str(service.get("/v1/models/tiny/streams")):
            continue
        process.kill()
        process.wait()
        process = stack.enter_context(running(serve, tmp_path / "second", environ))
        out, err = pushing.communicate(timeout=60)
        assert pushing.returncode == 0, err
        assert service.get("/v1/models/tiny/streams/tiny")["sequence"] == ROWS - 1
    said = json.loads(out)
    assert (said["rows"], said["refused"]) == (ROWS, 0)
    assert said["replayed"] <= 1
    assert b"the service does not answer" in err


def test_a_model_that_is_not_served_is_a_wrong_argument(service: Service, rows: pd.DataFrame, tmp_path: Path) -> None:
    data = written(tmp_path, rows)
    said = gatecast(service.home, "stream", "nobody", "--data", data, "--url", service.url)
    assert said.code == 2
    assert "answers 404" in said.err


def test_no_service_is_told_at_once(rows: pd.DataFrame, tmp_path: Path) -> None:
    data = written(tmp_path, rows)
    said = gatecast(tmp_path, "stream", "tiny", "--data", data, "--url", f"http://127.0.0.1:{free_port()}")
    assert said.code == 74
    assert "does not answer (Connection refused); start one with `gatecast serve`" in said.err


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a", "http://", "http://ada:secret@here"])
def test_an_address_that_is_none_is_a_wrong_argument(url: str, tmp_path: Path) -> None:
    said = gatecast(tmp_path, "stream", "tiny", "--data", tmp_path, "--url", url)
    assert said.code == 2
    assert "secret" not in said.err


def test_what_is_no_such_service_is_told(rows: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "v1" / "models").mkdir(parents=True)
    (tmp_path / "v1" / "models" / "tiny").write_text("<html>")
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with running(command, tmp_path / "log", dict(os.environ)) as process:
        wait_for(f"http://127.0.0.1:{port}/", process, tmp_path / "log")
        data = written(tmp_path, rows)
        said = gatecast(tmp_path, "stream", "tiny", "--data", data, "--url", f"http://127.0.0.1:{port}")
    assert said.code == 74
    assert "is no Gatecast service of this version" in said.err


def test_what_speaks_no_http_is_told(rows: pd.DataFrame, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = "import socket,sys;s=socket.socket(fileno=int(sys.argv[1]));c,_=s.accept();c.sendall(b'220 smtp\\r\\n')"
        command = [sys.executable, "-c", child, str(server.fileno())]
        with subprocess.Popen(command, pass_fds=[server.fileno()]):
            data = written(tmp_path, rows)
            said = gatecast(tmp_path, "stream", "tiny", "--data", data, "--url", f"http://127.0.0.1:{port}")
    assert said.code == 74
    assert "220 smtp" in said.err


def test_the_key_comes_from_the_environment_and_is_never_shown(
    shop: Shop, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATECAST_KEYS_FILE", str(tmp_path / "keys.json"))
    scopes = ("--scope", "forecast", "--scope", "stream")
    key = gatecast(shop.home, "keys", "add", "ada", *scopes, "--json").json["key"]
    port, data = free_port(), written(tmp_path, rows.head(3))
    environ = {**Settings(home=shop.home).environment(), "GATECAST_AUTH": "on", "GATECAST_LOG_URL": "memory"}
    monkeypatch.setenv("GATECAST_URL", f"http://127.0.0.1:{port}")
    with running(
        [sys.executable, "-m", "pipelines", "serve", "--port", str(port)], tmp_path / "log", environ
    ) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz", process, tmp_path / "log")
        without = gatecast(shop.home, "stream", "tiny", "--data", data)
        monkeypatch.setenv("GATECAST_KEY", key)
        having = gatecast(shop.home, "stream", "tiny", "--data", data)
    assert (without.code, having.code) == (2, 0), having.err
    assert "set the variable GATECAST_KEY" in without.err
    assert key not in without.err + having.err + having.out + (tmp_path / "log").read_text()


def test_a_key_that_is_none_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_KEY", "gc_secret with\nspaces")
    said = gatecast(tmp_path, "stream", "tiny", "--data", tmp_path)
    assert said.code == 2
    assert "GATECAST_KEY is not shown here" in said.err
    assert "secret" not in said.err
    assert "secret" not in repr(Settings(key="gc_secret"))
