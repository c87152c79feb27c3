"""Train the article's network, with what its published code got wrong put right.

Words are cleaned as the article does, but the vocabulary and the vectors come from the train part alone, sequences are as
long as their words, films are shuffled anew each epoch, the best epoch by validation is kept, and thresholds come from
validation films.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml_core import ranks
from ml_core.devices import choose_device
from ml_core.features import state_sha256
from ml_core.fit_config import FitConfig
from ml_core.inputs import InputSet
from ml_core.networks.lstm_cnn import (
    POSTER_HEIGHT,
    POSTER_WIDTH,
    ArticleRecipe,
    LstmCnn,
    LstmCnnConfig,
    pixels,
    reads_of,
)
from ml_core.posters import DecodedPosters, decode_all
from ml_core.recipes import TrainingRequest
from ml_core.recipes.finishing import finish, half
from ml_core.recipes.running import tell_unusable_posters
from ml_core.snapshot import Snapshot
from ml_core.text import Vocabulary, clean, pad, require_corpora
from ml_core.training import Rows, fit, predict_logits, shuffled
from ml_core.word_vectors import embedding_matrix, read_word_vectors, train_word_vectors

# 99.9 % of the cleaned overviews are shorter; the article padded to 868 because it counted characters.
LONGEST_OVERVIEW = 160
# The article's validation was best at its seventh epoch of twenty; what follows the best one only learns films by heart.
_PATIENCE = 4


class ArticleSource:
    """Word numbers, lengths and pixels of films; each input can be hidden from all of them."""

    def __init__(
        self,
        sequences: list[list[int]],
        posters: DecodedPosters,
        *,
        overview: bool = True,
        poster: bool = True,
    ) -> None:
        self.sequences, self.posters = sequences, posters
        self.overview, self.poster = overview, poster

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """Shuffled batches."""
        return shuffled(rows, batch_size=batch_size, generator=generator)

    def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Word numbers ``(batch, steps)``, lengths ``(batch,)``, pixels ``(batch, 3, 115, 75)``."""
        sequences = [self.sequences[row] if self.overview else [] for row in rows.tolist()]
        longest = min(LONGEST_OVERVIEW, max((len(sequence) for sequence in sequences), default=0))
        tokens, lengths = pad(sequences, longest)
        shown = pixels(self.posters.batch(rows))
        if not self.poster:
            shown = torch.zeros_like(shown)
        return torch.from_numpy(tokens), torch.from_numpy(lengths), shown


def train_lstm_cnn(request: TrainingRequest) -> str:
    """Train from a snapshot to an artifact; returns the artifact's SHA-256, or '' in a rank that does not lead.

    Raises :class:`ml_core.text.CorpusMissing` before any work when NLTK's corpora are not there.
    """
    require_corpora()
    snapshot = Snapshot.open(request.snapshot)
    device = choose_device(request.device)
    recipe = ArticleRecipe()
    texts = [clean(overview) for overview in snapshot.texts("overview")]
    train_texts = [texts[row] for row in snapshot.rows("train").tolist() if texts[row]]
    vocabulary = Vocabulary.fit(train_texts)
    if request.word_vectors is not None:
        vectors = read_word_vectors(request.word_vectors, vocabulary)
    else:
        vectors = train_word_vectors(train_texts, seed=request.seed)
    with ranks.leader_first():
        posters = decode_all(snapshot, (POSTER_HEIGHT, POSTER_WIDTH), request.work)
    tell_unusable_posters(posters, snapshot, request.progress)
    torch.manual_seed(request.seed)
    config = LstmCnnConfig(vocabulary_size=len(vocabulary), inputs=request.inputs)
    network = LstmCnn(config, embedding_matrix(vocabulary, vectors, seed=request.seed))
    start = state_sha256(network)[:16]  # tells other word vectors and other seeds apart
    sequences = [vocabulary.encode(text) for text in texts]
    source = ArticleSource(sequences, posters)
    # The article dropped films that lacked either; each of its halves, trained alone, sees all films that it can read.
    shown = np.ones(len(snapshot), dtype=np.bool_)
    if request.inputs != "poster":
        shown &= snapshot.has_overview
    if request.inputs != "overview":
        shown &= posters.usable
    train, val = snapshot.rows("train"), snapshot.rows("val")
    result = fit(
        network,
        source,
        snapshot.labels,
        train=train[shown[train]],
        val=val[shown[val]],
        config=FitConfig(
            epochs=request.epochs or recipe.epochs,
            batch_size=request.batch_size or recipe.batch_size,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            decoupled_decay=False,
            clip=recipe.clip_norm,
            patience=_PATIENCE,
            seed=request.seed,
        ),
        device=device,
        checkpoint=request.work / f"lstm-cnn-{request.inputs}-{snapshot.sha256[:16]}-{start}.safetensors",
        progress=request.progress,
        stage="train lstm_cnn",
    )
    network.to(device).eval()

    if ranks.rank() > 0:
        return ""

    def logits(rows: Rows, inputs: InputSet) -> NDArray[np.float32]:
        given = ArticleSource(sequences, posters, overview="overview" in inputs, poster="poster" in inputs)
        return predict_logits(network, given, rows, device=device)

    return finish(
        request,
        snapshot=snapshot,
        logits=logits,
        has_poster=posters.usable,
        reads=reads_of(request.inputs),
        network="lstm_cnn",
        network_config=asdict(config),
        weights=half(network.state_dict()),
        training={"lstm_cnn": result.epochs},
        config={"poster_size": [POSTER_HEIGHT, POSTER_WIDTH], "encoders": {}},
        extra={"vocabulary.json": vocabulary.to_json()},
    )
