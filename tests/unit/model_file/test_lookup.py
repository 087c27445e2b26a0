from __future__ import annotations

import re
from pathlib import Path

import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import lookup
from sparsespeech.model_file.lookup import bundled_models, resolve_model


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with two bundled models."""
    models = tmp_path / "package" / "models"
    models.mkdir(parents=True)
    for name in ("small", "an4"):
        (models / f"{name}.safetensors").write_bytes(b"")
    (models / "README.md").write_text("no model")
    monkeypatch.setattr(lookup, "files", lambda _: tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    return models


def test_names_are_sorted(package: Path) -> None:
    assert list(bundled_models()) == ["an4", "small"]


def test_bundled_name_wins_over_a_path(package: Path, tmp_path: Path) -> None:
    (tmp_path / "an4").write_bytes(b"")
    assert resolve_model("an4") == package / "an4.safetensors"
    assert resolve_model("./an4") == Path("an4")


def test_file_and_folder(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    assert resolve_model(folder) == folder / "model.safetensors"
    assert resolve_model(folder / "model.safetensors") == folder / "model.safetensors"


@pytest.mark.parametrize("name", ["nothing", "small.safetensors", "../small", "x" * 5000, "a\0b"])
def test_error_lists_the_bundled_names(name: str, package: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no such model file.*bundled model \(an4, small\)"):
        resolve_model(name)


def test_folder_without_a_model(package: Path, tmp_path: Path) -> None:
    for given, name in ((".", "."), ("", "."), (tmp_path, str(tmp_path))):
        message = r"^{}: a folder without a model\.safetensors; give a .*\(an4, small\)$"
        with pytest.raises(ModelFileError, match=message.format(re.escape(name))):
            resolve_model(given)


def test_names_of_the_real_package_resolve() -> None:
    for name, path in bundled_models().items():
        assert resolve_model(name) == path
        assert path.is_file()
