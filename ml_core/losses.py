"""What a training minimises: binary cross-entropy, and two losses made for labels that are rare and many.

Each takes logits and targets of one shape ``(..., 18)`` and gives one number; ``frequencies`` ``(18,)`` are the shares of
the train films that have each label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

LossName = Literal["bce", "asymmetric", "balanced"]
LOSSES: tuple[LossName, ...] = get_args(LossName)
Loss = Callable[[Tensor, Tensor], Tensor]

# Ridnik et al. 2021 on COCO and NUS-WIDE, whose labels are about as rare as genres.
_GAMMA_NEGATIVE, _GAMMA_POSITIVE, _MARGIN = 4.0, 0.0, 0.05
# The weight of the rarest label would be that of 30 films otherwise, and one mislabelled film could move the network.
_MOST_WEIGHT = 4.0


def loss_function(name: LossName, frequencies: Tensor) -> Loss:
    """The loss of that name. Raises ``ValueError`` for another name."""
    if name == "bce":
        return functional.binary_cross_entropy_with_logits
    if name == "asymmetric":
        return asymmetric_loss
    if name == "balanced":
        return balanced_loss(frequencies)
    raise ValueError(f"unknown loss {name!r}: expected one of {', '.join(LOSSES)}")


def asymmetric_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Asymmetric loss (Ridnik et al. 2021): absent labels that are told apart easily count less and less, and none below 5 %."""
    probabilities = torch.sigmoid(logits)
    absent = (1 - probabilities + _MARGIN).clamp(max=1)
    yes = targets * functional.logsigmoid(logits) * (1 - probabilities) ** _GAMMA_POSITIVE
    no = (1 - targets) * torch.log(absent.clamp(min=1e-8)) * (1 - absent) ** _GAMMA_NEGATIVE
    return -(yes + no).mean()


def balanced_loss(frequencies: Tensor) -> Loss:
    """Binary cross-entropy in which a label that is there weighs more the rarer it is, by the square root of its odds.

    After the re-weighting of distribution-balanced loss (Wu et al. 2020), whose sampling does not apply here.
    """
    frequencies = frequencies.clamp(1e-4, 1 - 1e-4)
    weights = ((1 - frequencies) / frequencies).sqrt().clamp(1.0, _MOST_WEIGHT)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights.to(logits.device)
        )

    return loss
