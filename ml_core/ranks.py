"""One training over several processes, as ``torchrun`` starts them: one rank a GPU, each with its share of every batch.

The ranks take the same steps with the same weights: each works out its share of a batch's gradient and the sum of the shares
is what a single process would have had. Without ``torchrun`` there is one rank and nothing here does anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn


def start_on_all_gpus(arguments: Sequence[str]) -> None:
    """Where torch sees several GPUs, become ``torchrun`` of ``python -m ml_core`` with these arguments, a rank on each.

    Does nothing in a rank, and where there is one GPU or none. Standard input stays what it was, so that a lifeline is
    every rank's.
    """
    gpus = torch.cuda.device_count()
    if "RANK" in os.environ or gpus < 2:
        return
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}", "-m", "ml_core"]
    os.execv(sys.executable, [sys.executable, *torchrun, *arguments])  # noqa: S606 - ourselves


def join() -> None:
    """Join the other ranks, where ``torchrun`` started this process."""
    if "RANK" in os.environ and not dist.is_initialized():
        gpus = torch.cuda.is_available()
        if gpus:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if gpus else "gloo")


def leave() -> None:
    """Part from the other ranks."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process; 0 leads: it alone writes files and reports."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def leader_first() -> Iterator[None]:
    """Run the block in the leader, then in all others at once: they find what it has left on the disk."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and ranks() > 1:
        dist.barrier()


def wait_for_all() -> None:
    """Go on when every rank has come this far."""
    if ranks() > 1:
        dist.barrier()


def own_share(batch: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
    """The rows of a batch that this rank works on, and what part of the batch's gradient they make up.

    A batch of fewer films than there are ranks is worked on by all of them.
    """
    if len(batch) < ranks():
        return batch, 1.0 / ranks()
    share = batch[rank() :: ranks()]
    return share, len(share) / len(batch)


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace each parameter's gradient by the sum of all ranks'; a rank that has none adds nothing."""
    if ranks() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view(gradient.shape))
        start += gradient.numel()


def average(tensors: Sequence[torch.Tensor]) -> None:
    """Replace each tensor by the mean of all ranks'."""
    if ranks() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view(tensor.shape) / ranks())
        start += tensor.numel()


def gathered(share: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """All ranks' results for their own shares of so many rows, put back in the order of the rows."""
    if ranks() == 1:
        return share
    shares: list[NDArray[np.float32] | None] = [None] * ranks()
    dist.all_gather_object(shares, share)
    whole = np.zeros((rows, share.shape[1]), dtype=np.float32)
    for number, part in enumerate(shares):
        whole[number :: ranks()] = part
    return whole
