"""One training run while it lasts: data, step, pruning, checkpoint, top to bottom.

Axes: B utterances, T frames, F coefficients, V labels.

Everything random in step s comes from generators seeded by (recipe seed, s), and the batch of
step s is a pure function of recipe and s (``batches.py``). So a run that is killed and resumed
ends with the same bits as one that was not (on a CPU, in the same ``run_environment.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.errors import CheckpointError
from sparsespeech.pruning.masks import PruningMasks
from sparsespeech.quantization.fixed_point_retraining import FixedPointRetraining
from sparsespeech.training import checkpoint as checkpoints
from sparsespeech.training.batch_loading import BatchLoader, Normalisation, SpeechBatch
from sparsespeech.training.checkpoint_state import read_checkpoint_state
from sparsespeech.training.dataset import SpeechDataset, Unalignable, load_dataset
from sparsespeech.training.development import development_figures
from sparsespeech.training.distillation import Teacher
from sparsespeech.training.distributed import (
    average_gradients,
    sum_over_workers,
)
from sparsespeech.training.incident import NAMED_UTTERANCES, Incident, exploded
from sparsespeech.training.network import build_masks, build_network, load_initial_weights
from sparsespeech.training.objective import BatchLoss, network_loss
from sparsespeech.training.optimizer import WeightAverage, build_optimizer, learning_rate
from sparsespeech.training.policy import StepPolicy
from sparsespeech.training.recipe import Recipe
from sparsespeech.training.run_environment import moved, run_environment
from sparsespeech.training.run_identity import check_inputs, check_same_run, run_inputs
from sparsespeech.training.throughput import Throughput, peak_flops


@dataclass(eq=False)
class Session:
    """Everything that changes during a run, and the data it changes on."""

    recipe: Recipe
    run: Path
    device: torch.device
    rank: int
    workers: int
    alphabet: Alphabet
    development: SpeechDataset
    loader: BatchLoader
    model: DeepSpeech
    optimizer: torch.optim.AdamW
    average: WeightAverage
    masks: PruningMasks | None
    fixed_point: FixedPointRetraining | None
    teacher: Teacher | None
    policy: StepPolicy
    throughput: Throughput

    def __post_init__(self) -> None:
        """Skip the zeros that are kept from the first step on, as a resumed run does."""
        self._skip_pruned_weights()

    @classmethod
    def build(
        cls,
        recipe: Recipe,
        run: Path,
        progress: Progress,
        rank: int,
        workers: int,
        *,
        resume: bool = False,
    ) -> Session:
        """Load data, build model, optimizer and masks as they are before step 0.

        With ``resume`` the normalisation and the layers of ``architecture: initial`` come from the
        run's newest checkpoint, if there is one.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        resumed = resume and bool(checkpoints.list_checkpoints(run))
        check_inputs(recipe, resumed=resumed)
        alphabet, features = Alphabet(tuple(recipe.data.symbols)), recipe.feature_config()
        newest = read_checkpoint_state(checkpoints.find_checkpoint(run)) if resumed else None
        # What can be wrong with the network shows before the features of hours are computed.
        model = build_network(recipe, newest.graph if newest is not None else None)
        path = None if resumed else recipe.model.initial
        initial = load_initial_weights(model, path) if path is not None else None
        dataset, development = (
            load_dataset(
                sources,
                features,
                alphabet,
                run / "features",
                max_duration_s=recipe.data.max_duration_s,
                progress=progress,
            )
            for sources in (recipe.data.train, [recipe.data.development])
        )
        mean, deviation = initial or dataset.normalisation()
        if newest is not None:
            mean, deviation = newest.mean, newest.deviation
        model.to(device)
        loader = BatchLoader.build(
            recipe, dataset, Normalisation(mean, deviation), device, rank, workers
        )
        dtype = torch.bfloat16 if recipe.optimizer.bfloat16 else torch.float32
        return cls(
            recipe,
            run,
            device,
            rank,
            workers,
            alphabet,
            development,
            loader,
            model,
            build_optimizer(model, recipe.optimizer),
            WeightAverage(model, recipe.optimizer.average_decay),
            build_masks(recipe, model, loader.plan.steps_per_epoch()),
            FixedPointRetraining(model, recipe.fixed_point) if recipe.fixed_point else None,
            Teacher.build(recipe, loader.normalisation, device),
            StepPolicy(recipe.policy),
            Throughput(model, features.frame_duration_s, peak_flops(dtype, device)),
        )

    def prune(self, step: int) -> int | None:
        """Algorithm 1 of the MAU paper: update the masks, then weights times masks.

        Returns how many mask entries changed, or None where no update is due.
        """
        epoch = self.loader.plan.at(step, self.rank).epoch
        if self.masks is None or not self.masks.updates_masks(step, epoch):
            return None
        before = {name: mask.clone() for name, mask in self.masks.masks.items()}
        self.masks.update(step, epoch, self.optimizer)
        self.masks.apply(self.average.values)
        self._skip_pruned_weights()
        return sum(int((self.masks.masks[name] != mask).sum()) for name, mask in before.items())

    def _skip_pruned_weights(self) -> None:
        """Let the kernels leave out pruned weights, unless they may return."""
        if self.masks is not None and not self.masks.keeps_dense_weights:
            self.model.set_sparse_patterns(self.masks.masks)

    def train_step(self, step: int) -> tuple[float, Incident | None]:
        """One forward, backward and update.

        Returns the CTC loss in nats a character, and what went wrong and was survived; raises
        TrainingError where the policy gives up.
        """
        self.model.train()
        torch.manual_seed(self.recipe.seed * 1_000_003 + step * self.workers + self.rank)
        batch = self.loader.load(step)
        self.throughput.count(int(batch.lengths.sum()) * self.workers)
        self.optimizer.zero_grad(set_to_none=True)
        with self.masks.forward_weights() if self.masks is not None else nullcontext():
            loss = self._loss(step, batch)
            if sum_over_workers(loss.is_broken(), self.workers) > 0:
                return self._skip(step, "loss", batch, loss.suspects(self.workers))
            loss.total.backward()
        if self.masks is not None:
            self.masks.mask_gradients()
        parameters = list(self.model.parameters())
        average_gradients(parameters, self.workers)
        limit = self.recipe.optimizer.gradient_clip
        norm = float(nn.utils.clip_grad_norm_(parameters, limit, foreach=True))
        if not math.isfinite(norm):
            return self._skip(step, "gradient", batch, loss.largest(len(batch.numbers)))
        usual = self.policy.explosion(norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step)
        self.optimizer.step()
        self.average.update(step)
        if self.masks is not None:
            self.masks.apply(self.average.values)
        if usual is None or norm <= limit:  # a large norm, but none that was clipped
            return loss.ctc, None
        return loss.ctc, exploded(norm, usual, self._names(batch, loss.largest(NAMED_UTTERANCES)))

    def _skip(
        self, step: int, what: str, batch: SpeechBatch, places: Tensor
    ) -> tuple[float, Incident]:
        """Leave ``step`` out, the ranges that it has observed as well; ``places`` are to blame."""
        if self.fixed_point is not None:
            self.fixed_point.undo()
        return math.nan, self.policy.skip(step, what, self._names(batch, places))

    def _loss(self, step: int, batch: SpeechBatch) -> BatchLoss:
        with self._autocast():
            return network_loss(
                self._network(step), self.model, batch, self.alphabet.blank, self.teacher
            )

    def _network(self, step: int) -> Callable[[Tensor, Tensor], Tensor]:
        """What computes log-probabilities: from its start on, fixed-point retraining.

        Ranges are not frozen before there are any: every step so far may have been skipped.
        """
        if self.fixed_point is None or self.recipe.fixed_point is None:
            return self.model
        start, freeze = self.recipe.fixed_point.first_steps(self.recipe.optimizer.steps)
        if step >= freeze and self.fixed_point.observed:
            self.fixed_point.freeze()
        return self.fixed_point.forward if step >= start else self.model

    def _learning_rate(self, step: int) -> float:
        """That of the schedule, in which iterative pruning goes back after each stage."""
        position = self.masks.learning_rate_position(step) if self.masks is not None else step
        return learning_rate(position, self.recipe.optimizer)

    def development_figures(self, step: int) -> dict[str, float]:
        """Word error rate and loss of the averaged weights, computed as step ``step`` does."""
        self.model.eval()
        with self.average.as_parameters(), self._autocast():
            return development_figures(
                self._network(step) if self._has_ranges() else self.model,
                self.development,
                self.loader.normalisation,
                self.alphabet,
                self.recipe.logging.evaluate_utterances,
                self.device,
            )

    def _has_ranges(self) -> bool:
        """True once fixed-point retraining has seen activations."""
        return self.fixed_point is not None and self.fixed_point.observed

    def figures(self, step: int, loss: float) -> dict[str, float]:
        """What the log shows."""
        return {
            "epoch": self.loader.plan.at(step, self.rank).epoch,
            "loss": loss,
            "learning_rate": self._learning_rate(step),
            "sparsity": self.sparsity(),
            **self.throughput.report(),
        }

    def sparsity(self) -> float:
        """Share of zeros over the matrices that are pruned."""
        return self.masks.sparsity() if self.masks is not None else 0.0

    def corpus_figures(self) -> dict[str, float]:
        """Training utterances, those left out (too long, or too short for their text), hours."""
        return self.loader.dataset.figures(self.recipe.feature_config().frame_duration_s)

    def unalignable(self) -> list[Unalignable]:
        """Utterances of training and development speech that no alignment fits."""
        return self.loader.dataset.unalignable + self.development.unalignable

    def save(self, step: int) -> None:
        """Write the checkpoint of the state before ``step``.

        After a skipped step no older one is removed: the weights may be what is wrong.
        """
        tensors = {f"weights.{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors |= {f"average.{name}": t for name, t in self.average.values.items()}
        tensors |= {f"policy.{name}": t for name, t in self.policy.tensors().items()}
        if self.masks is not None:
            tensors |= self.masks.tensors()
        if self.fixed_point is not None and self._has_ranges():
            tensors |= {f"fixed_point.{name}": t for name, t in self.fixed_point.tensors().items()}
        normalisation = self.loader.normalisation
        state = {
            "recipe": self.recipe.model_dump(mode="json"),
            "graph": self.model.graph.to_json(),
            "features": self.recipe.feature_config().to_json(),
            "mean": normalisation.mean.tolist(),
            "deviation": normalisation.deviation.tolist(),
            "labels": list(self.alphabet.symbols),
            "progress": {
                **self._inputs(),
                "environment": run_environment(self.device),
                "sparsity": self.sparsity(),
                **self.corpus_figures(),
            },
        }
        checkpoints.save_checkpoint(
            self.run,
            step,
            tensors,
            checkpoints.optimizer_tensors(self.optimizer, self._parameter_names()),
            state,
            None if self.policy.skipped_in_a_row else self.recipe.logging.keep_checkpoints,
        )

    def restore(self, *, files_may_move: bool = False) -> tuple[int, Incident | None]:
        """Load the newest checkpoint of the run, if any.

        Returns the step to go on with, and what differs from where the run came from.
        ``files_may_move`` is that of :func:`check_same_run`, which raises CheckpointError.
        """
        if not checkpoints.list_checkpoints(self.run):
            return 0, None
        folder = checkpoints.find_checkpoint(self.run)
        state = checkpoints.read_state(folder)
        tensors = checkpoints.read_tensors(folder, "model")
        try:
            check_same_run(
                folder, state, self.recipe, self._inputs(), files_may_move=files_may_move
            )
            self.model.load_state_dict(checkpoints.select(tensors, "weights"))
            self.average.load(checkpoints.select(tensors, "average"))
            self.policy.load(checkpoints.select(tensors, "policy"))
            if self.masks is not None:
                self.masks.load(tensors)
                self._skip_pruned_weights()
            ranges = checkpoints.select(tensors, "fixed_point")
            if self.fixed_point is not None and ranges:
                self.fixed_point.load(ranges)
            checkpoints.restore_optimizer(
                self.optimizer,
                self._parameter_names(),
                checkpoints.read_tensors(folder, "optimizer"),
            )
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            raise CheckpointError(f"{folder}: does not fit the recipe: {error}") from None
        environment = state["progress"].get("environment", {})
        return int(state["step"]), moved(environment, run_environment(self.device))

    def _inputs(self) -> dict[str, Any]:
        return run_inputs(self.recipe, self.loader.dataset, self.workers, self.teacher)

    def _parameter_names(self) -> dict[Tensor, str]:
        return {parameter: name for name, parameter in self.model.named_parameters()}

    def _names(self, batch: SpeechBatch, places: Tensor) -> list[str]:
        """Recordings of the utterances at ``places`` of the batches of all workers."""
        names = self.loader.dataset.names
        chosen = torch.zeros(len(names), device=self.device)
        chosen[batch.numbers[places.cpu().numpy()]] = 1.0
        chosen = sum_over_workers(chosen, self.workers)
        return [names[number] for number in torch.nonzero(chosen).flatten().tolist()]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.recipe.optimizer.bfloat16
        )
