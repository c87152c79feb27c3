"""Films that differ by nothing but what is written on their posters, and trainings on them."""

from __future__ import annotations

from pathlib import Path

from ml_core.__main__ import main
from ml_core.snapshot import SnapshotFilm, SnapshotWriter
from tests.lettering import lettered

# By genre: what its posters say. Their titles, overviews and colours are all alike.
LETTERING = {
    27: ("HAUNTED", "DEMON", "HOUSE OF FEAR", "ZOMBIE NIGHT"),
    35: ("WEDDING", "FUNNY JOKE", "HAPPY CLOWN", "CRAZY PARTY"),
}
FILMS = 96


def write_lettered_films(folder: Path) -> None:
    """Write a snapshot of them."""
    with SnapshotWriter(folder) as writer:
        for number in range(FILMS):
            genre = list(LETTERING)[number % 2]
            line = LETTERING[genre][(number // 2) % 4]
            made = SnapshotFilm(
                tmdb_id=100 + number,
                title=f"Film {number}",
                overview="Somebody goes somewhere and comes back.",
                label_ids=(genre,),
                part=("train", "train", "val", "test")[(number // 8) % 4],  # type: ignore[arg-type]
                group=100 + number,
                year=1950 + number % 60,
                language="en",
            )
            writer.add(made, lettered([line], seed=number))


def train(snapshot: Path, artifact: Path, *more: str | Path) -> int:
    """Run ``train`` on one core; returns its exit code."""
    given = ("train", snapshot, artifact, "--batch-size", "16", "--device", "cpu", "--threads", "1", *more)
    return main([str(argument) for argument in given])
