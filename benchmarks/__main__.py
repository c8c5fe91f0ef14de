"""Make every measurement, one after another, each in a process of its own.

But for the one beside other libraries, which want an environment of their own: `python -m benchmarks.peers`.
"""

from __future__ import annotations

import subprocess
import sys

for name in ("inprocess", "steps", "cells", "training", "memory", "accuracy"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
