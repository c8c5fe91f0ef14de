"""Where a model comes from: data, commit, time, versions."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from forecasting.bundle import Provenance
from forecasting.series import Split, rfc3339

PACKAGES = ("gatecast", "torch", "pytorch-lightning", "mlflow", "pandas", "numpy")


def git_commit(folder: Path) -> str | None:
    """Return the commit of the folder's checkout; None where it is none."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the git of whoever runs this
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def provenance_of(digest: str, split: Split, commit: str | None) -> Provenance:
    """Return where a model comes from that is trained now, on data of this digest, cut like this."""
    return Provenance(
        data_hash=digest,
        git_commit=commit,
        trained_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        train_end=rfc3339(split.valid),
        seen_end=rfc3339(split.test),
        versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    )
