from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, matthews_corrcoef

from ml_core.thresholds import Criterion, apply_thresholds, choose_thresholds

MEASURES = {
    "f1": lambda truth, predicted: f1_score(truth, predicted, zero_division=0),
    # scikit-learn says 0, with a warning, where all films are alike.
    "mcc": lambda truth, predicted: matthews_corrcoef(truth, predicted) if len({*truth}) == 2 else 0.0,
}


@st.composite
def films_of_one_label(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with many ties, and labels, each of shape (n, 1)."""
    n = draw(st.integers(1, 25))
    tied = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.50000006, 0.9, 1.0])
    scores = draw(arrays(np.float32, (n, 1), elements=st.floats(0, 1, width=32) | tied))
    return scores, draw(arrays(np.int64, (n, 1), elements=st.integers(0, 1)))


@pytest.mark.parametrize("criterion", ["f1", "mcc"])
@given(films=films_of_one_label())
def test_no_other_threshold_does_better(criterion: Criterion, films: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = films
    measure = MEASURES[criterion]

    def quality(threshold: float) -> float:
        return float(measure(truth[:, 0], scores[:, 0] >= threshold))

    best = max(quality(threshold) for threshold in np.unique(scores))
    chosen = choose_thresholds(scores, truth, criterion)
    if best > 1e-9:
        assert quality(chosen[0]) == pytest.approx(best)
    else:
        assert chosen[0] == np.float32(0.5)


def test_the_threshold_lies_half_way_to_the_next_lower_probability() -> None:
    scores = np.array([[0.9], [0.7], [0.3], [0.1]])
    assert choose_thresholds(scores, np.array([[1], [1], [0], [0]]))[0] == pytest.approx(0.5)
    assert choose_thresholds(scores, np.array([[1], [0], [0], [0]]))[0] == pytest.approx(0.8)


def test_neighbouring_float32_numbers_are_told_apart() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    scores = np.array([[high], [low]], dtype=np.float32)
    thresholds = choose_thresholds(scores, np.array([[1], [0]]))
    assert apply_thresholds(scores, thresholds).tolist() == [[True], [False]]


def test_each_label_has_its_own_and_one_without_films_gets_a_half() -> None:
    scores = np.array([[0.9, 0.2, 0.9], [0.2, 0.1, 0.1]])
    thresholds = choose_thresholds(scores, np.array([[1, 1, 0], [0, 0, 0]]))
    assert thresholds == pytest.approx([0.55, 0.15, 0.5])
    assert thresholds.dtype == np.float32


def test_matthews_correlation_can_choose_otherwise_than_f1() -> None:
    """A frequent label: F1 is content with yes for all, Matthews correlation gives nothing for that."""
    scores = np.array([[0.9], [0.8], [0.7], [0.6], [0.5]])
    truth = np.array([[1], [1], [0], [1], [1]])
    assert choose_thresholds(scores, truth, "f1")[0] == pytest.approx(0.5)
    assert choose_thresholds(scores, truth, "mcc")[0] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("scores", "truth", "criterion", "says"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2)), "f1", "shape"),
        (np.array([[np.nan]]), np.array([[1]]), "f1", "NaN"),
        (np.zeros((1, 1)), np.zeros((1, 1)), "accuracy", "f1, mcc"),
    ],
)
def test_what_cannot_be_is_refused(
    scores: np.ndarray, truth: np.ndarray, criterion: Criterion, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        choose_thresholds(scores, truth, criterion)
