"""Runs whose process was killed: nobody else will end them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlflow.entities import LoggedModelStatus

from forecasting.registry.paging import pages_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

ERROR = "orphaned: its process was killed, or the machine it ran on"


def end_orphans(client: MlflowClient, model: str, mark: str, is_orphan: Callable[[str], bool]) -> list[str]:
    """End the runs of a model, and models they had begun to write; see `Registry.end_orphans`."""
    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        return []
    number, running = experiment.experiment_id, "attributes.status = 'RUNNING'"
    found = pages_of(lambda token: client.search_runs([number], running, page_token=token))
    orphans = [run.info.run_id for run in found if mark in run.data.tags and is_orphan(run.data.tags[mark])]
    for run in orphans:
        _end_models(client, number, run)
        client.set_tag(run, "error", ERROR)
        client.set_terminated(run, "FAILED")
    return orphans


def _end_models(client: MlflowClient, experiment: str, run: str) -> None:
    made = pages_of(
        lambda token: client.search_logged_models([experiment], f"source_run_id = '{run}'", page_token=token)
    )
    for model in made:
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
