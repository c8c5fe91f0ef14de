"""What is registered, found, fetched and promoted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from forecasting.bundle import Bundle, load_bundle
from forecasting.errors import CorruptBundle, NoSuchModel, RegistryError, RegistryUnavailable
from forecasting.registry import ModelVersion, Registry, embedded
from tests.forecasting.registry.examples import artifact_of


class TestEmbeddedStore:
    def test_lies_in_its_folder_by_absolute_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        uri, root = embedded(Path("my home"))
        assert uri == f"sqlite:///{tmp_path}/my home/mlflow.db"
        assert root == (tmp_path / "my home" / "artifacts").as_uri()
        assert (tmp_path / "my home" / "artifacts").is_dir()

    def test_in_a_folder_that_cannot_be_made_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(RegistryUnavailable, match="Not a directory"):
            embedded(tmp_path / "file" / "home")

    def test_leaves_nothing_in_the_working_directory(
        self, register: Callable[[], ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        register()
        assert list((tmp_path / "elsewhere").iterdir()) == []


class TestFetching:
    def test_brings_the_bundle_that_was_registered(
        self, registry: Registry, register: Callable[[], ModelVersion], tiny_bundle: Bundle, tmp_path: Path
    ) -> None:
        place = registry.fetch(register(), tmp_path / "new" / "folder")
        assert place.is_relative_to(tmp_path / "new" / "folder")
        assert load_bundle(place).spec == tiny_bundle.spec

    def test_says_when_the_files_are_gone(
        self, registry: Registry, register: Callable[[], ModelVersion], home: Path, tmp_path: Path
    ) -> None:
        version = register()
        shutil.rmtree(artifact_of(home))
        with pytest.raises(CorruptBundle, match=r"version 1 of tiny has no bundle at .* register it again"):
            registry.fetch(version, tmp_path / "new")


class TestFinding:
    def test_takes_a_number_or_an_alias(self, registry: Registry, register: Callable[[], ModelVersion]) -> None:
        version = register()
        registry.promote(version, {"reason": "first"})
        assert registry.version("tiny", "production") == registry.version("tiny", "1") == registry.production()[0]
        assert registry.versions("tiny")[0].aliases == ("production",)

    def test_says_what_there_is_instead(self, registry: Registry, register: Callable[[], ModelVersion]) -> None:
        with pytest.raises(NoSuchModel, match="no model 'tiny'; nothing is registered yet"):
            registry.version("tiny", "1")
        registry.promote(register(), {})
        with pytest.raises(NoSuchModel, match="no model 'tinny'; did you mean 'tiny'"):
            registry.versions("tinny")
        with pytest.raises(NoSuchModel, match="no model 'else'; registered are tiny"):
            registry.version("else", "production")
        for ref in ("7", "staging", "0", "-1", "", "1.0", "²", "9" * 30):
            with pytest.raises(NoSuchModel, match=r"its aliases: production \(version 1\); its newest versions: 1$"):
                registry.version("tiny", ref)

    def test_knows_when_an_alias_or_a_version_was_deleted(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion]
    ) -> None:
        registry.promote(register(), {})
        client.delete_registered_model_alias("tiny", "production")
        assert registry.production() == []
        with pytest.raises(NoSuchModel, match="its aliases: none"):
            registry.version("tiny", "production")
        registry.promote(registry.version("tiny", "1"), {})
        client.delete_model_version("tiny", "1")
        assert registry.production() == []
        assert registry.versions("tiny") == []
        with pytest.raises(NoSuchModel, match="model 'tiny' has no versions"):
            registry.version("tiny", "1")


class TestPromoting:
    def test_records_the_decision_and_who_held_the_alias(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion], tmp_path: Path
    ) -> None:
        first, second = register(), register()
        registry.promote(first, {"reason": "first", "promoted": True})
        registry.promote(second, {"reason": "better", "promoted": True, "losses": [0.1, 0.2]})
        (now,) = registry.production()
        assert now.version == "2"
        assert now.tags["production.decision"] == '{"reason":"better","promoted":true}'
        assert now.tags["production.previous"] == "1"
        assert "production.previous" not in registry.version("tiny", "1").tags
        kept = client.download_artifacts(second.run_id, "decision.json", str(tmp_path))
        assert json.loads(Path(kept).read_bytes())["losses"] == [0.1, 0.2]

    def test_keeps_every_decision_about_a_version(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion]
    ) -> None:
        first, second = register(), register()
        for version in (first, second, first, first):
            registry.promote(version, {"reason": "again"})
        names = [one.path for one in client.list_artifacts(first.run_id)]
        assert names == ["decision-2.json", "decision-3.json", "decision.json"]
        assert registry.version("tiny", "production").tags["production.previous"] == "2"

    def test_moves_no_alias_without_a_record(
        self, registry: Registry, register: Callable[[], ModelVersion], home: Path
    ) -> None:
        first, second = register(), register()
        registry.promote(first, {})
        (home / "artifacts/tiny" / second.run_id).touch()
        with pytest.raises(RegistryError):
            registry.promote(second, {"reason": "cannot be written"})
        assert registry.production()[0].version == "1"

    def test_refuses_a_version_that_was_deleted(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion]
    ) -> None:
        version = register()
        client.delete_model_version("tiny", "1")
        with pytest.raises(NoSuchModel):
            registry.promote(version, {})
