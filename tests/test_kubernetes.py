"""The example of a CronJob runs what exists, and leaves alone what another try would not mend."""

from __future__ import annotations

import click
import yaml

from pipelines import exits
from pipelines.cli import gatecast
from tests.composing import ROOT

JOB = yaml.safe_load((ROOT / "docs" / "kubernetes" / "retrain.yaml").read_text(encoding="utf-8"))["spec"]
RUN = JOB["jobTemplate"]["spec"]


def test_its_command_exists_and_takes_these_options() -> None:
    (container,) = RUN["template"]["spec"]["containers"]
    program, verb, *arguments = container["command"]
    assert program == "gatecast"
    command = gatecast.get_command(click.Context(gatecast), verb)
    assert command is not None
    command.make_context(verb, arguments)


def test_bad_data_and_a_held_lease_are_not_tried_again() -> None:
    (rule,) = RUN["podFailurePolicy"]["rules"]
    assert set(rule["onExitCodes"]["values"]) == {exits.USAGE, exits.BAD_DATA, exits.NO_FILE, 75}
    assert RUN["template"]["spec"]["restartPolicy"] == "Never"
