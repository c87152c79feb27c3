"""Probabilities and labels made here, and a whole report on them: for tests of what is told of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_core.diagrams import cooccurrence, curves
from ml_core.evaluation import evaluate
from ml_core.slices import FilmFacts, slices

CUTS = np.linspace(0.1, 0.6, 18, dtype=np.float32)


def films(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random((n, 18)) < np.linspace(0.05, 0.5, 18)).astype(np.float32)
    # Rounded, so that there are ties.
    return np.round(1 / (1 + np.exp(-(random.normal(size=(n, 18)) + labels - 1))), 2).astype(
        np.float32
    ), labels


def report(n: int = 150, *, trained_on: int = 0) -> dict[str, Any]:
    """A whole report, its intervals made up."""
    p, y = films(n)
    predicted = p >= CUTS
    facts = FilmFacts(
        years=[1990 if number < 10 else 2001 for number in range(n)],
        languages=["en"] * n,
        overview_words=np.full(n, 30),
        inputs=["overview_poster"] * n,
    )
    return evaluate(p, y, CUTS) | {
        "trained_on": trained_on,
        "curves": curves(p, y),
        "cooccurrence": cooccurrence(predicted, y),
        "slices": slices(p, predicted, y, np.arange(n), facts),
        "intervals": {"macro_roc_auc": {"value": 0.7, "low": 0.6543, "high": 0.7654}},
        "differences": {
            "overview": {"macro_roc_auc": {"value": 0.01, "low": -0.01, "high": 0.03, "above_zero": False}},
            "poster": {"macro_roc_auc": {"value": 0.15, "low": 0.12, "high": 0.18, "above_zero": True}},
        },
    }
