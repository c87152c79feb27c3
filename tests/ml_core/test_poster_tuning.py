"""Tuning on posters alone: its norms at work, its batches, an interruption that changes nothing, and the artifact it ends in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml_core.__main__ import main
from ml_core.artifact import ArtifactDescription
from ml_core.calibration import calibration_from_json
from ml_core.fit_config import FitConfig
from ml_core.networks.fusion import FusionConfig, FusionNetwork
from ml_core.networks.image import ImageEncoder
from ml_core.poster_tuning import PosterNetwork, PosterSource, learning_rate_share
from ml_core.posters import DecodedPosters, decode_all
from ml_core.predictor import FilmInput, Predictor
from ml_core.recipes.fusion import POSTER_SIZE
from ml_core.snapshot import Snapshot
from ml_core.training import FitResult, fit

from .test_tuning import InterruptionError

SIZE = (112, 84)
CONFIG = FitConfig(
    epochs=2,
    batch_size=8,
    learning_rate=1e-3,
    average=0.9,
    schedule="cosine",
    warmup=0.1,
    mixup=0.2,
    checkpoint_seconds=0.0,
)


@pytest.fixture(scope="module")
def films(tiny_snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, DecodedPosters]:
    snapshot = Snapshot.open(tiny_snapshot)
    return snapshot, decode_all(snapshot, SIZE, tmp_path_factory.mktemp("posters"))


def new_network() -> PosterNetwork:
    return PosterNetwork(ImageEncoder(folded=False), torch.linspace(0.02, 0.5, 18))


def pixels(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, *SIZE), dtype=torch.uint8, generator=generator)


def test_it_begins_by_telling_the_genres_frequencies_of_any_poster() -> None:
    with torch.no_grad():
        said = new_network().eval()(pixels()).sigmoid()
    assert torch.allclose(said, torch.linspace(0.02, 0.5, 18).expand(3, 18), atol=1e-5)


def test_the_first_blocks_stay_as_they_came_and_the_rest_is_trained(films, tmp_path: Path) -> None:
    network = new_network()
    given = pixels()
    with torch.no_grad():
        lower, whole = network.image.lower(given), network.eval().image(given)
        unfolded = ImageEncoder(folded=False)
        assert torch.allclose(lower, unfolded.lower(given), atol=1e-4)
        assert torch.allclose(whole, unfolded(given), atol=1e-3)
    result, trained = tuned(films, tmp_path / "checkpoint.safetensors")
    with torch.no_grad():
        assert torch.equal(trained.eval().image.lower(given), lower)
        assert not torch.allclose(trained.image(given), whole, atol=1e-3)
    assert not any(name.startswith("image.network._blocks.3.") for name in result.state)
    assert "image.network._blocks.4._expand_conv.weight" in result.state


def test_in_training_posters_are_smaller(films) -> None:
    _, posters = films
    rows = np.flatnonzero(posters.usable)[:2]
    (changed,) = PosterSource(posters).inputs(rows, generator=torch.Generator().manual_seed(0))
    assert changed.shape == (2, 3, 96, 72)
    (as_they_are,) = PosterSource(posters).inputs(rows)
    assert as_they_are.shape == (2, 3, *SIZE)


def test_each_poster_is_in_one_batch_of_an_epoch_and_no_batch_is_a_remnant(films) -> None:
    rows = np.arange(100, 133)
    batches = PosterSource(films[1]).order(rows, batch_size=16, generator=np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    assert [len(batch) for batch in batches] == [11, 11, 11]


def test_the_generator_alone_decides_how_posters_are_changed_in_training(films) -> None:
    _, posters = films
    source, rows = PosterSource(posters), np.flatnonzero(posters.usable)[:6]
    first, again, other = (
        source.inputs(rows, generator=torch.Generator().manual_seed(n))[0] for n in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(source.inputs(rows)[0], torch.from_numpy(posters.batch(rows)))


def tuned(films, checkpoint: Path, *, stop_after: int | None = None) -> tuple[FitResult, PosterNetwork]:
    snapshot, posters = films

    def progress(line: dict) -> None:
        if stop_after is not None and (line["epoch"], line["step"]) >= (0, stop_after):
            raise InterruptionError

    train, val = (rows[posters.usable[rows]] for rows in (snapshot.rows("train"), snapshot.rows("val")))
    network = new_network()
    result = fit(
        network,
        PosterSource(posters),
        snapshot.labels,
        train=train,
        val=val,
        config=CONFIG,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        progress=progress,
        rate_of=learning_rate_share,
    )
    return result, network


def test_an_interrupted_tuning_goes_on_to_the_same_weights_and_running_statistics(
    films, tmp_path: Path
) -> None:
    whole, network = tuned(films, tmp_path / "whole.safetensors")
    with pytest.raises(InterruptionError):
        tuned(films, tmp_path / "parts.safetensors", stop_after=2)
    parts, _ = tuned(films, tmp_path / "parts.safetensors")
    assert parts.epochs == whole.epochs
    assert set(parts.state) == set(whole.state)
    assert all(torch.equal(parts.state[name], tensor) for name, tensor in whole.state.items())
    start = new_network().state_dict()
    statistics = [name for name in start if name.endswith(("running_mean", "running_var"))]
    assert len(statistics) == 2 * sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()) > 0
    assert all(not torch.equal(whole.state[name], start[name]) for name in statistics)
    # The kept statistics are the average's, as the weights are: not those of the last step.
    last = load_file(tmp_path / "whole.safetensors")
    assert any(not torch.equal(last[f"model::{name}"], last[f"average::{name}"]) for name in statistics)
    best = {name: tensor for name, tensor in last.items() if name.startswith("best::")}
    assert all(torch.equal(best[f"best::{name}"], tensor) for name, tensor in whole.state.items())


@pytest.fixture(scope="module")
def work(tiny_snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the artifact of a training whose image encoder was tuned on posters alone, and its checkpoints."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tuned-on-posters")
    assert train(tiny_snapshot, folder / "tiny", "--progress", folder / "progress.jsonl") == 0
    return folder


def train(snapshot: Path, artifact: Path, *more: str | Path) -> int:
    arguments = ("train", snapshot, artifact, "--epochs", "2", "--batch-size", "8", "--tune-batch-size", "8")
    with_posters = (*arguments, "--poster-epochs", "2", "--device", "cpu", "--threads", "1")
    return main([str(argument) for argument in (*with_posters, *more)])


def only(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """The best weights in the one checkpoint that is so called."""
    (path,) = folder.glob(name)
    whole = load_file(path)
    return {
        name.removeprefix("best::"): tensor for name, tensor in whole.items() if name.startswith("best::")
    }


def test_the_stage_comes_first_and_the_artifact_tells_of_it(work: Path) -> None:
    lines = [json.loads(line) for line in (work / "progress.jsonl").read_text().splitlines()]
    ends = [line["stage"] for line in lines if "val_loss" in line]
    assert ends == ["tune on posters"] * 2 + ["train heads"] * 2
    description = ArtifactDescription.read(work / "tiny")
    assert {name: len(epochs) for name, epochs in description.metrics["training"].items()} == {
        "posters": 2,
        "heads": 2,
    }
    tuned_ = {kind: encoder["tuned"] for kind, encoder in description.config["encoders"].items()}
    assert tuned_ == {"sentence": False, "image": True}
    assert "--poster-epochs 2 --tune-epochs 0" in description.config["command"]
    kinds = {name.partition(".")[0] for name in load_file(work / "tiny" / "model.safetensors")}
    assert kinds == {"image_encoder", "fusion"}


def test_the_artifact_predicts_what_its_stages_say(
    work: Path, tiny_snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_core.devices._cpu_multiplies_bf16", lambda: False)
    snapshot = Snapshot.open(tiny_snapshot)
    rows = np.flatnonzero(snapshot.has_poster)
    network = new_network()
    # The first blocks are as they came.
    network.load_state_dict(only(work / "tiny.work", "posters-*.safetensors"), strict=False)
    predictor = Predictor.load(work / "tiny", device="cpu")
    config = predictor.description.config
    heads = FusionNetwork(FusionConfig(**config["network_config"])).eval()
    heads.load_state_dict(only(work / "tiny.work", "heads-*.safetensors"))
    posters = decode_all(snapshot, POSTER_SIZE, work / "tiny.work")
    yes, no = torch.ones(len(rows), dtype=torch.bool), torch.zeros(len(rows), dtype=torch.bool)

    def from_posters(image: ImageEncoder) -> np.ndarray:
        with torch.no_grad():
            features = image.eval()(torch.from_numpy(posters.batch(rows)))
            logits = heads(torch.zeros(len(rows), 384), no, no, features, yes).numpy()
        return calibration_from_json(config["calibration"]["poster"]).apply(logits)

    films = [FilmInput("", "", poster=snapshot.poster_bytes(row)) for row in rows.tolist()]
    said = predictor.predict(films).probabilities
    off = np.abs(said - from_posters(network.image)).max()
    off_without = np.abs(said - from_posters(ImageEncoder())).max()
    # Rounded to half precision, and little tuned in two epochs.
    assert 4 * off < off_without


def test_a_tuning_from_end_to_end_starts_from_it_and_not_from_anothers_checkpoint(
    work: Path, tiny_snapshot: Path, tmp_path: Path
) -> None:
    folder = work / "tiny.work"
    assert train(tiny_snapshot, tmp_path / "whole", "--tune-epochs", "1", "--work", folder) == 0
    description = ArtifactDescription.read(tmp_path / "whole")
    assert set(description.metrics["training"]) == {"posters", "heads", "end_to_end"}
    assert all(encoder["tuned"] for encoder in description.config["encoders"].values())
    without = (tmp_path / "without", "--tune-epochs", "1", "--work", folder, "--poster-epochs", "0")
    assert train(tiny_snapshot, *without) == 0
    figures = ArtifactDescription.read(tmp_path / "without").metrics["training"]
    assert set(figures) == {"heads", "end_to_end"}
    assert figures["end_to_end"] != description.metrics["training"]["end_to_end"]
    assert len(list(folder.glob("end-to-end-*.safetensors"))) == 2


def test_a_network_that_reads_no_posters_is_not_tuned_on_them(tiny_snapshot: Path, tmp_path: Path) -> None:
    assert train(tiny_snapshot, tmp_path / "texts", "--inputs", "overview") == 0
    description = ArtifactDescription.read(tmp_path / "texts")
    assert set(description.metrics["training"]) == {"heads"}
    assert not any(encoder["tuned"] for encoder in description.config["encoders"].values())


def test_of_the_ablations_variants_those_that_are_tuned_are_tuned_on_posters(
    tiny_snapshot: Path, tmp_path: Path
) -> None:
    asked = ("--variant", "frozen-both", "--variant", "tuned-both", "--epochs", "1", "--tune-epochs", "1")
    arguments = ("ablate", tiny_snapshot, tmp_path / "table", *asked, "--poster-epochs", "1")
    assert main([str(argument) for argument in (*arguments, "--device", "cpu", "--threads", "1")]) == 0
    stages = {
        name: set(ArtifactDescription.read(tmp_path / "table" / name).metrics["training"])
        for name in ("frozen-both", "tuned-both")
    }
    assert stages == {"frozen-both": {"heads"}, "tuned-both": {"posters", "heads", "end_to_end"}}
