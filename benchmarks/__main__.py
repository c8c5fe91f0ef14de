"""Make every measurement, one after another, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

for name in ("inprocess", "training", "memory", "accuracy"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
