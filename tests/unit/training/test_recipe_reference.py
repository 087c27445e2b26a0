"""docs/recipe.md names every key of a recipe with its default, and its examples are recipes."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from sparsespeech.errors import RecipeError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import deepspeech, lstmp
from sparsespeech.pruning.masks import build_schedule
from sparsespeech.pruning.schedule import NarangRamp, PowerRamp
from sparsespeech.pruning.scopes import pruning_groups
from sparsespeech.pruning.structure_settings import Structure, parse_structure, structure_text
from sparsespeech.pruning.targets import resolve_targets
from sparsespeech.training.parameter_shapes import parameter_shapes
from sparsespeech.training.recipe import Recipe, parse_recipe
from sparsespeech.training.recipe_section import RecipeSection
from tests.tone_corpus import tiny_recipe

PAGE = (Path(__file__).parents[3] / "docs" / "recipe.md").read_text()
HEADINGS = ["key", "default", "meaning and limits"]
Table = list[list[str]]


def tables() -> Iterator[tuple[str, Table]]:
    """Each table under the text of its heading: rows of cells, the first those of the head."""
    for part in re.split(r"^#+ ", PAGE, flags=re.MULTILINE)[1:]:
        for found in re.findall(r"(?:^\|.*\n)+", part, re.MULTILINE):
            rows = [
                [cell.strip() for cell in line.strip("|").split(" | ")]
                for line in found.replace("| |", "|  |").splitlines()
            ]
            yield part.partition("\n")[0], [rows[0], *rows[2:]]


def keys_of_sections() -> dict[str, Table]:
    """The rows of the tables of keys by the path of their section, "" for the recipe itself."""
    found = {}
    for heading, (head, *rows) in tables():
        if head == HEADINGS:
            path = re.search(r"`([a-z_.]+)`", heading)
            found[path[1] if path else ""] = rows
    return found


def sections(model: type[RecipeSection], path: str = "") -> Iterator[tuple[str, type]]:
    """``model`` and all sections in it by path; structures have a table of another form."""
    yield path, model
    for name, field in model.model_fields.items():
        for inner in section_types(field.annotation):
            if "kind" not in inner.model_fields:
                yield from sections(inner, f"{path}.{name}".lstrip("."))


def section_types(annotation: Any) -> set[type[RecipeSection]]:
    if isinstance(annotation, type) and issubclass(annotation, RecipeSection):
        return {annotation}
    return {t for part in typing.get_args(annotation) for t in section_types(part)}


SECTIONS = dict(sections(Recipe))
del SECTIONS["data.development"]  # the keys of data.train
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_every_section_has_a_table_and_every_table_a_section() -> None:
    assert len(SECTIONS) > 10
    assert set(keys_of_sections()) == {*SECTIONS, "model.features"}


@pytest.mark.parametrize("path", SECTIONS)
def test_keys_and_defaults_are_those_of_the_recipe(path: str) -> None:
    model = SECTIONS[path]
    rows = keys_of_sections()[path]
    assert [key.strip("`") for key, _, _ in rows] == list(model.model_fields)
    types = typing.get_type_hints(model, include_extras=True)
    for (name, field), (_, default, meaning) in zip(model.model_fields.items(), rows, strict=True):
        assert meaning, name
        if field.is_required():
            assert default == "needed", name
            continue
        documented = yaml.safe_load(default.removeprefix("`").removesuffix("`"))
        real = field.get_default(call_default_factory=True)
        assert TypeAdapter(types[name]).validate_python(documented) == real, name


def test_constants_of_the_front_end_are_those_of_the_features() -> None:
    rows = keys_of_sections()["model.features"]
    documented = {key.strip("`"): yaml.safe_load(default.strip("`")) for key, default, _ in rows}
    assert documented == {field.name: field.default for field in fields(MfccConfig)}


def test_structures_are_all_there_with_their_defaults() -> None:
    kinds = {inner.model_fields["kind"].annotation: inner for inner in section_types(Structure)}
    kinds = {typing.get_args(literal)[0]: inner for literal, inner in kinds.items()}
    (rows,) = (rows for _, (head, *rows) in tables() if head[0] == "kind")
    assert {row[0].strip("`") for row in rows} == set(kinds)
    for kind, text, keys, _ in rows:
        default = kinds[kind.strip("`")](kind=kind.strip("`"))
        assert structure_text(default) == text.strip("`")
        assert parse_structure(text.strip("`")) == default
        values = default.model_dump(exclude={"kind"})
        assert keys == ", ".join(f"`{key}: {value}`" for key, value in values.items())


def test_the_course_of_the_ramps_is_as_the_table_says() -> None:
    (rows,) = (rows for _, (head, *rows) in tables() if head[0] == "share of the ramp")
    for (name, *course), power in zip(rows, (3, 1), strict=True):
        ramp = PowerRamp(0, 100, 1, power=power)
        real = [ramp.sparsity(step, 0, 0.9) for step in (0, 25, 50, 75, 100)]
        assert list(map(float, course)) == pytest.approx(real, abs=0.00051), name


def test_the_default_ramp_ends_where_the_default_decay_starts() -> None:
    values = tiny_recipe(Path("m.jsonl"), optimizer={"steps": 100})
    values["pruning"] = {"final_sparsity": 0.9}
    recipe = parse_recipe(values, "my.yaml")
    assert recipe.pruning is not None
    assert recipe.pruning.end == recipe.optimizer.decay_start
    values["pruning"]["end"] = 0.6
    with pytest.raises(RecipeError, match=r"decay_start 0\.5 is before pruning\.end 0\.6"):
        parse_recipe(values, "my.yaml")


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_a_recipe(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = tiny_recipe(Path("m.jsonl"), pruning=None)
    values["optimizer"] = {"steps": 3000}
    for section, content in yaml.safe_load(block).items():
        before = values.get(section)
        # Sections of the tiny recipe fill up what an example leaves out.
        values[section] = {**before, **content} if isinstance(before, dict) else content
    recipe = parse_recipe(values, "docs/recipe.md")
    settings = recipe.pruning
    if settings is None:
        return
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_schedule.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    schedule = build_schedule(settings, recipe.optimizer.steps, steps_per_epoch=100)
    if not isinstance(schedule, NarangRamp):
        final = settings.final_sparsity
        assert schedule.sparsity(schedule.end, 20, final) == pytest.approx(final)
    if settings.from_sensitivity is None:
        shapes = {
            name: shape for name, shape in parameter_shapes(deepspeech(256)).items()
            if len(shape) == 2
        }  # fmt: skip
        targets = resolve_targets(settings, shapes)
        assert pruning_groups(targets, shapes)


def test_names_of_matrices_are_those_of_the_network() -> None:
    (names,) = re.findall(r"```\n(layer1\.weight.*?)```", PAGE, re.DOTALL)
    shapes = parameter_shapes(deepspeech(8))
    assert names.split() == [name for name, shape in shapes.items() if len(shape) == 2]
    assert any(name.endswith("weight_projection") for name in parameter_shapes(lstmp(8)))
