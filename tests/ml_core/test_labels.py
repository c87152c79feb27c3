"""The label space."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from ml_core.labels import LABEL_IDS, LABEL_NAMES, LABELS, is_label, multi_hot


def test_labels_are_the_18_genres_in_the_order_of_their_names() -> None:
    assert len(LABELS) == len(set(LABEL_IDS)) == 18
    assert list(LABEL_NAMES) == sorted(LABEL_NAMES)
    assert (LABELS[0].tmdb_id, LABELS[0].name) == (28, "Action")
    assert (LABELS[14].tmdb_id, LABELS[14].name) == (878, "Science Fiction")


def test_multi_hot_passes_over_what_is_no_label() -> None:
    tv_movie, foreign, a_company = 10770, 10769, 11602
    vector = multi_hot([18, 80, tv_movie, foreign, a_company])
    assert vector.dtype == np.float32
    assert [LABEL_NAMES[column] for column in np.flatnonzero(vector)] == ["Crime", "Drama"]
    assert not is_label(tv_movie)


def test_what_the_web_process_imports_does_not_bring_torch() -> None:
    modules = "labels snapshot dataset artifact inputs posters thresholds calibration evaluation networks"
    lines = [f"import ml_core.{name}" for name in modules.split()]
    code = "\n".join([*lines, "import sys", "print([m for m in ('torch', 'django') if m in sys.modules])"])
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
