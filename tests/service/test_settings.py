from pathlib import Path

import pytest

from forecasting.errors import SettingsError
from service.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"GATECAST_DEVICE": "", "GATECAST_TRACKING_URI": ""}) == Settings()


@pytest.mark.parametrize(
    ("environ", "exporter"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"}, None),
    ],
)
def test_traces_are_asked_for_by_the_variables_of_opentelemetry(environ: dict[str, str], exporter: str | None) -> None:
    assert Settings.from_env(environ).traces == exporter


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
            "GATECAST_MAX_QUEUE": "7",
            "GATECAST_DEADLINE_SECONDS": "0.5",
            "GATECAST_RECEIVE_SECONDS": "3",
            "GATECAST_SHADOW": "candidate",
            "GATECAST_POLL_SECONDS": "30",
            "GATECAST_ALLOW_SCHEMA_CHANGE": "true",
            "GATECAST_IMPLAUSIBLE": "refuse",
            "GATECAST_HOST": "0.0.0.0",  # noqa: S104 - only read here
            "GATECAST_AUTH": "on",
            "GATECAST_KEYS_FILE": "/keys.json",
            "GATECAST_WEBHOOK_SECRET": "correct-horse-battery",
            "GATECAST_ACCESS_LOG": "true",
            "GATECAST_LOG_FORMAT": "json",
        }
    )
    assert found == Settings(
        home=Path("/data"),
        tracking_uri="http://mlflow:5000",
        models=("weather", "load@3", "a.b-c@candidate"),
        shadow="candidate",
        poll_seconds=30.0,
        allow_schema_change=True,
        device="cuda:1",
        implausible="refuse",
        max_body_bytes=1000,
        max_rows=10,
        max_windows=2,
        max_queue=7,
        deadline_seconds=0.5,
        receive_seconds=3.0,
        host="0.0.0.0",  # noqa: S104 - the same
        auth="on",
        keys_file=Path("/keys.json"),
        webhook_secret="correct-horse-battery",  # noqa: S106 - of no service
        access_log=True,
        log_format="json",
    )


@pytest.mark.parametrize("secret", ["battery", "correct horse battery", "correct-horse-bättery", "horse-battery-12\n"])
def test_a_secret_is_never_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match="GATECAST_WEBHOOK_SECRET is not shown here; expected") as caught:
        Settings.from_env({"GATECAST_WEBHOOK_SECRET": secret})
    assert secret not in str(caught.value)
    assert "correct-horse" not in repr(Settings.from_env({"GATECAST_WEBHOOK_SECRET": "correct-horse-battery"}))


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
        ("GATECAST_POLL_SECONDS", "0", "seconds above 0"),
        ("GATECAST_DEADLINE_SECONDS", "soon", "seconds above 0"),
        ("GATECAST_AUTH", "maybe", "auto or on or off"),
        ("GATECAST_ACCESS_LOG", "1", "true or false"),
        ("GATECAST_MODELS", "a b", "names as NAME or NAME@ALIAS"),
        ("GATECAST_MODELS", "a@", "names as NAME or NAME@ALIAS"),
    ],
)
def test_a_bad_value_names_variable_value_and_what_was_expected(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: value})
    assert str(caught.value).startswith(f"{variable} is {value!r}; expected {expected}")
