"""Out-of-fold probabilities: for every film, from networks that saw neither it nor its like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ml_core.crossfit import DESCRIPTION_FILE, PROBABILITIES_FILE, crossfit, grouped_folds
from ml_core.evaluation import macro_roc_auc
from ml_core.labels import LABEL_IDS
from ml_core.snapshot import Snapshot, SnapshotWriter
from ml_core.training import TrainingError

from .conftest import WORDS, film, write_films

SETTINGS = {"folds": 3, "epochs": 2, "device": "cpu"}


def read(folder: Path) -> tuple[dict, np.ndarray, np.ndarray]:
    table = pq.read_table(folder / PROBABILITIES_FILE)
    return (
        json.loads((folder / DESCRIPTION_FILE).read_text()),
        np.array(table["fold"].to_pylist()),
        np.array(table["probabilities"].to_pylist(), dtype=np.float32),
    )


def test_every_film_has_probabilities(tmp_path: Path) -> None:
    write_films(tmp_path / "snapshot", list(range(160)))
    settings = SETTINGS | {"epochs": 40}  # of one batch each
    crossfit(tmp_path / "snapshot", tmp_path / "out", work=tmp_path / "work", **settings)
    description, folds, probabilities = read(tmp_path / "out")
    assert description["label_ids"] == list(LABEL_IDS)
    assert description["films"] == len(probabilities) == 160
    assert set(folds.tolist()) == {0, 1, 2}
    assert ((probabilities > 0) & (probabilities < 1)).all()
    # These genres can be read off the texts and posters, as the films of other folds show.
    columns = [LABEL_IDS.index(genre) for genre in WORDS]
    labels = Snapshot.open(tmp_path / "snapshot").labels
    assert macro_roc_auc(probabilities[:, columns], labels[:, columns]) > 0.85
    assert description["figures"]["macro_roc_auc"] == macro_roc_auc(probabilities, labels)


def test_a_films_own_label_does_not_shape_its_probabilities(tmp_path: Path) -> None:
    """Another label for one film changes the others' probabilities, never its own nor those of its fold."""
    write_films(tmp_path / "true", list(range(48)))
    with SnapshotWriter(tmp_path / "false") as writer:
        for number in range(48):
            made, poster = film(number)
            if number == 8:
                made = type(made)(
                    **{name: getattr(made, name) for name in made.__slots__} | {"label_ids": (99, 10402)}
                )
            writer.add(made, poster)
    for name in ("true", "false"):
        crossfit(tmp_path / name, tmp_path / f"{name}-out", work=tmp_path / f"{name}-work", **SETTINGS)
    (_, folds, before), (_, _, after) = read(tmp_path / "true-out"), read(tmp_path / "false-out")
    mates = folds == folds[8]
    assert np.array_equal(before[mates], after[mates])
    assert not np.array_equal(before[~mates], after[~mates])


def test_films_of_one_group_are_in_one_fold_wherever_else_films_are_added() -> None:
    groups = np.array([7, 8, 7, 9, 8, 11])
    folds = grouped_folds(groups, folds=5, seed=1)
    assert folds[0] == folds[2]
    assert folds[1] == folds[4]
    more = grouped_folds(np.append(groups, [12, 13]), folds=5, seed=1)
    assert np.array_equal(more[:6], folds)
    many = grouped_folds(np.arange(10_000), folds=5, seed=1)
    assert np.bincount(many, minlength=5).min() > 1_850


def test_an_interrupted_one_goes_on_to_the_same_probabilities(tiny_snapshot: Path, tmp_path: Path) -> None:
    def stop(line: dict) -> None:
        if line["stage"] == "fold 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crossfit(tiny_snapshot, tmp_path / "out", work=tmp_path / "work", progress=stop, **SETTINGS)
    assert not (tmp_path / "out" / DESCRIPTION_FILE).exists()
    told: list[str] = []
    crossfit(
        tiny_snapshot,
        tmp_path / "out",
        work=tmp_path / "work",
        # Its epochs are told again, without the pace that only training has.
        progress=lambda line: told.extend([line["stage"]] if "films_per_second" in line else []),
        **SETTINGS,
    )
    crossfit(tiny_snapshot, tmp_path / "whole", work=tmp_path / "other", **SETTINGS)
    assert "fold 1" not in told
    assert "fold 3" in told
    assert np.array_equal(read(tmp_path / "out")[2], read(tmp_path / "whole")[2])


@pytest.mark.parametrize("folds", [1, 200])
def test_too_few_folds_or_films_are_told_before_any_work(
    tiny_snapshot: Path, tmp_path: Path, folds: int
) -> None:
    with pytest.raises(TrainingError, match="folds"):
        crossfit(tiny_snapshot, tmp_path / "out", work=tmp_path / "work", folds=folds)
    assert len(Snapshot.open(tiny_snapshot)) == 48
