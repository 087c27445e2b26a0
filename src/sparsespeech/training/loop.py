"""The training loop, top to bottom: data, step, pruning, checkpoint.

Axes: B utterances, T frames, F coefficients, V labels.

Everything random in step s comes from generators seeded by (recipe seed, s), and the batch of
step s is a pure function of recipe and s (``batches.py``). So a run that is killed and resumed
ends with the same bits as one that was not (on a CPU; same machine, versions, thread count).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch
import yaml
from rich.progress import Progress
from torch import Tensor, nn

from sparsespeech import atomic_file
from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.errors import CheckpointError, TrainingError
from sparsespeech.pruning.masks import PruningMasks
from sparsespeech.training import checkpoint as checkpoints
from sparsespeech.training.augmentation import FeatureAugmentation
from sparsespeech.training.batches import BatchPlan
from sparsespeech.training.dataset import SpeechDataset, frames_needed, load_dataset
from sparsespeech.training.distributed import average_gradients, barrier, worker_group
from sparsespeech.training.network import build_masks, build_network, load_initial_weights
from sparsespeech.training.optimizer import WeightAverage, build_optimizer, learning_rate
from sparsespeech.training.recipe import Recipe
from sparsespeech.training.run_identity import check_inputs, check_same_run
from sparsespeech.training.run_log import RunLog, training_progress
from sparsespeech.training.throughput import Throughput, keep_freed_memory, peak_flops


def train(
    recipe: Recipe,
    run: Path,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    threads: int | None = None,
    tensorboard: bool = False,
) -> Path:
    """Run ``recipe`` in the folder ``run`` and return the last checkpoint.

    ``resume`` goes on from the newest checkpoint of ``run`` (or starts if there is none);
    ``stop_after`` ends the session early after that many steps of the whole run; ``threads`` is
    the number of CPU threads. Raises RecipeError, ManifestError, AudioError, CheckpointError, and
    TrainingError if the run diverges.
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    with worker_group() as (rank, workers), training_progress(rank == 0) as progress:
        if not resume and checkpoints.list_checkpoints(run):
            raise CheckpointError(
                f"{run}: holds checkpoints already; use --resume to go on or another --output"
            )
        barrier(workers)  # nobody writes before all have looked
        session = Session.build(recipe, run, progress, rank, workers, resume=resume)
        first = session.restore() if resume else 0
        if rank == 0:
            text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
            atomic_file.write_text(run / "recipe.yaml", text)
        log = RunLog(run, first, enabled=rank == 0, tensorboard=tensorboard)
        if first == 0:
            log.write(0, session.corpus_figures())
        steps = min(recipe.optimizer.steps, stop_after or recipe.optimizer.steps)
        task = progress.add_task("train", total=recipe.optimizer.steps, completed=first)
        settings = recipe.logging
        for step in range(first, steps):
            session.prune(step)
            loss = session.train_step(step)
            done = step + 1
            if done % settings.log_every == 0 or done == steps:
                log.write(done, session.figures(step, loss))
            if done % settings.evaluate_every == 0 or done == recipe.optimizer.steps:
                log.write(done, {"development_wer": session.development_wer()})
                session.throughput.restart()
            if (done % settings.checkpoint_every == 0 or done == steps) and rank == 0:
                session.save(done)
                session.throughput.restart()
            barrier(workers if done % settings.checkpoint_every == 0 else 1)
            progress.update(task, completed=done, description=log.line())
        if rank == 0:
            session.save(max(first, steps))
        barrier(workers)
    return checkpoints.find_checkpoint(run)


@dataclass(eq=False)
class Session:
    """Everything that changes during a run, and the data it changes on."""

    recipe: Recipe
    run: Path
    device: torch.device
    rank: int
    workers: int
    alphabet: Alphabet
    dataset: SpeechDataset
    development: SpeechDataset
    mean: np.ndarray[Any, np.dtype[np.float64]]
    deviation: np.ndarray[Any, np.dtype[np.float64]]
    plan: BatchPlan
    augmentation: FeatureAugmentation | None
    model: DeepSpeech
    optimizer: torch.optim.AdamW
    average: WeightAverage
    masks: PruningMasks | None
    throughput: Throughput

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

        With ``resume`` the normalisation comes from the run's newest checkpoint, if there is one.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        resumed = resume and bool(checkpoints.list_checkpoints(run))
        check_inputs(recipe, resumed=resumed)
        alphabet, features = Alphabet(tuple(recipe.data.symbols)), recipe.feature_config()
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
        model = build_network(recipe)
        mean, deviation = dataset.normalisation()
        if resumed:
            state = checkpoints.read_state(checkpoints.find_checkpoint(run))
            mean, deviation = np.array(state["mean"]), np.array(state["deviation"])
        elif recipe.model.initial is not None:
            mean, deviation = load_initial_weights(model, recipe.model.initial)
        model.to(device)
        settings = recipe.augmentation
        dtype = torch.bfloat16 if recipe.optimizer.bfloat16 else torch.float32
        return cls(
            recipe,
            run,
            device,
            rank,
            workers,
            alphabet,
            dataset,
            development,
            mean,
            deviation,
            BatchPlan(
                dataset.lengths,
                dataset.source,
                recipe.data,
                seed=recipe.seed,
                steps=recipe.optimizer.steps,
                workers=workers,
            ),
            FeatureAugmentation(settings, features, mean) if settings else None,
            model,
            build_optimizer(model, recipe.optimizer),
            WeightAverage(model, recipe.optimizer.average_decay),
            build_masks(recipe, model),
            Throughput(model, features.frame_duration_s, peak_flops(dtype, device)),
        )

    def prune(self, step: int) -> None:
        """Algorithm 1 of the MAU paper: update the masks, then weights times masks."""
        if self.masks is not None and self.masks.schedule.updates_masks(step):
            self.masks.update(step, self.optimizer)
            self.masks.apply(self.average.values)

    def train_step(self, step: int) -> float:
        """One forward, backward and update; returns the CTC loss in nats a character."""
        settings = self.recipe.optimizer
        self.model.train()
        torch.manual_seed(self.recipe.seed * 1_000_003 + step * self.workers + self.rank)
        frames, lengths, targets, target_lengths = self._batch(step)
        with self._autocast():
            log_probabilities = self.model(frames, lengths)
        loss = (
            nn.functional.ctc_loss(
                log_probabilities,
                targets,
                lengths,
                target_lengths,
                blank=self.alphabet.blank,
                reduction="sum",
                zero_infinity=True,
            )
            / target_lengths.sum()
        )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = list(self.model.parameters())
        average_gradients(parameters, self.workers)
        norm = nn.utils.clip_grad_norm_(parameters, settings.gradient_clip, foreach=True)
        if not math.isfinite(loss.item() + norm.item()):
            raise TrainingError(
                f"step {step}: loss {loss.item()}, gradient norm {norm.item()}: the run diverged; "
                f"resume from the last checkpoint with a lower optimizer.learning_rate"
            )
        self.optimizer.step()
        self.average.update(step)
        if self.masks is not None:
            self.masks.apply(self.average.values)
        self.throughput.count(int(lengths.sum()) * self.workers)
        return float(loss.item())

    def development_wer(self) -> float:
        """Greedy word error rate (per cent) of the averaged weights."""
        current = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.model.load_state_dict(self.average.values)
        self.model.eval()
        count = min(len(self.development), self.recipe.logging.evaluate_utterances)
        # Spread over the manifest, which is often sorted by speaker.
        chosen = np.linspace(0, len(self.development) - 1, count).astype(int)
        hypotheses = []
        with torch.no_grad(), self._autocast():
            for number in chosen:
                frames = self._normalise(self.development.utterance_frames(number))
                length = torch.tensor([frames.shape[0]], device=self.device)
                output = self.model(frames[None].to(self.device), length)[:, 0]
                hypotheses.append(greedy_decode(output.cpu().numpy(), self.alphabet).text)
        self.model.load_state_dict(current)
        return 100 * float(jiwer.wer([self.development.texts[n] for n in chosen], hypotheses))

    def figures(self, step: int, loss: float) -> dict[str, float]:
        """What the log shows."""
        return {
            "epoch": self.plan.at(step, self.rank).epoch,
            "loss": loss,
            "learning_rate": learning_rate(step, self.recipe.optimizer),
            "sparsity": self.masks.sparsity() if self.masks else 0.0,
            **self.throughput.report(),
        }

    def corpus_figures(self) -> dict[str, float]:
        """Training utterances, those left out (too long, or too short for their text), hours."""
        frames = float(self.dataset.lengths.sum())
        return {
            "utterances": len(self.dataset),
            "dropped": self.dataset.dropped,
            "hours": frames * self.recipe.feature_config().frame_duration_s / 3600,
        }

    def save(self, step: int) -> None:
        """Write the checkpoint of the state before ``step``."""
        weights = {f"weights.{name}": p.detach() for name, p in self.model.named_parameters()}
        average = {f"average.{name}": t for name, t in self.average.values.items()}
        masks = {f"masks.{name}": t for name, t in self.masks.masks.items()} if self.masks else {}
        state = {
            "recipe": self.recipe.model_dump(mode="json"),
            "graph": self.model.graph.to_json(),
            "features": self.recipe.feature_config().to_json(),
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
            "labels": list(self.alphabet.symbols),
            "progress": {
                "workers": self.workers,
                "sparsity": self.masks.sparsity() if self.masks else 0.0,
                "corpora": self.dataset.digest(),
                **self.corpus_figures(),
            },
        }
        checkpoints.save_checkpoint(
            self.run,
            step,
            {**weights, **average, **masks},
            checkpoints.optimizer_tensors(self.optimizer, self._names()),
            state,
            self.recipe.logging.keep_checkpoints,
        )

    def restore(self) -> int:
        """Load the newest checkpoint of the run, if any; returns the step to go on with."""
        if not checkpoints.list_checkpoints(self.run):
            return 0
        folder = checkpoints.find_checkpoint(self.run)
        state = checkpoints.read_state(folder)
        tensors = checkpoints.read_tensors(folder, "model")
        try:
            check_same_run(folder, state, self.recipe, self.dataset, self.workers)
            self.model.load_state_dict(checkpoints.select(tensors, "weights"))
            self.average.load(checkpoints.select(tensors, "average"))
            if self.masks is not None:
                masks = checkpoints.select(tensors, "masks")
                self.masks.masks = {name: mask.to(self.device) for name, mask in masks.items()}
            checkpoints.restore_optimizer(
                self.optimizer, self._names(), checkpoints.read_tensors(folder, "optimizer")
            )
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{folder}: does not fit the recipe: {error}") from None
        return int(state["step"])

    def _names(self) -> dict[Tensor, str]:
        return {parameter: name for name, parameter in self.model.named_parameters()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.recipe.optimizer.bfloat16
        )

    def _normalise(self, frames: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        return torch.from_numpy(((frames - self.mean) / self.deviation).astype(np.float32))

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Padded frames [B, T, F], lengths [B], joined targets and their lengths [B]."""
        utterances = self.plan.at(step, self.rank).utterances
        parts, targets = [], []
        for place, number in enumerate(utterances):
            target = self.dataset.targets[number]
            frames = self.dataset.utterance_frames(number)
            if self._augments(step) and self.augmentation is not None:
                random = np.random.default_rng([self.recipe.seed, step, self.rank, place])
                frames = self.augmentation(frames, frames_needed(target), random)
            parts.append(self._normalise(frames))
            targets.append(torch.from_numpy(target))
        lengths = torch.tensor([len(part) for part in parts])
        padded = nn.utils.rnn.pad_sequence(parts, batch_first=True)
        sizes = torch.tensor([len(target) for target in targets])
        return (
            padded.to(self.device),
            lengths.to(self.device),
            torch.cat(targets).to(self.device),
            sizes.to(self.device),
        )

    def _augments(self, step: int) -> bool:
        settings = self.recipe.augmentation
        steps = self.recipe.optimizer.steps
        return settings is not None and settings.start <= step < steps * (1 - settings.off_at_end)
