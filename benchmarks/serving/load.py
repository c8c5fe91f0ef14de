"""wrk on the second core: one thread, connections that are kept, each with one request on its way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving.running import CLIENT_CORE, Server

SCRIPT = Path(__file__).with_name("post.lua")
ADVICE = "the load comes from wrk (https://github.com/wg/wrk; a package of that name in Debian); it is not installed"


class Load(NamedTuple):
    """What was measured; times in microseconds, `processor` of the server for a request."""

    rate: float
    p50: float
    p99: float
    processor: float
    failed: int


class Said(NamedTuple):
    """What wrk says at its end."""

    requests: int
    microseconds: int
    failed: int
    p50: int
    p99: int


def parse(output: str) -> Said:
    """Read the line that `post.lua` ends with.

    Raises:
        ValueError: it is not there.
    """
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        message = f"wrk said no result: {output[-500:]}"
        raise ValueError(message)
    return Said(**json.loads(lines[-1]))


def load(server: Server, connections: int, seconds: int) -> Load:
    """Ask the same as fast as answers come, over that many connections."""
    body = server.log.with_name("body.json")
    body.write_bytes(server.contender.body)
    return run(server, connections, seconds, SCRIPT, str(body))[0]


def run(server: Server, connections: int, seconds: int, script: Path, *arguments: str) -> tuple[Load, int]:
    """Ask what a script says; return what was measured, and how many answers came."""
    command = ["taskset", "--cpu-list", str(CLIENT_CORE), "wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{seconds}s", "--script", str(script), server.url, "--", *arguments]
    before = server.processor_seconds()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent = server.processor_seconds() - before
    said = parse(done.stdout)
    measured = Load(
        rate=said.requests / said.microseconds * 1e6,
        p50=said.p50,
        p99=said.p99,
        processor=spent / max(said.requests, 1) * 1e6,
        failed=said.failed,
    )
    return measured, said.requests


def need_wrk() -> None:
    """End the program where there is no wrk."""
    if shutil.which("wrk") is None:
        sys.exit(ADVICE)
