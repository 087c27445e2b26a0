"""Recipes: bundled ones are valid, bad keys are named."""

from pathlib import Path

import pytest
import yaml

from sparsespeech.errors import RecipeError
from sparsespeech.training.recipe import bundled_recipes, expand_path, load_recipe, parse_recipe
from tests.tone_corpus import tiny_recipe


def with_change(section: str, **changes: object) -> dict[str, object]:
    values = tiny_recipe(Path("m.jsonl"))
    values[section] = {**values.get(section, {}), **changes}
    return values


@pytest.mark.parametrize("name", bundled_recipes())
def test_bundled_recipes_are_valid(name: str) -> None:
    assert load_recipe(name).name == name


def test_a_recipe_that_starts_from_another_has_its_width() -> None:
    recipes = {name: load_recipe(name) for name in bundled_recipes()}
    started = {name: Path(recipe.model.initial).name
               for name, recipe in recipes.items() if recipe.model.initial}  # fmt: skip
    assert {"an4-sparse", "english-medium-dense"} <= set(started)
    for name, initial in started.items():
        source = recipes[initial.removesuffix("-imported")]  # a bundled model has its recipe's name
        assert recipes[name].model.hidden == source.model.hidden, name


@pytest.mark.parametrize(
    ("initial", "key", "sorts"),
    [(None, None, True), ("runs/a", None, False), (None, False, False), ("runs/a", True, True)],
)
def test_a_network_that_goes_on_needs_no_short_utterances_first(
    initial: str | None, key: bool | None, sorts: bool
) -> None:
    values = tiny_recipe(Path("m.jsonl"))
    values["model"] = {**values["model"], "initial": initial}
    values["data"] = {**values["data"], "sorted_first_epoch": key}
    assert parse_recipe(values, "my.yaml").sorts_first_epoch is sorts


def test_the_models_of_the_readme_have_recipes() -> None:
    assert {"an4", "english-small", "english-medium"} <= set(bundled_recipes())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (with_change("optimizer", learning_rat=1), "unknown key 'optimizer.learning_rat'"),
        (with_change("pruning", final_sparsity=1.0), "pruning.final_sparsity"),
        (with_change("pruning", final_sparsity=-0.1), "pruning.final_sparsity"),
        (with_change("pruning", final_sparsity=float("nan")), "pruning.final_sparsity"),
        (with_change("pruning", start=0.7), "pruning.start 0.7 must be below"),
        (with_change("optimizer", decay_start=0.3), "must not decay during the ramp"),
        (with_change("optimizer", steps=0), "optimizer.steps"),
        (with_change("optimizer", betas=[0.9, 1.0]), "optimizer.betas"),
        (with_change("optimizer", learning_rate=float("inf")), "optimizer.learning_rate"),
        (with_change("optimizer", steps=1), "the pruning ramp is steps 0 to 1 of 1"),
        (
            tiny_recipe(Path("m.jsonl"), optimizer={"steps": 5}, pruning=None, fixed_point={}),
            "fixed_point.start 0.8 and fixed_point.freeze 0.9 are both step 4 of 5",
        ),
        ({**tiny_recipe(Path("m.jsonl")), "seed": -1}, "seed"),
        (with_change("model", features={"strid": 1}), "model.features"),
        (with_change("model", features={"stride": 0}), "model.features"),
        (with_change("model", features={"stride": "320"}), "model.features.stride: expected an"),
        (with_change("data", train=[]), "data.train"),
        ({"name": "x"}, "data: Field required"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(values, "my.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith(("my.yaml", "model.features"))
    assert "\n" not in str(caught.value)


def test_overrides(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe(Path("m.jsonl"))))
    recipe = load_recipe(str(path), ["optimizer.steps=77", "pruning=null"])
    assert recipe.optimizer.steps == 77
    assert recipe.pruning is None
    for override in ("optimizer.steps", "name.x=1", "seed=[1"):
        with pytest.raises(RecipeError, match="--set"):
            load_recipe(str(path), [override])


def test_a_ramp_that_never_ends_is_refused() -> None:
    values = with_change("pruning", end=1.0)
    values["optimizer"]["decay_start"] = 1.0
    with pytest.raises(RecipeError, match="end before the last one"):
        parse_recipe(values, "my.yaml")


def test_a_binary_file_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not text in UTF-8"):
        load_recipe(str(path))


@pytest.mark.parametrize("content", ["- a", "a: [", ""])
def test_files_that_are_no_recipe(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        load_recipe(str(path))


def test_unknown_name_lists_the_bundled_ones() -> None:
    with pytest.raises(RecipeError, match="an4"):
        load_recipe("no-such-recipe")


def test_unset_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUS", "/data")
    assert expand_path("$CORPUS/a.jsonl") == Path("/data/a.jsonl")
    monkeypatch.delenv("CORPUS")
    with pytest.raises(RecipeError, match="environment variable"):
        expand_path("$CORPUS/a.jsonl")
