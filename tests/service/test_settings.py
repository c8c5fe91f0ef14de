from pathlib import Path

import pytest

from forecasting.errors import SettingsError
from service.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"GATECAST_DEVICE": "", "GATECAST_TRACKING_URI": ""}) == Settings()


def test_every_variable_is_read() -> None:
    found = Settings.from_env(
        {
            "GATECAST_HOME": "/data",
            "GATECAST_TRACKING_URI": "http://mlflow:5000",
            "GATECAST_MODELS": "weather, load@3,a.b-c@candidate",
            "GATECAST_DEVICE": "cuda:1",
            "GATECAST_MAX_BODY_BYTES": "1000",
            "GATECAST_MAX_ROWS": "10",
            "GATECAST_MAX_WINDOWS": "2",
        }
    )
    models = ("weather", "load@3", "a.b-c@candidate")
    assert found == Settings(Path("/data"), "http://mlflow:5000", models, "cuda:1", 1000, 10, 2)


def test_mlflows_own_variable_is_the_second_choice() -> None:
    both = {"MLFLOW_TRACKING_URI": "http://theirs"}
    assert Settings.from_env(both).tracking_uri == "http://theirs"
    assert Settings.from_env(both | {"GATECAST_TRACKING_URI": "http://ours"}).tracking_uri == "http://ours"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("GATECAST_DEVICE", "gpu", "auto, cpu, cuda, cuda:N or mps"),
        ("GATECAST_MAX_ROWS", "0", "a whole number above 0"),
        ("GATECAST_MAX_BODY_BYTES", "4MB", "a whole number above 0"),
        ("GATECAST_MAX_WINDOWS", "-1", "a whole number above 0"),
        ("GATECAST_MODELS", "a b", "names as NAME or NAME@ALIAS"),
        ("GATECAST_MODELS", "a@", "names as NAME or NAME@ALIAS"),
    ],
)
def test_a_bad_value_names_variable_value_and_what_was_expected(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: value})
    assert str(caught.value).startswith(f"{variable} is {value!r}; expected {expected}")
