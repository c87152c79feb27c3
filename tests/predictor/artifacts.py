"""A model artifact of random weights: for tests that need a model to be there, whatever it says."""

from __future__ import annotations

from pathlib import Path

from ml_core.artifact import write_artifact
from ml_core.calibration import TemperatureCalibration
from ml_core.inputs import INPUT_SETS
from ml_core.labels import LABEL_IDS


def write_random_artifact(
    folder: Path, *, seed: int = 0, films: dict[str, list[int]] | None = None, reads_posters: bool = False
) -> Path:
    """Write a fusion artifact whose heads were never trained; equal seeds say the same of a film."""
    import torch

    from ml_core.networks.fusion import FusionConfig, FusionNetwork
    from ml_core.networks.image import ImageEncoder
    from ml_core.networks.reading import ReadingHead
    from ml_core.networks.sentence import SentenceEncoder
    from ml_core.recipes.finishing import half

    torch.manual_seed(seed)
    image = ImageEncoder("efficientnet-lite0")
    config = {"poster_width": image.width, "hidden": 32}
    network = FusionNetwork(FusionConfig(**config))
    reading = ReadingHead(SentenceEncoder.width)
    calibration = TemperatureCalibration((1.0,) * len(LABEL_IDS)).to_json()
    write_artifact(
        folder,
        config={
            "name": f"random-{seed}",
            "network": "fusion",
            "network_config": config,
            "label_ids": list(LABEL_IDS),
            "thresholds": {name: [0.5] * len(LABEL_IDS) for name in INPUT_SETS},
            "calibration": dict.fromkeys(INPUT_SETS, calibration),
            "prior": [0.1] * len(LABEL_IDS),
            "poster_size": [64, 64],
            "reads_poster_text": reads_posters,
            "encoders": {
                "sentence": SentenceEncoder.identity().as_json(),
                "image": {"name": "efficientnet-lite0"} | image.identity().as_json(),
            },
            "created": "2026-01-01T00:00:00+00:00",
        },
        metrics={},
        films={"train": [], "val": [], "test": []} | (films or {}),
        weights=half(network.state_dict(), "fusion.")
        | (half(reading.state_dict(), "reading.") if reads_posters else {}),
        model_card="# A model of random weights\n",
    )
    return folder
