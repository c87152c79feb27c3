"""The fusion network on features that were computed once: a new one, and what it answers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ml_core.features import FeatureSource, FilmFeatures
from ml_core.inputs import InputSet
from ml_core.networks.fusion import FusionConfig, FusionNetwork, initialise_output
from ml_core.training import Rows


def new_fusion(
    features: FilmFeatures, labels: NDArray[np.float32], *, train: Rows, seed: int
) -> FusionNetwork:
    """A fusion network of random weights that fits the features; it begins by telling the train films' frequencies."""
    torch.manual_seed(seed)
    network = FusionNetwork(
        FusionConfig(text_width=features.whole.shape[1], poster_width=features.posters.shape[1])
    )
    initialise_output(network, torch.from_numpy(labels[train].mean(axis=0)))
    return network


def fusion_logits(
    network: FusionNetwork,
    features: FilmFeatures,
    rows: Rows,
    inputs: InputSet | None = None,
    *,
    device: torch.device,
) -> NDArray[np.float32]:
    """Logits ``(rows, 18)`` with exactly one set of inputs shown, which each film must have; or with all that it has.

    In full precision: rounded to bfloat16, films that differ would share one logit.
    """
    source = FeatureSource(features)
    if inputs is None:
        given = source.inputs(rows)
    else:
        everyone, nobody = np.ones(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
        given = source.given(
            rows,
            has_text=nobody if inputs == "poster" else everyone,
            has_overview=everyone if inputs in {"overview", "overview_poster"} else nobody,
            has_poster=nobody if inputs in {"overview", "title"} else everyone,
        )
    network.to(device).eval()
    with torch.inference_mode():
        logits: NDArray[np.float32] = network(*(tensor.to(device) for tensor in given)).float().cpu().numpy()
    return logits


def picture_logits(
    network: FusionNetwork, features: NDArray[np.float32], *, device: torch.device
) -> NDArray[np.float32]:
    """Logits ``(n, 18)`` from posters' features ``(n, width)`` alone."""
    everyone = torch.ones(len(features), dtype=torch.bool, device=device)
    text = torch.zeros(len(features), network.config.text_width, device=device)
    network.to(device).eval()
    with torch.inference_mode():
        poster = torch.from_numpy(features).to(device)
        logits: NDArray[np.float32] = (
            network(text, ~everyone, ~everyone, poster, everyone).float().cpu().numpy()
        )
    return logits
