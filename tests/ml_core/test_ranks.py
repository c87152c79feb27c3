"""Several processes train one network: together they take the steps that one alone takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml_core import ranks
from ml_core.artifact import ArtifactDescription

# Two processes fit one network without dropout; each saves what it came to.
FIT = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {root!r})
import numpy as np
from safetensors.torch import save_file
from torch import nn
from ml_core import devices, ranks
from ml_core.fit_config import FitConfig
from ml_core.training import fit, shuffled

devices._cpu_multiplies_bf16 = lambda: False  # halves of a batch round otherwise than the whole

class Source:
    def __init__(self):
        self.values = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
        self.labels = (self.values @ np.random.default_rng(1).normal(size=(2, 18)) > 0.5).astype(np.float32)
    def order(self, rows, *, batch_size, generator):
        return shuffled(rows, batch_size=batch_size, generator=generator)
    def inputs(self, rows, *, generator=None):
        return (torch.from_numpy(self.values[rows]),)

torch.set_num_threads(1)
ranks.join()
torch.manual_seed(0)
source = Source()
module = nn.Sequential(nn.Linear(2, 16), {between}, nn.Linear(16, 18))
result = fit(module, source, source.labels, train=np.arange({films}), val=np.arange(61, 90),
             config=FitConfig(epochs=3, batch_size=10, learning_rate=0.01, average=0.9),
             device=torch.device("cpu"), checkpoint=Path({folder!r}) / "checkpoint.safetensors")
score = torch.tensor(result.best_val_macro_roc_auc)
save_file(result.state | {{"score": score}}, {folder!r} + f"/out-{{ranks.rank()}}.safetensors")
ranks.leave()
"""


def run(command: list[str], **options: object) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"RANK", "WORLD_SIZE"}}
    done = subprocess.run(  # type: ignore[call-overload]
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env=environment | {"OMP_NUM_THREADS": "1"},
        **options,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def torchrun(*arguments: str | Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *map(str, arguments),
    ]


def fit_script(folder: Path, between: str, films: int) -> Path:
    """A script that trains a network with that module between its layers on so many films, and writes into that folder."""
    folder.mkdir()
    script = folder / "script.py"
    root = str(Path(__file__).resolve().parents[2])
    script.write_text(FIT.format(root=root, folder=str(folder), between=between, films=films))
    return script


def test_two_ranks_come_to_the_weights_of_one(tmp_path: Path) -> None:
    weights = {}
    for name in ("one", "two"):
        script = fit_script(tmp_path / name, "nn.Tanh()", 61)  # the last batch has one film: fewer than ranks
        run([sys.executable, str(script)] if name == "one" else torchrun(script))
        weights[name] = load_file(tmp_path / name / "out-0.safetensors")
    assert all(
        torch.allclose(weights["two"][name], tensor, atol=1e-5) for name, tensor in weights["one"].items()
    )
    assert weights["one"]["score"] > 0.8


def test_two_ranks_have_the_same_running_statistics(tmp_path: Path) -> None:
    run(torchrun(fit_script(tmp_path / "norm", "nn.BatchNorm1d(16)", 60)))
    leader, other = (load_file(tmp_path / "norm" / f"out-{rank}.safetensors") for rank in (0, 1))
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} < set(leader)
    assert all(torch.equal(other[name], tensor) for name, tensor in leader.items())


@pytest.mark.slow
def test_the_command_trains_under_torchrun(tiny_snapshot: Path, tmp_path: Path) -> None:
    arguments = (
        "train",
        tiny_snapshot,
        tmp_path / "model",
        "--epochs",
        "1",
        "--poster-epochs",
        "1",
        "--tune-epochs",
        "1",
        "--device",
        "cpu",
    )
    progress = tmp_path / "progress.jsonl"
    run(
        torchrun("-m", "ml_core", *arguments, "--threads", "1", "--progress", progress),
        cwd=Path(__file__).parents[2],
    )
    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    # Told once, by the leader; lines between come by the clock.
    ends = [line for line in lines if "val_loss" in line]
    assert [line["stage"] for line in ends] == ["tune on posters", "train heads", "tune encoders"]
    # Encoded once before and once after the last stage: both ranks have come to one encoder of posters.
    assert len(list((tmp_path / "model.work").glob("poster-features-*.npy"))) == 2
    assert lines[-1]["sha256"] == ArtifactDescription.read(tmp_path / "model").sha256


def test_without_torchrun_there_is_one_rank_and_all_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    ranks.join()
    assert (ranks.rank(), ranks.ranks()) == (0, 1)
    batch = np.arange(5)
    share, weight = ranks.own_share(batch)
    assert np.array_equal(share, batch)
    assert weight == 1
    with ranks.leader_first():
        ranks.wait_for_all()


def test_with_several_gpus_the_command_becomes_torchrun_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: became.append(arguments))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    ranks.start_on_all_gpus(["train", "s", "a"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("RANK", "0")
    ranks.start_on_all_gpus(["train", "s", "a"])
    assert became == []
    monkeypatch.delenv("RANK")
    ranks.start_on_all_gpus(["train", "s", "a"])
    assert became[0][1:] == [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"),
        *("-m", "ml_core", "train", "s", "a"),
    ]
