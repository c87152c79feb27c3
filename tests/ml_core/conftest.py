"""Small films made here: texts that give their genre away, and posters drawn in a colour of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ml_core.snapshot import Snapshot, SnapshotFilm, SnapshotWriter
from tests.ml_core.lettered_films import train, write_lettered_films

WORDS = {
    18: "A grieving mother and her estranged daughter face illness, loss and forgiveness",
    35: "Two clumsy friends stumble through a hilarious wedding full of pranks and jokes",
    27: "A haunted house awakens, and a bloodthirsty demon hunts the terrified teenagers",
    99: "Archive footage and interviews with experts tell the true history of the glaciers",
}
COLOURS = {18: (70, 70, 160), 35: (240, 210, 60), 27: (20, 10, 10), 99: (90, 160, 90)}


def drawn_poster(genre: int, seed: int, kind: str = "JPEG", size: tuple[int, int] = (60, 90)) -> bytes:
    """A poster in the genre's colour with some noise, encoded as ``kind``."""
    noise = np.random.default_rng(seed).normal(0, 12, (size[1], size[0], 3))
    pixels = np.clip(np.array(COLOURS[genre]) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def film(number: int) -> tuple[SnapshotFilm, bytes | None]:
    """The film of that number: every fifth has no poster, every seventh no overview."""
    genre = list(WORDS)[number % len(WORDS)]
    part = ("train", "train", "val", "test")[(number // len(WORDS)) % 4]
    overview = "" if number % 7 == 6 else f"{WORDS[genre]}, in the year {1950 + number}."
    made = SnapshotFilm(
        tmdb_id=100 + number,
        title=f"Film {number}",
        overview=overview,
        label_ids=(genre, 53) if number % 3 == 0 else (genre,),
        part=part,  # type: ignore[arg-type]
        group=100 + number,
        year=1950 + number,
        language="en",
    )
    return made, None if number % 5 == 4 else drawn_poster(genre, number)


def write_films(folder: Path, numbers: list[int]) -> str:
    """Write a snapshot of those films; returns its hash."""
    with SnapshotWriter(folder) as writer:
        for number in numbers:
            writer.add(*film(number))
    return writer.sha256


@pytest.fixture(scope="session")
def tiny_snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 films of four genres."""
    folder = tmp_path_factory.mktemp("films") / "snapshot"
    write_films(folder, list(range(48)))
    return folder


@pytest.fixture
def opened(tiny_snapshot: Path) -> Snapshot:
    """The same, opened."""
    return Snapshot.open(tiny_snapshot)


@pytest.fixture(scope="session")
def lettered_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 films of two genres that only the lettering of their posters tells apart."""
    folder = tmp_path_factory.mktemp("lettered") / "snapshot"
    write_lettered_films(folder)
    return folder


@pytest.fixture(scope="session")
def start(lettered_films: Path) -> Path:
    """A model that does not read, of those films."""
    folder = lettered_films.parent / "start"
    assert train(lettered_films, folder, "--epochs", "2") == 0
    return folder


@pytest.fixture(scope="session")
def reading(lettered_films: Path, start: Path) -> Path:
    """The same model, which has learned to read."""
    folder = lettered_films.parent / "reading"
    assert train(lettered_films, folder, "--start", start, "--read-posters") == 0
    return folder


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    """Sums must not depend on how many cores the machine that runs the tests has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def nltk_miniature() -> Path:
    """A folder for NLTK_DATA with a few stop words and a WordNet of a dozen lemmas, written for these tests."""
    return Path(__file__).parent / "nltk_data"


@pytest.fixture
def miniature_corpora(nltk_miniature: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """NLTK finds the miniature corpora and no others, whatever it had found before."""
    import nltk
    from nltk.corpus import stopwords, wordnet

    from ml_core import text

    def forget() -> None:
        text._cleaner.cache_clear()
        stopwords._unload()
        wordnet._unload()

    monkeypatch.setattr(nltk.data, "path", [str(nltk_miniature)])
    forget()
    yield nltk_miniature
    forget()
