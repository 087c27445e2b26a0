"""``sparsespeech prune CHECKPOINT``: prune at once or while training on, without a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sparsespeech.cli.option_types import (
    AsJson,
    CheckpointArgument,
    ResumeOption,
    SetKeyOption,
    TorchThreadsOption,
)
from sparsespeech.cli.prune_options import (
    Course,
    DistillOption,
    ExceptionsOption,
    IterativeOption,
    LearningRateOption,
    OneShotOption,
    RunFolder,
    ScanOption,
    ScheduleOption,
    Scope,
    ScopeOption,
    SparsityOption,
    StepsOption,
    StepSparsityOption,
    WerLossOption,
    check_courses,
    check_no_training,
)
from sparsespeech.cli.pruned_weights import report_pruned
from sparsespeech.cli.repeat_rounds import run_rounds
from sparsespeech.cli.sparsity_options import (
    StructureOption,
    check_structure,
    parse_matrix_sparsities,
    parse_sparsities,
)

if TYPE_CHECKING:
    from sparsespeech.pruning.retraining_recipe import Retraining
    from sparsespeech.pruning.sensitivity_file import Scan
    from sparsespeech.training.recipe import Recipe


def run(
    checkpoint: CheckpointArgument,
    output: RunFolder,
    sparsity: SparsityOption = None,
    schedule: ScheduleOption = None,
    one_shot: OneShotOption = False,
    iterative: IterativeOption = None,
    steps: StepsOption = None,
    learning_rate: LearningRateOption = None,
    structure: StructureOption = None,
    scope: ScopeOption = Scope.layer,
    scan: ScanOption = None,
    exceptions: ExceptionsOption = None,
    distill: DistillOption = False,
    wer_loss: WerLossOption = None,
    step_sparsity: StepSparsityOption = None,
    set_key: SetKeyOption = None,
    resume: ResumeOption = False,
    threads: TorchThreadsOption = None,
    as_json: AsJson = False,
) -> None:
    """Prune a trained network: gradually, once, or in stages, and let it recover.

    Data, features and network come from the checkpoint's own recipe, which is written, with what
    changed, into the run folder. With --resume that recipe counts, and no other option.
    """
    from sparsespeech.pruning.retraining_recipe import Retraining
    from sparsespeech.training.loop import train
    from sparsespeech.training.recipe import load_recipe

    if resume and (output / "recipe.yaml").is_file():
        recipe = load_recipe(str(output / "recipe.yaml"))
    else:
        stages = parse_sparsities(iterative, "--iterative") if iterative is not None else []
        check_courses(schedule, stages, one_shot=one_shot)
        shape = "one_shot" if one_shot else (schedule or Course.cubic).value
        section = _section(sparsity, stages, shape, structure, scope, scan, exceptions or [])
        changes = set_key or []
        if steps == 0:
            check_no_training(
                one_shot=one_shot,
                learning_rate=learning_rate,
                distill=distill,
                wer_loss=wer_loss,
                step_sparsity=step_sparsity,
                changes=changes,
            )
            _prune_now(checkpoint, section, output, changes)
            report_pruned(output, as_json=as_json)
            return
        retraining = Retraining(steps, learning_rate, tuple(stages), distill)
        recipe = _recipe(checkpoint, section, retraining, _rounds(wer_loss, step_sparsity), changes)
    if recipe.repeat_until is not None:
        run_rounds(recipe, output, resume=resume, threads=threads, as_json=as_json)
        return
    train(recipe, output, resume=resume, threads=threads)
    if os.environ.get("RANK", "0") == "0":  # torchrun: one worker speaks for all
        report_pruned(output, as_json=as_json)


def _section(
    sparsity: float | None,
    stages: list[float],
    shape: str,
    structure: str | None,
    scope: Scope,
    file: Path | None,
    exceptions: list[str],
) -> dict[str, Any]:
    """Plain values of the recipe's section ``pruning``; raises usage errors, SensitivityError."""
    from sparsespeech.pruning.retraining_recipe import pruning_section
    from sparsespeech.pruning.sensitivity_file import read_scan

    scan = read_scan(file) if file is not None else None
    if structure is not None:
        check_structure(structure)
    return pruning_section(
        _final_sparsity(sparsity, stages, scan),
        shape,
        structure or (scan.structure if scan is not None else "unstructured"),
        scope.value,
        parse_matrix_sparsities(exceptions, "--exceptions"),
        file,
    )


def _final_sparsity(sparsity: float | None, stages: list[float], scan: Scan | None) -> float:
    if sparsity is not None:
        return sparsity
    if stages:
        return stages[-1]
    if scan is None or scan.suggested is None:
        raise typer.BadParameter(
            "say how sparse: this, --iterative, or --from with a complete sensitivity.json",
            param_hint="--sparsity",
        )
    return scan.suggested.target


def _rounds(wer_loss: float | None, step_sparsity: float | None) -> dict[str, Any]:
    """The recipe's section ``repeat_until`` as far as options say; raises a usage error."""
    if wer_loss is None:
        if step_sparsity is not None:
            raise typer.BadParameter(
                "goes with --repeat-until-wer-loss", param_hint="--step-sparsity"
            )
        return {}
    step = {} if step_sparsity is None else {"step": step_sparsity}
    return {"repeat_until": {"wer_loss": wer_loss, **step}}


def _recipe(
    checkpoint: Path,
    section: dict[str, Any],
    retraining: Retraining,
    rounds: dict[str, Any],
    changes: list[str],
) -> Recipe:
    """The checked recipe of the run."""
    from sparsespeech.pruning.retraining_recipe import retraining_recipe
    from sparsespeech.training.checkpoint import find_checkpoint, read_state
    from sparsespeech.training.recipe import parse_recipe, set_key

    folder = find_checkpoint(checkpoint)
    values = retraining_recipe(folder, read_state(folder)["recipe"], section, retraining)
    values.update(rounds)
    for change in changes:
        set_key(values, change)
    return parse_recipe(values, f"recipe made from {folder}")


def _prune_now(checkpoint: Path, section: dict[str, Any], output: Path, changes: list[str]) -> None:
    """Prune without training."""
    from sparsespeech.pruning.one_shot import prune_checkpoint
    from sparsespeech.pruning.settings import Pruning
    from sparsespeech.training.recipe import set_key

    values = {"pruning": section}
    for change in changes:
        set_key(values, change)
    prune_checkpoint(checkpoint, Pruning.parse(values["pruning"]), output)
