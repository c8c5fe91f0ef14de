import subprocess
import sys

import pytest

import service.app
from forecasting.errors import SettingsError


def test_importing_the_app_brings_neither_mlflow_nor_lightning_nor_an_app() -> None:
    code = """
import sys, service.app
from fastapi import FastAPI
assert not {"mlflow", "pytorch_lightning", "lightning", "matplotlib"} & set(sys.modules)
assert not [name for name, value in vars(service.app).items() if isinstance(value, FastAPI)]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_environment_is_read_when_the_app_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_DEVICE", "toaster")
    with pytest.raises(SettingsError, match="GATECAST_DEVICE is 'toaster'"):
        service.app.create_app()
