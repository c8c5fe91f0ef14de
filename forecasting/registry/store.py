"""What is registered, which version is in production, and moving the alias."""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from forecasting.errors import CorruptBundle, NoSuchModel
from forecasting.registry.access import connect, reaching, without_password
from forecasting.registry.artifact import BUNDLE
from forecasting.registry.orphans import end_orphans
from forecasting.registry.paging import pages_of
from forecasting.registry.run import Run, find_run, recorded, start_run
from forecasting.registry.version import ModelVersion, version_from, with_aliases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow import MlflowClient

PRODUCTION = "production"
"""The alias that is the only switch: the service serves what it points at."""

PREVIOUS = f"{PRODUCTION}.previous"
"""The tag of a version that names the one which was in production before it."""

SHOWN = 10
NUMBER = re.compile(r"[0-9]{1,9}")


def embedded(home: Path) -> tuple[str, str]:
    """Return (tracking URI, artifact root) of a store in a folder of its own, which is made where it lacks.

    Raises:
        RegistryUnavailable: the folder cannot be made.
    """
    folder = home.expanduser().absolute()
    uri = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
    with reaching(uri):
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    return uri, (folder / "artifacts").as_uri()


class Registry:
    """A model registry by its MLflow tracking URI. Making one reaches nothing; every call may raise RegistryError."""

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        """Remember the address; without `artifact_root` the server decides where artifacts lie."""
        self.uri = tracking_uri
        self._artifact_root = artifact_root

    @property
    def address(self) -> str:
        """The tracking URI, without a password."""
        return without_password(self.uri)

    def models(self) -> list[str]:
        """Return the names of all registered models, sorted."""
        return sorted(one.name for one in self._registered())

    def production(self) -> list[ModelVersion]:
        """Return the version behind the alias `production` of every model that has it, sorted by name."""
        numbers = {one.name: one.aliases[PRODUCTION] for one in self._registered() if PRODUCTION in one.aliases}
        found = []
        for name in sorted(numbers):
            with suppress(NoSuchModel), self._reach() as client:  # deleted since it was listed
                found.append(version_from(client.get_model_version(name, numbers[name])))
        return found

    def versions(self, name: str) -> list[ModelVersion]:
        """Return the versions of a model, the newest first.

        Raises:
            NoSuchModel: there is no such model; the text names the nearest one.
        """
        aliases = self._aliases(name)
        with self._reach() as client:
            found = pages_of(lambda token: client.search_model_versions(f"name='{name}'", page_token=token))
        versions = [with_aliases(version_from(one), aliases) for one in found]
        return sorted(versions, key=lambda one: -int(one.version))

    def version(self, name: str, ref: str) -> ModelVersion:
        """Return one version by number or alias.

        Raises:
            NoSuchModel: there is none; the text says what there is.
        """
        number = self._aliases(name).get(ref, ref)
        if not NUMBER.fullmatch(number):
            raise NoSuchModel(self._instead(name, ref))
        try:
            with self._reach() as client:
                return version_from(client.get_model_version(name, number))
        except NoSuchModel:
            raise NoSuchModel(self._instead(name, ref)) from None

    def fetch(self, version: ModelVersion, folder: Path) -> Path:
        """Download the bundle of a version into a folder and return where it lies.

        Raises:
            CorruptBundle: the version has no bundle, or its files are gone.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with self._reach() as client:
            source = client.get_model_version_download_uri(version.name, version.version)
            repository = get_artifact_repository(source, tracking_uri=self.uri, registry_uri=self.uri)
            if not repository.list_artifacts(BUNDLE):
                message = f"version {version.version} of {version.name} has no bundle at {source}; register it again"
                raise CorruptBundle(message)
            return Path(repository.download_artifacts(BUNDLE, str(folder)))

    def promote(
        self, version: ModelVersion, decision: Mapping[str, Any] | msgspec.Struct, alias: str = PRODUCTION
    ) -> None:
        """Record the decision, then move the alias: whoever sees the alias moved can read why.

        The version's tag `<alias>.previous` is the version that held the alias.
        """
        previous = self._aliases(version.name).get(alias)
        self.record(version, decision, alias)
        with self._reach() as client:
            if previous not in (None, version.version):
                _tag(client, version, f"{alias}.previous", previous)
            client.set_registered_model_alias(version.name, alias, version.version)

    def record(
        self, version: ModelVersion, decision: Mapping[str, Any] | msgspec.Struct, alias: str = PRODUCTION
    ) -> None:
        """Record a decision about a version, whatever it is.

        It goes whole into the version's run (`decision.json`, then `decision-2.json`, ...) and its plain values into
        the version's tag `<alias>.decision`.
        """
        found = msgspec.to_builtins(decision)
        plain = {key: value for key, value in found.items() if isinstance(value, (str, int, float, bool, type(None)))}
        with self._reach() as client:
            client.get_model_version(version.name, version.version)
            if version.run_id:
                _log_decision(client, version.run_id, found)
            _tag(client, version, f"{alias}.decision", msgspec.json.encode(plain).decode())

    def end_orphans(self, model: str, mark: str, is_orphan: Callable[[str], bool]) -> list[str]:
        """End runs of a model that nobody is at any longer: those RUNNING whose tag `mark` says so; return their ids.

        They become FAILED, with what of a model they had begun to write, and say so in the tag `error`.
        """
        with self._reach() as client:
            return end_orphans(client, model, mark, is_orphan)

    @contextmanager
    def run(
        self,
        model: str,
        *,
        name: str | None = None,
        git_commit: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[Run]:
        """Record one run of a model, in the experiment of that name; it ends however the block ends.

        FINISHED, or KILLED on Ctrl-C, or FAILED on any other error, which the tag `error` then says.
        """
        with self._reach() as client:
            run = start_run(client, self.uri, self._experiment(model), name, _commit(git_commit) | dict(tags or {}))
        with recorded(run):
            yield run

    @contextmanager
    def resumed(self, model: str, key: Mapping[str, str], *, name: str, git_commit: str | None) -> Iterator[Run]:
        """Record more of the run of a model that has the tags `key`, or of a new one; it ends as `run` does.

        No value in `key` may hold a quote.
        """
        with self._reach() as client:
            experiment = self._experiment(model)
            run = find_run(client, self.uri, experiment, key)
            run = run or start_run(client, self.uri, experiment, name, _commit(git_commit) | dict(key))
        with recorded(run):
            yield run

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self.uri)

    @contextmanager
    def _reach(self) -> Iterator[MlflowClient]:
        with reaching(self.uri):
            yield self._client

    def _registered(self) -> list[Any]:
        with self._reach() as client:
            return pages_of(lambda token: client.search_registered_models(page_token=token))

    def _aliases(self, name: str) -> dict[str, str]:
        try:
            with self._reach() as client:
                return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}
        except NoSuchModel:
            raise NoSuchModel(self._nearest(name)) from None

    def _nearest(self, name: str) -> str:
        names = self.models()
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        if near:
            return f"there is no model {name!r}; did you mean {near[0]!r}?"
        known = f"registered are {', '.join(names[:SHOWN])}" if names else "nothing is registered yet: train a model"
        return f"there is no model {name!r}; {known}"

    def _instead(self, name: str, ref: str) -> str:
        versions = self.versions(name)
        if not versions:
            return f"model {name!r} has no versions; train it"
        aliases = [f"{alias} (version {one.version})" for one in versions for alias in one.aliases]
        numbers = ", ".join(one.version for one in versions[:SHOWN])
        return (
            f"model {name!r} has no version or alias {ref!r}; "
            f"its aliases: {', '.join(aliases) or 'none'}; its newest versions: {numbers}"
        )

    def _experiment(self, name: str) -> str:
        client = self._client
        found = client.get_experiment_by_name(name)
        if found is None:
            location = f"{self._artifact_root}/{name}" if self._artifact_root else None
            return str(client.create_experiment(name, artifact_location=location))
        if found.lifecycle_stage == "deleted":  # by hand, in the UI; its name cannot be taken again
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _commit(commit: str | None) -> dict[str, str]:
    return {"mlflow.source.git.commit": commit} if commit else {}


def _tag(client: MlflowClient, version: ModelVersion, key: str, value: str | None) -> None:
    client.set_model_version_tag(version.name, version.version, key, value)


def _log_decision(client: MlflowClient, run_id: str, decision: dict[str, Any]) -> None:
    earlier = sum(Path(one.path).name.startswith("decision") for one in client.list_artifacts(run_id))
    name = f"decision-{earlier + 1}.json" if earlier else "decision.json"
    client.log_text(run_id, msgspec.json.format(msgspec.json.encode(decision), indent=2).decode(), name)
