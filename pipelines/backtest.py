"""Judge a registered model again, on the test rows of a project as its file is now."""

from __future__ import annotations

from forecasting.assembly import prepare
from forecasting.errors import DataError
from forecasting.evaluation import backtest
from forecasting.project import Project
from forecasting.reading import read_panel
from forecasting.registry import Registry
from forecasting.scaled import scale_panel
from forecasting.scores import Scorecard
from pipelines.versions import open_version


def backtest_version(project: Project, registry: Registry, ref: str) -> Scorecard:
    """Score the version behind an alias or number, in its own z units.

    Raises:
        DataError: the data cannot be used, or have other columns or another step than the model.
        NoSuchModel: there is no such version.
    """
    version = registry.version(project.name, ref)
    bundle = open_version(registry, version)
    panel, _ = read_panel(project)
    if (panel.columns, panel.freq) != (bundle.spec.targets, bundle.spec.calendar.freq):
        message = (
            f"version {version.version} forecasts {', '.join(bundle.spec.targets)} every {bundle.spec.calendar.freq}; "
            f"the project has {', '.join(panel.columns)} every {panel.freq}"
        )
        raise DataError(message)
    split = prepare(panel, project).split
    scaled = scale_panel(panel, bundle.scaler, bundle.spec.calendar, split)
    return backtest(bundle.forecaster, scaled, panel.columns).scorecard
