"""What changes while a training runs, and goes into its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ml_core.checkpoints import Checkpoint, CheckpointError
from ml_core.fit_config import FitConfig


class TrainingState:
    """Weights, their average and the best of them, counters, history."""

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, config: FitConfig, fingerprint: str
    ) -> None:
        self.module, self.optimizer, self.config, self.fingerprint = module, optimizer, config, fingerprint
        self.epoch = self.step = self.films = self.steps = 0
        self.batch_size = config.batch_size
        self.loss_sum = 0.0
        self.best_score, self.best_epoch = -1.0, -1
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        parameters = dict(module.named_parameters())
        # Running statistics of batch norms, which ranks come to by their own shares of a batch.
        self.statistics = [
            tensor
            for name, tensor in module.state_dict().items()
            if name not in parameters and tensor.is_floating_point()
        ]
        self.average = (
            {name: tensor.clone() for name, tensor in self._trained().items()} if config.average else {}
        )

    def _trained(self) -> dict[str, Tensor]:
        """The tensors that training changes: trainable parameters and, where there are any, running statistics."""
        frozen = {name for name, parameter in self.module.named_parameters() if not parameter.requires_grad}
        return {
            name: tensor.detach() for name, tensor in self.module.state_dict().items() if name not in frozen
        }

    def count(self, loss: float, films: int) -> None:
        """Book a step that was taken."""
        self.step += 1
        self.steps += 1
        self.films += films
        self.loss_sum += loss * films
        # The first steps are averaged over less, or the random start would weigh in for hundreds of steps. Running statistics
        # are averaged as the weights are: those of the last step alone would be of other weights than the averaged ones.
        decay = min(self.config.average, self.steps / (self.steps + 10))
        for name, tensor in self._trained().items() if self.average else ():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1.0 - decay)
            else:
                self.average[name].copy_(tensor)

    def out_of_patience(self) -> bool:
        """Whether the best epoch lies further back than the configuration has patience for."""
        return 0 < self.config.patience < self.epoch - self.best_epoch

    def finish_epoch(self, judge: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Evaluate (the averaged weights, where there are such), keep the best, and start the next epoch."""
        live = {name: tensor.clone() for name, tensor in self._trained().items()}
        if self.average:
            self.module.load_state_dict(self.average, strict=False)
        figures = {"loss": self.loss_sum / max(1, self.films), **judge()}
        if figures["val_macro_roc_auc"] > self.best_score:
            self.best_score, self.best_epoch = figures["val_macro_roc_auc"], self.epoch
            self.best = {name: tensor.clone() for name, tensor in self._trained().items()}
        self.module.load_state_dict(live, strict=False)
        self.history.append(figures)
        self.epoch, self.step, self.films, self.loss_sum = self.epoch + 1, 0, 0, 0.0
        return figures

    def checkpoint(self) -> Checkpoint:
        """The state as it stands."""
        counters = {
            "fingerprint": self.fingerprint,
            "epoch": self.epoch,
            "step": self.step,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "films": self.films,
            "loss_sum": self.loss_sum,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "history": self.history,
        }
        tensors = {"model": self._trained(), "average": self.average, "best": self.best}
        return Checkpoint(tensors, self.optimizer.state_dict(), counters)

    def resume(self, checkpoint: Checkpoint | None, device: torch.device, path: Path) -> None:
        """Take over a checkpoint's state."""
        if checkpoint is None:
            return
        counters = dict(checkpoint.counters)
        if counters.pop("fingerprint") != self.fingerprint:
            raise CheckpointError(
                f"{path} is the checkpoint of a training with other films or settings; delete it"
            )
        # After running out of memory it goes on with smaller batches: past the films of this epoch that it has seen.
        counters["step"] = counters["step"] * counters.pop("batch_size") // self.batch_size
        for name, value in counters.items():
            setattr(self, name, value)
        self.module.load_state_dict(checkpoint.tensors["model"], strict=False)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.average = {k: v.to(device) for k, v in checkpoint.tensors.get("average", {}).items()}
        self.best = {k: v.to(device) for k, v in checkpoint.tensors.get("best", {}).items()}
