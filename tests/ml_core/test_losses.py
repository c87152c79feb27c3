"""The losses, against their definitions written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ml_core.losses import LOSSES, asymmetric_loss, balanced_loss, loss_function

FREQUENCIES = torch.full((18,), 0.1)


def test_the_plain_one_is_binary_cross_entropy() -> None:
    logits, targets = torch.randn(4, 18), torch.randint(0, 2, (4, 18)).float()
    expected = functional.binary_cross_entropy_with_logits(logits, targets)
    assert torch.equal(loss_function("bce", FREQUENCIES)(logits, targets), expected)


def test_asymmetric_by_its_definition() -> None:
    logits = torch.tensor([[2.0, -1.0, -4.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0]])
    p = torch.sigmoid(logits[0])
    shifted = max(float(p[1]) - 0.05, 0.0)
    expected = -(torch.log(p[0]) + shifted**4 * torch.log(torch.tensor(1 - shifted))) / 3
    # The third probability, 0.018, lies below the margin: it costs nothing.
    assert torch.allclose(asymmetric_loss(logits, targets), expected, atol=1e-6)


def test_balanced_weighs_rare_labels_up_to_a_bound() -> None:
    logits, targets = torch.zeros(1, 18), torch.ones(1, 18)
    frequencies = torch.tensor([0.5, 0.2, 0.001] * 6)
    expected = torch.log(torch.tensor(2.0)) * torch.tensor([1.0, 2.0, 4.0] * 6).mean()
    assert torch.allclose(balanced_loss(frequencies)(logits, targets), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_each_takes_views_has_finite_gradients_and_falls_where_the_answer_gets_better(name: str) -> None:
    loss = loss_function(name, FREQUENCIES)  # type: ignore[arg-type]
    targets = (torch.rand(5, 3, 18, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    extreme = torch.where(targets > 0, 60.0, -60.0).requires_grad_(True)
    value = loss(-extreme, targets)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(extreme.grad).all()
    assert loss(extreme.detach(), targets) < loss(torch.zeros_like(targets), targets) < value


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(ValueError, match="bce, asymmetric, balanced"):
        loss_function("hinge", FREQUENCIES)  # type: ignore[arg-type]
