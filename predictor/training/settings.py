"""What a training can be asked for, and what is refused: the one place that knows, whichever door it comes through."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ml_core.labels import LABEL_IDS
from predictor.splits import DEFAULT_SPLIT

NETWORKS = {
    "fusion": "ours: sentence and image encoder, fused",
    "lstm_cnn": "the article's: stacked LSTM and CNN",
}
INPUTS = {"both": "overview and poster", "overview": "overview and title alone", "poster": "poster alone"}
LOSSES = {
    "bce": "binary cross-entropy",
    "asymmetric": "asymmetric: absent genres weigh less",
    "balanced": "balanced: rare genres weigh more",
}
CRITERIA = {"f1": "F1", "mcc": "Matthews correlation"}
# Bounds of the whole numbers: (least, most). What lies beyond is a slip of the finger, not a training.
BOUNDS = {
    "epochs": (1, 200),
    "poster_epochs": (0, 50),
    "tune_epochs": (0, 50),
    "teacher": (1, 2**63 - 1),
    "seed": (0, 2**31 - 1),
    "batch_size": (1, 4096),
    "tune_batch_size": (1, 512),
    "threads": (1, 256),
    "first_year": (1870, 2200),
    "last_year": (1870, 2200),
    "minimum_votes": (0, 10**9),
}
MOST_LANGUAGES = 50
_CHOICES = {"network": NETWORKS, "inputs": INPUTS, "loss": LOSSES, "criterion": CRITERIA}
_OPTIONAL = {"epochs", "teacher", "batch_size", "tune_batch_size", "threads", "first_year", "last_year"}
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class InvalidSettingsError(ValueError):
    """Settings that no training can have; `errors` has the messages by name of the field."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        self.errors = {name: list(messages) for name, messages in errors.items()}
        told = " ".join(f"{name}: {' '.join(messages)}" for name, messages in self.errors.items())
        super().__init__(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """The settings of a training. None leaves the choice to the network's recipe.

    ``teacher`` is the id of a model version that has a share in what is learned; None: there is none. ``read_posters`` has it learn
    in the end to use what is written on posters that come with nothing else.

    The last five narrow the films that it learns and validates on; it is judged on all test films of the split in any case,
    so that versions stay comparable. ``languages`` are ISO 639-1 codes, ``genres`` TMDB ids of which a film has one.
    """

    network: str = "fusion"
    inputs: str = "both"
    epochs: int | None = None
    poster_epochs: int = 0
    tune_epochs: int = 0
    teacher: int | None = None
    read_posters: bool = False
    seed: int = 0
    loss: str = "bce"
    criterion: str = "f1"
    batch_size: int | None = None
    tune_batch_size: int | None = None
    threads: int | None = None
    split: str = DEFAULT_SPLIT
    first_year: int | None = None
    last_year: int | None = None
    languages: tuple[str, ...] = field(default=())
    minimum_votes: int = 0
    genres: tuple[int, ...] = field(default=())

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> TrainingSettings:
        """Settings from plain values by name, what is left out as it is by default.

        Raises:
            InvalidSettingsError: with every field that is wrong.
        """
        errors: dict[str, list[str]] = {
            str(name): ["There is no such setting."] for name in given if name not in _NAMES
        }
        values: dict[str, Any] = {}
        for name in _NAMES & set(given):
            try:
                values[name] = _parse_one(name, given[name])
            except ValueError as error:
                errors[name] = [str(error)]
        if errors:
            raise InvalidSettingsError(errors)
        settings = cls(**values)
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        errors: dict[str, list[str]] = {}
        if self.network != "fusion":
            for name in ("poster_epochs", "tune_epochs"):
                if getattr(self, name):
                    errors[name] = ["The article's network has no encoders to tune."]
            if self.read_posters:
                errors["read_posters"] = ["The article's network does not read."]
            if self.teacher:
                errors["teacher"] = ["The article's network learns from labels alone."]
            if self.loss != "bce":
                errors["loss"] = ["The article's network is trained with binary cross-entropy."]
        elif self.poster_epochs and self.inputs == "overview":
            errors["poster_epochs"] = ["It is to read no posters."]
        elif self.read_posters and self.inputs != "both":
            errors["read_posters"] = ["For that it has to know titles and posters."]
        if self.first_year and self.last_year and self.first_year > self.last_year:
            errors["last_year"] = ["It is before the first year."]
        if errors:
            raise InvalidSettingsError(errors)

    def as_json(self) -> dict[str, Any]:
        """All of them, as the run keeps them."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    def sha256(self) -> str:
        """The same for the same settings."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    @property
    def narrows(self) -> bool:
        """Whether it leaves films out."""
        return any((self.first_year, self.last_year, self.languages, self.minimum_votes, self.genres))


_NAMES = {entry.name for entry in fields(TrainingSettings)}


def _parse_one(name: str, value: Any) -> Any:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"It must be one of {', '.join(_CHOICES[name])}.")
        return value
    if name == "read_posters":
        if type(value) is not bool:
            raise ValueError("True or false is expected.")
        return value
    if name in BOUNDS:
        return _whole_number(name, value)
    if name == "split":
        if not isinstance(value, str) or not _SPLIT.fullmatch(value):
            raise ValueError("A name of up to 40 letters, digits, hyphens and underscores.")
        return value
    if not isinstance(value, list | tuple):
        raise ValueError("A list is expected.")  # noqa: TRY004 - of what somebody sent
    if name == "languages":
        if len(value) > MOST_LANGUAGES or not all(
            isinstance(v, str) and _LANGUAGE.fullmatch(v) for v in value
        ):
            raise ValueError(f"At most {MOST_LANGUAGES} ISO 639-1 codes, such as en.")
        return tuple(sorted(set(value)))
    if not all(type(v) is int and v in LABEL_IDS for v in value):
        raise ValueError("TMDB ids of genres that are predicted are expected.")
    return tuple(sorted(set(value)))


def _whole_number(name: str, value: Any) -> int | None:
    if value is None and name in _OPTIONAL:
        return None
    least, most = BOUNDS[name]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"A whole number from {least} to {most} is expected.")
    return value
