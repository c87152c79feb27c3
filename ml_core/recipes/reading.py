"""The last stage of the fusion's recipe, where it is asked for: using what is written on posters that come with nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ml_core import ranks
from ml_core.features import state_sha256, token_vectors
from ml_core.networks.reading import ReadingHead
from ml_core.networks.sentence import tokenize
from ml_core.poster_text import PosterReader
from ml_core.reading import CACHE_FILE, ReadPosters, choose_weight, read_posters, some_of, train_reading
from ml_core.recipes.pictures import Pictures
from ml_core.training import Rows

if TYPE_CHECKING:
    from ml_core.recipes.fusion import Films

# With fewer posters on which anything can be read, nothing is learned from them and the model goes without.
_FEWEST_READ = 20


@dataclass(frozen=True)
class Reading:
    """A model that reads posters: its head, what reads, and the figures of the epochs in which the head was trained."""

    films: Films
    pictures: Pictures
    head: ReadingHead
    reader: PosterReader
    epochs: list[dict[str, float]]

    def bare_logits(self, rows: Rows) -> NDArray[np.float32]:
        """Logits ``(rows, 18)`` of posters that come with nothing else, as :class:`ml_core.scorers.FusionScorer` has them."""
        logits = self.pictures.logits(rows)
        read = _read(self.films, self.reader, rows)
        with torch.inference_mode():
            logits[np.isin(rows, read.rows)] += self.head.evidence(torch.from_numpy(read.vectors)).numpy()
        return logits


def learn_to_read(films: Films, pictures: Pictures) -> Reading | None:
    """Read posters, train the head, weigh it; None where hardly anything can be read on these posters."""
    request, usable = films.request, films.posters.usable
    train, val = (rows[usable[rows]] for rows in (films.rows("train"), films.rows("val")))
    titled = films.rows("train")[films.texts.has_title[films.rows("train")]]
    with ranks.leader_first():
        reader = PosterReader(request.work / CACHE_FILE)
        on_val = _read(films, reader, val)
        on_train = _read(films, reader, some_of(train, seed=request.seed))
        titles = token_vectors(
            [films.texts.shown(row, tagline=False, overview=False) for row in titled.tolist()],
            films.sentence,
            cache_dir=request.work,
            device=films.device,
            name="titles alone",
            progress=request.progress,
        )
    if min(len(on_train.rows), len(on_val.rows)) < _FEWEST_READ:
        if request.progress is not None:
            request.progress({"stage": "read posters", "left_out": "hardly anything is legible on them"})
        return None
    head, result = train_reading(
        np.asarray(titles, dtype=np.float32),
        titled,
        on_train,
        on_val,
        films.snapshot.labels,
        seed=request.seed,
        device=films.device,
        checkpoint=request.work / f"reading-{films.aim}-{state_sha256(films.sentence)[:8]}.safetensors",
        progress=request.progress,
    )
    # Of all validation posters: those are encoded for their calibration, too, and kept.
    picture = pictures.logits(val)[np.isin(val, on_val.rows)]
    choose_weight(head, picture, on_val, films.snapshot.labels[on_val.rows])
    # As it will be shipped.
    head.load_state_dict({name: tensor.half().float() for name, tensor in head.state_dict().items()})
    return Reading(films, pictures, head, reader, result.epochs)


def _read(films: Films, reader: PosterReader, rows: Rows) -> ReadPosters:
    """Those of the rows on whose posters something can be read."""
    request = films.request
    texts = read_posters(reader, films.snapshot, rows, progress=request.progress)
    legible = np.array([bool(text) for text in texts], dtype=np.bool_)
    some = [text for text in texts if text]
    vectors = token_vectors(
        tokenize(some),
        films.sentence,
        cache_dir=request.work,
        device=films.device,
        name="poster texts",
        progress=request.progress,
    )
    return ReadPosters(rows[legible], some, np.asarray(vectors, dtype=np.float32))
