"""Drift: how far the catalog has gone on since the champion was trained, and whether it is time to train again."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from predictor.agreement import FEW_FILMS, count_agreement
from predictor.keeping import kept
from predictor.models import ModelVersion, Part, PredictionRun

# What makes a training worth its hour: a rule of thumb. What fewer films change is lost in the interval of the figures,
# which on a few thousand test films is half a point of macro ROC AUC either way.
WORTHWHILE_SHARE = 0.10
# Of samples F1. With many films even a difference that nobody would notice is certain.
WORTHWHILE_DROP = 0.02
_Z95 = 1.959964  # of the normal distribution


class Advice(enum.StrEnum):
    """What the figures speak for."""

    RETRAIN = "retrain"
    KEEP = "keep"
    TOO_FEW = "too-few"


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """How the champion and TMDB agree on some films. Figures are None where there are none.

    `surprise` is the mean log-loss of TMDB's labels, in nats a label.
    """

    films: int
    samples_f1: float | None
    macro_f1: float | None
    surprise: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """By how much a mean is greater on new films than on test films, with its 95 % interval (Welch's, of two samples)."""

    by: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Drift:
    """The catalog since the champion was trained.

    `added` films came since `since`. `new_films` have a genre and were in no part of its training: what training again would
    add to the `trained_on` it learned from. `changed_inputs` films have another title, overview, tagline or poster than when
    it first read the catalog; None where it has not read all of it yet. `changed_labels` films have other labels at TMDB.
    """

    since: datetime
    trained_on: int
    added: int
    new_films: int
    changed_inputs: int | None
    changed_labels: int
    test: GroupAgreement
    new: GroupAgreement
    samples_f1_change: Change | None
    surprise_change: Change | None
    advice: Advice
    reasons: tuple[str, ...]
    counted_at: datetime

    @property
    def new_share(self) -> float | None:
        """New films for each that it was trained on."""
        return self.new_films / self.trained_on if self.trained_on else None


def drift(version: ModelVersion) -> Drift:
    """The drift since this version, the champion, was trained; kept as `predictor.keeping` says."""
    return kept(f"drift:2:{version.pk}", lambda: measure_drift(version))


def measure_drift(version: ModelVersion) -> Drift:
    """The same, counted now: a few passes over the films and over the version's predictions."""
    since = version.trained_at or version.registered_at
    trained_on = version.films.filter(part=Part.TRAIN).count()
    added, new_films = _new_films(version, since)
    changed_inputs = _changed_inputs(version)
    changed_labels = _changed_labels(since)
    moments = _moments(version)
    on_test, on_new = (moments.get(part, _NO_MOMENTS) for part in (Part.TEST.value, _NEVER_MET))
    judged = min(on_test.films, on_new.films) >= FEW_FILMS
    f1_change = _change(on_test.f1, on_new.f1) if judged else None
    reasons = _reasons(
        trained_on=trained_on,
        new_films=new_films,
        changed_inputs=changed_inputs,
        changed_labels=changed_labels,
        f1_change=f1_change,
    )
    advice = Advice.RETRAIN if reasons else Advice.KEEP
    return Drift(
        since=since,
        trained_on=trained_on,
        added=added,
        new_films=new_films,
        changed_inputs=changed_inputs,
        changed_labels=changed_labels,
        test=_group(version, Part.TEST.value, on_test),
        new=_group(version, _NEVER_MET, on_new),
        samples_f1_change=f1_change,
        surprise_change=_change(on_test.surprise, on_new.surprise) if judged else None,
        advice=Advice.TOO_FEW if max(new_films, changed_inputs or 0, changed_labels) < FEW_FILMS else advice,
        reasons=reasons,
        counted_at=timezone.now(),
    )


def _reasons(
    *,
    trained_on: int,
    new_films: int,
    changed_inputs: int | None,
    changed_labels: int,
    f1_change: Change | None,
) -> tuple[str, ...]:
    """What speaks for training again, in sentences; empty where nothing does."""
    reasons = []
    if new_films >= max(WORTHWHILE_SHARE * trained_on, FEW_FILMS):
        more = f"{100 * new_films / trained_on:.0f} % more than" if trained_on else "beside"
        reasons.append(
            f"{new_films:,} films with a genre are new to it: {more} the {trained_on:,} it was trained on."
        )
    if changed_inputs is not None and changed_inputs >= max(WORTHWHILE_SHARE * trained_on, FEW_FILMS):
        reasons.append(f"{changed_inputs:,} films have another text or poster than when it first read them.")
    if changed_labels >= max(WORTHWHILE_SHARE * trained_on, FEW_FILMS):
        reasons.append(f"{changed_labels:,} films have other labels at TMDB than when it was trained.")
    if f1_change is not None and f1_change.high < 0 and f1_change.by <= -WORTHWHILE_DROP:
        reasons.append(
            f"It agrees less with TMDB on films that are new to it than on test films: samples F1 is {-f1_change.by:.3f}"
            f" lower (95 % interval {-f1_change.high:.3f} to {-f1_change.low:.3f})."
        )
    return tuple(reasons)


# As `Prediction.part` has a film that the version's training never met.
_NEVER_MET = ""


@dataclass(frozen=True, slots=True)
class _Mean:
    """A mean over `films`, and the variance of what it is the mean of; None where there are none, or one alone."""

    films: int
    mean: float | None
    variance: float | None


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of some films, their own F1 and their surprise."""

    films: int
    f1: _Mean
    surprise: _Mean


_NO_MOMENTS = _Moments(0, _Mean(0, None, None), _Mean(0, None, None))


def _group(version: ModelVersion, part: str, moments: _Moments) -> GroupAgreement:
    counted = count_agreement(version, parts=[part])
    return GroupAgreement(
        films=counted.films,
        samples_f1=counted.samples_f1,
        macro_f1=counted.macro_f1,
        surprise=moments.surprise.mean,
    )


def _change(test: _Mean, new: _Mean) -> Change | None:
    if test.mean is None or new.mean is None:
        return None
    by = new.mean - test.mean
    margin = _Z95 * math.sqrt((test.variance or 0) / test.films + (new.variance or 0) / new.films)
    return Change(by=by, low=by - margin, high=by + margin)


def _moments(version: ModelVersion) -> dict[str, _Moments]:
    """By part."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT part, count(*), avg(f1), var_samp(f1), avg(surprise), var_samp(surprise)
            FROM (
                SELECT part, surprise::float8 AS surprise, 2.0::float8 * cardinality(hits)
                    / (2 * cardinality(hits) + cardinality(misses) + cardinality(extras)) AS f1
                FROM predictor_prediction
                WHERE version_id = %s AND part = ANY(%s) AND hits IS NOT NULL
            ) AS film GROUP BY part
            """,
            [version.pk, [Part.TEST.value, _NEVER_MET]],
        )
        return {
            part: _Moments(films, _Mean(films, *f1), _Mean(films, *surprise))
            for part, films, *rest in cursor.fetchall()
            for f1, surprise in [(rest[:2], rest[2:])]
        }


def _new_films(version: ModelVersion, since: datetime) -> tuple[int, int]:
    """How many films were added since, and how many with a genre the version's training never met."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE f.added_at > %(since)s),
                   count(*) FILTER (WHERE seen.tmdb_id IS NULL AND f.label_ids <> '{}')
            FROM catalog_film f
            LEFT JOIN predictor_versionfilm seen
                ON seen.version_id = %(version)s AND seen.tmdb_id = f.tmdb_id
            """,
            {"since": since, "version": version.pk},
        )
        added, new = cursor.fetchone() or (0, 0)
        return added, new


def _changed_inputs(version: ModelVersion) -> int | None:
    """Films whose inputs changed after the version's first complete run over the catalog; None before that.

    A film is predicted again for one reason alone: what the prediction rests on has changed. So those that were there when
    the run began and were predicted after it ended have changed, and those whose prediction is of other inputs.
    """
    first = version.prediction_runs.filter(state=PredictionRun.State.DONE).order_by("id").first()
    if first is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM predictor_prediction p JOIN catalog_film f ON f.id = p.film_id
            WHERE p.version_id = %(version)s AND f.added_at < %(begun)s
              AND (p.predicted_at > %(ended)s OR p.input_hash <> f.input_hash)
            """,
            {"version": version.pk, "begun": first.created_at, "ended": first.finished_at},
        )
        return int((cursor.fetchone() or (0,))[0])


def _changed_labels(since: datetime) -> int:
    """Films whose labels were changed since then, and not back to what they were."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM (
                SELECT DISTINCT ON (film_id) film_id, before FROM catalog_labelchange
                WHERE changed_at > %s ORDER BY film_id, changed_at, id
            ) AS first JOIN catalog_film f ON f.id = first.film_id
            WHERE f.label_ids <> first.before
            """,
            [since],
        )
        return int((cursor.fetchone() or (0,))[0])
