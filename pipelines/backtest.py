"""Judge a registered model again, on the test rows of a project as its file is now."""

from __future__ import annotations

from forecasting.assembly import prepare
from forecasting.columns import Columns
from forecasting.errors import DataError
from forecasting.evaluation import backtest
from forecasting.pairing import seen_by
from forecasting.project import Project
from forecasting.registry import Registry
from forecasting.scaled import scale_panel
from forecasting.scores import Scorecard
from pipelines.settings import Settings
from pipelines.sources import read_rows
from pipelines.versions import open_version


def backtest_version(project: Project, registry: Registry, settings: Settings, ref: str) -> Scorecard:
    """Score the version behind an alias or number, in its own z units.

    Raises:
        DataError: the data cannot be used, or have other columns or another step than the model.
        NoSuchModel: there is no such version.
    """
    version = registry.version(project.name, ref)
    bundle = open_version(registry, version)
    panel, _ = read_rows(project, settings)
    view = seen_by(bundle.spec.columns, panel)
    if view is None or panel.freq != bundle.spec.calendar.freq:
        message = (
            f"version {version.version} forecasts {_named(bundle.spec.columns)} every {bundle.spec.calendar.freq}; "
            f"the project has {_named(panel.columns)} every {panel.freq}: give it those columns, or train it again"
        )
        raise DataError(message)
    split = prepare(panel, project).split
    scaled = scale_panel(view, bundle.scales, split)
    return backtest(bundle.forecaster, bundle.calibration, scaled, view.columns.targets).scorecard


def _named(columns: Columns) -> str:
    others = ", ".join((*columns.past, *columns.known, *columns.static))
    return ", ".join(columns.targets) + (f" with {others}" if others else "")
