"""The networks by name: what trains each, and what runs each out of an artifact.

Kept as dotted names, so that listing them imports neither torch nor a network that is not used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast


class UnknownNetworkError(ValueError):
    """A network that this Genresite does not have. The message lists those that it has."""


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """Where a network's two ends are: ``recipe`` trains an artifact, ``scorer`` runs one (``module:attribute``)."""

    name: str
    summary: str
    recipe: str
    scorer: str

    def load_recipe(self) -> Callable[..., Any]:
        """The function that trains it; see :mod:`ml_core.recipes`."""
        return _attribute(self.recipe)

    def load_scorer(self) -> Callable[..., Any]:
        """What makes a scorer from an artifact; see :mod:`ml_core.scorers`."""
        return _attribute(self.scorer)


NETWORKS: dict[str, NetworkEntry] = {
    entry.name: entry
    for entry in (
        NetworkEntry(
            "fusion",
            "pretrained sentence and image encoders behind a learned gate; any input may be missing",
            "ml_core.recipes.fusion:train_fusion",
            "ml_core.scorers:FusionScorer",
        ),
        NetworkEntry(
            "lstm_cnn",
            "the article's network: Word2Vec, two stacked LSTMs, four convolutions; needs NLTK's corpora",
            "ml_core.recipes.article:train_lstm_cnn",
            "ml_core.scorers:LstmCnnScorer",
        ),
    )
}


def network(name: str) -> NetworkEntry:
    """The network of that name. Raises :class:`UnknownNetworkError`."""
    try:
        return NETWORKS[name]
    except KeyError:
        raise UnknownNetworkError(f"unknown network {name!r}; there are: {', '.join(NETWORKS)}") from None


def _attribute(path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), attribute))
