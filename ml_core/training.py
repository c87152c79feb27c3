"""The training loop: one for every network, with nothing hidden.

A training is a module, a source of batches, and a :class:`FitConfig`. Each step draws its randomness from a seed made
of (seed, epoch, step), and the order of an epoch from (seed, epoch): so a training that was interrupted and goes on
from its checkpoint takes the very steps that an uninterrupted one takes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_core import ranks, stopping
from ml_core.checkpoints import load_checkpoint, save_checkpoint
from ml_core.devices import autocast
from ml_core.epoch_figures import epoch_figures, spread
from ml_core.fit_config import FitConfig
from ml_core.labels import LABELS
from ml_core.losses import Loss, loss_function
from ml_core.telemetry import Meter
from ml_core.training_state import TrainingState

# Films of the train part that are judged after each epoch beside all of the validation part, for the two to be compared.
_TRAIN_FILMS_JUDGED = 2000

Rows = NDArray[np.int64]
Progress = Callable[[dict[str, Any]], None]


class TrainingError(RuntimeError):
    """A training that cannot go on. The message says why and what to do."""


class BatchSource(Protocol):
    """Where batches come from."""

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """The rows in shuffled batches."""
        ...

    def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor | None, ...]:
        """What the module's ``forward`` takes for those rows; with a generator, in training, changed at random by it.

        Called from a thread that prepares the next batch while the module is at work on this one.
        """
        ...


@dataclass(frozen=True, slots=True)
class FitResult:
    """The best epoch's weights, its macro ROC AUC on the validation rows, and every epoch's figures."""

    state: dict[str, Tensor]
    best_epoch: int
    best_val_macro_roc_auc: float
    epochs: list[dict[str, float]]


def shuffled(rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
    """Rows in random batches; the last one may be smaller."""
    mixed = generator.permutation(rows)
    return [mixed[start : start + batch_size] for start in range(0, len(mixed), batch_size)]


def predict_logits(
    module: nn.Module, source: BatchSource, rows: Rows, *, device: torch.device, batch_size: int = 256
) -> NDArray[np.float32]:
    """Logits ``(rows, 18)`` of the module in evaluation mode, in the order of the rows."""
    module.eval()
    mine = rows[ranks.rank() :: ranks.ranks()]
    logits = [np.zeros((0, len(LABELS)), dtype=np.float32)]
    with torch.inference_mode(), autocast(device):
        for start in range(0, len(mine), batch_size):
            inputs = source.inputs(mine[start : start + batch_size])
            logits.append(module(*_to(inputs, device)).float().cpu().numpy())
    return ranks.gathered(np.concatenate(logits), len(rows))


def fit(
    module: nn.Module,
    source: BatchSource,
    labels: NDArray[np.float32],
    *,
    train: Rows,
    val: Rows,
    config: FitConfig,
    device: torch.device,
    targets: NDArray[np.float32] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    stage: str = "train",
    rate_of: Callable[[str], float] = lambda name: 1.0,
) -> FitResult:
    """Train a module and keep the epoch that does best on ``val`` by macro ROC AUC.

    ``labels`` are ``(films, 18)`` for all rows of the snapshot. They are what the module is judged by, and what it is trained on
    unless ``targets`` of the same shape, 0 to 1, are given for that. In training the module's logits are ``(batch, 18)``, or
    ``(batch, views, 18)`` for several views of a film that are to say the same. ``rate_of`` gives the share of the learning
    rate at which a parameter of that name is trained. Goes on from ``checkpoint`` where that file exists, also with
    another batch size. Several ranks (:mod:`ml_core.ranks`) share the work of each batch.

    ``progress`` gets a line after each epoch, and every few seconds between, with the figures of the training so far: what
    :class:`FitResult` has of an epoch, and how fast it goes. One that goes on from a checkpoint first repeats the epochs
    it finds there.

    Raises :class:`CheckpointError` when the checkpoint is another training's, :class:`TrainingError` when there is nothing to
    train on or the loss is not finite, :class:`ml_core.stopping.TrainingStopped` after a checkpoint when it was asked to stop.
    """
    if not len(train) or not len(val):
        raise TrainingError(
            f"{stage}: {len(train)} films to train on and {len(val)} to validate on; both are needed"
        )
    module.to(device)
    optimizer = _optimizer(module, config, rate_of)
    loss_of = loss_function(config.loss, torch.from_numpy(labels[train].mean(axis=0)))
    run = TrainingState(module, optimizer, config, fingerprint=_fingerprint(module, config, train, val))
    if checkpoint is not None:
        run.resume(load_checkpoint(checkpoint), device, checkpoint)
        ranks.wait_for_all()  # before the leader writes what another has yet to read
    for finished, known in enumerate(run.history, 1):
        _tell(progress, stage, run, known, epoch=finished, step=0)
    steps_an_epoch = math.ceil(len(train) / config.batch_size)
    steps = steps_an_epoch * config.epochs
    aims = torch.from_numpy(labels if targets is None else targets)
    judged = {"train": spread(train, min(len(val), _TRAIN_FILMS_JUDGED)), "val": val}
    meter = Meter(device)
    saved = time.monotonic()
    while run.epoch < config.epochs and not run.out_of_patience():
        order = np.random.default_rng([config.seed, run.epoch])
        batches = source.order(train, batch_size=config.batch_size, generator=order)
        rate = config.rate(run.epoch * steps_an_epoch + run.step, steps)
        module.train()
        meter.start()
        for step, inputs in _prefetched(source, batches, config.seed, run.epoch, first=run.step):
            torch.manual_seed(_step_seed(config.seed, run.epoch, step))
            share, weight = ranks.own_share(batches[step])
            rate = config.rate(run.epoch * steps_an_epoch + step, steps)
            _set_rate(optimizer, rate)
            target = aims[torch.from_numpy(share)].to(device)
            given, target = _mixed(_to(inputs, device), target, beta=config.mixup)
            loss = _loss(module, loss_of, given, target)
            _descend(optimizer, loss * weight, clip=config.clip)
            ranks.average(run.statistics)
            run.count(float(loss.detach()), len(batches[step]))
            if not math.isfinite(run.loss_sum):
                raise TrainingError(
                    f"{stage}: the loss is not finite at epoch {run.epoch}, step {step}; lower the rate"
                )
            meter.count(len(batches[step]))
            due = stopping.asked() or time.monotonic() - saved >= config.checkpoint_seconds
            if due:
                saved = _save(checkpoint, run)
            if due or meter.is_due():
                pace = meter.read() | {"steps": len(batches), "learning_rate": rate}
                _tell(progress, stage, run, {"loss": run.loss_sum / run.films} | pace)
                meter.resume()
            stopping.stop_if_asked()
        figures = run.finish_epoch(lambda: _judge(module, source, labels, judged, device))
        saved = _save(checkpoint, run)
        _tell(progress, stage, run, figures | meter.read() | {"learning_rate": rate})
        stopping.stop_if_asked()
    best = {name: tensor.to("cpu") for name, tensor in run.best.items()}
    module.load_state_dict(best, strict=False)
    return FitResult(best, run.best_epoch, run.best_score, run.history)


def _optimizer(
    module: nn.Module, config: FitConfig, rate_of: Callable[[str], float]
) -> torch.optim.Optimizer:
    """Adam, with the weight decay in the gradient (the article's) or beside it (AdamW)."""
    kind = torch.optim.AdamW if config.decoupled_decay else torch.optim.Adam
    shares: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            shares.setdefault(rate_of(name), []).append(parameter)
    groups = [{"params": parameters, "rate_share": share} for share, parameters in shares.items()]
    return kind(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the coming step; each group of parameters has its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_share"]


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, *, clip: float) -> None:
    """One step against the gradient of all ranks' losses."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    ranks.sum_gradients(parameters)
    nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()


def _prefetched(
    source: BatchSource, batches: list[Rows], seed: int, epoch: int, *, first: int
) -> Iterator[tuple[int, tuple[Tensor | None, ...]]]:
    """Each step's number and inputs, the next batch prepared by a thread while the caller is at work on this one."""

    def prepare(step: int) -> tuple[Tensor | None, ...]:
        generator = torch.Generator().manual_seed(_step_seed(seed, epoch, step))
        inputs = source.inputs(ranks.own_share(batches[step])[0], generator=generator)
        if not torch.cuda.is_available():
            return inputs
        return tuple(None if tensor is None else tensor.pin_memory() for tensor in inputs)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="next-batch") as pool:
        ahead = [pool.submit(prepare, first)] if first < len(batches) else []
        for step in range(first, len(batches)):
            inputs = ahead.pop().result()
            if step + 1 < len(batches):
                ahead.append(pool.submit(prepare, step + 1))
            yield step, inputs


def _step_seed(seed: int, epoch: int, step: int) -> int:
    """A seed for one step of one rank, the same however the training came to it."""
    return int(
        np.random.SeedSequence([seed, epoch, step, *([ranks.rank()] if ranks.rank() else [])]).generate_state(
            1, np.uint32
        )[0]
    )


def _fingerprint(module: nn.Module, config: FitConfig, train: Rows, val: Rows) -> str:
    """What must be the same for a checkpoint to be one's own: settings, shapes, and the films on both sides."""
    free = {"checkpoint_seconds", "batch_size"}
    settings = {key: value for key, value in asdict(config).items() if key not in free}
    shapes = {name: list(parameter.shape) for name, parameter in module.named_parameters()}
    rows = [len(train), int(train.sum()), len(val), int(val.sum())]
    return json.dumps([settings, shapes, rows], sort_keys=True)


def _save(path: Path | None, run: TrainingState) -> float:
    """Write the checkpoint, if there is to be one and this is the rank that writes; returns when, by the monotonic clock."""
    if path is not None and ranks.rank() == 0:
        save_checkpoint(path, run.checkpoint())
    return time.monotonic()


def _to(inputs: tuple[Tensor | None, ...], device: torch.device) -> tuple[Tensor | None, ...]:
    return tuple(None if tensor is None else tensor.to(device, non_blocking=True) for tensor in inputs)


def _mixed(
    inputs: tuple[Tensor | None, ...], targets: Tensor, *, beta: float
) -> tuple[tuple[Tensor | None, ...], Tensor]:
    """Each film's inputs and targets mixed with those of the film as far from the other end of the batch, all by one share;
    as they are with a ``beta`` of 0.
    """
    if not beta:
        return inputs, targets
    share = torch.distributions.Beta(beta, beta).sample().item()

    def mixed(tensor: Tensor) -> Tensor:
        return tensor.flip(0).lerp(tensor, share)

    return tuple(None if tensor is None else mixed(tensor) for tensor in inputs), mixed(targets)


def _loss(module: nn.Module, loss_of: Loss, inputs: tuple[Tensor | None, ...], targets: Tensor) -> Tensor:
    """The loss of a batch; several views of a film are held against the same targets ``(batch, 18)``."""
    with autocast(targets.device):
        logits = module(*inputs).float()
    return loss_of(logits, targets if logits.ndim == 2 else targets[:, None].expand_as(logits))


def _judge(
    module: nn.Module,
    source: BatchSource,
    labels: NDArray[np.float32],
    judged: dict[str, Rows],
    device: torch.device,
) -> dict[str, float]:
    """Figures of the weights as they are, of films that are trained on and of films that are not."""
    figures: dict[str, float] = {}
    for part, rows in judged.items():
        figures |= epoch_figures(part, predict_logits(module, source, rows, device=device), labels[rows])
    return figures


def _tell(
    progress: Progress | None, stage: str, run: TrainingState, figures: dict[str, float], **place: int
) -> None:
    """One line of progress: ``epoch`` counts finished ones, ``step`` those of the epoch under way."""
    if progress is not None and ranks.rank() == 0:
        rounded = {name: round(value, 6) for name, value in figures.items()}
        progress(
            {"stage": stage, "epoch": run.epoch, "epochs": run.config.epochs, "step": run.step}
            | place
            | rounded
            | {"time": round(time.time(), 3)}
        )
