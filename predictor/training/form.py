"""The form that asks for a training, on the site and in the admin."""

from __future__ import annotations

from typing import Any, cast

from django import forms

from ml_core.labels import LABELS
from predictor.splits import DEFAULT_SPLIT
from predictor.training.runs import check_teacher, teachers
from predictor.training.settings import (
    BOUNDS,
    CRITERIA,
    INPUTS,
    LOSSES,
    NETWORKS,
    InvalidSettingsError,
    TrainingSettings,
)

# The newest: who teaches is hardly an old one.
_MOST_TEACHERS = 20


def _number(name: str, **options: Any) -> forms.IntegerField:
    least, most = BOUNDS[name]
    return forms.IntegerField(min_value=least, max_value=most, required=False, **options)


def _choice(choices: dict[str, str], **options: Any) -> forms.ChoiceField:
    return forms.ChoiceField(choices=list(choices.items()), **options)


class TrainingForm(forms.Form):
    """What a training is asked for. `cleaned_settings` has it when the form is valid."""

    network = _choice(NETWORKS, initial="fusion")
    inputs = _choice(INPUTS, initial="both", label="Reads")
    epochs = _number("epochs", help_text="Passes over the films. Empty: 20.")
    poster_epochs = _number(
        "poster_epochs",
        initial=0,
        label="Epochs on posters",
        help_text="The image encoder first, on posters alone: better on posters. Of our network alone.",
    )
    tune_epochs = _number(
        "tune_epochs",
        initial=0,
        label="Epochs of tuning",
        help_text="The encoders, too: better, and an hour or more without a GPU. Of our network alone.",
    )
    teacher = forms.TypedChoiceField(
        coerce=int,
        empty_value=None,
        required=False,
        label="Learns from",
        help_text="The labels alone, or half from what another version says of the films: labels are incomplete.",
    )
    read_posters = forms.BooleanField(
        required=False,
        label="Reads what is on posters",
        help_text="Where a poster comes with nothing else. Some 20 minutes for 8,000 posters and more. Of our network alone.",
    )
    seed = _number("seed", initial=0, help_text="The same seed on the same films gives the same model.")
    loss = _choice(LOSSES, initial="bce")
    criterion = _choice(CRITERIA, initial="f1", label="Thresholds by")
    batch_size = _number("batch_size", help_text="Films a step. Empty: 256, or 64 for the article's.")
    tune_batch_size = _number("tune_batch_size", label="Batch size of tuning", help_text="Empty: 32.")
    threads = _number("threads", help_text="Of the CPU. Empty: all that the worker may use.")
    split = forms.CharField(
        max_length=40,
        initial=DEFAULT_SPLIT,
        help_text="Which films test and which train. Models of one split can be compared; a new name makes a new one.",
    )
    first_year = _number("first_year", label="Films from")
    last_year = _number("last_year", label="Films to")
    languages = forms.CharField(required=False, help_text="ISO codes with commas between, such as en, fr.")
    minimum_votes = _number("minimum_votes", initial=0)
    genres = forms.TypedMultipleChoiceField(
        choices=[(label.tmdb_id, label.name) for label in LABELS],
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Films of any of these. None: all films.",
    )

    #: What is shown at once; the rest is behind a fold.
    MAIN = ("network", "inputs", "epochs", "poster_epochs", "tune_epochs", "teacher", "read_posters", "seed")
    FILMS = ("first_year", "last_year", "languages", "minimum_votes", "genres")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = teachers().only("name", "sha256", "training")[:_MOST_TEACHERS]
        cast(forms.TypedChoiceField, self.fields["teacher"]).choices = [
            ("", "the labels alone"),
            *(
                (version.pk, f"{version}, split {version.training['settings']['split']}")
                for version in versions
            ),
        ]

    def main_fields(self) -> list[forms.BoundField]:
        """What everybody chooses."""
        return [self[name] for name in self.MAIN]

    def film_fields(self) -> list[forms.BoundField]:
        """Which films it learns from."""
        return [self[name] for name in self.FILMS]

    def advanced_fields(self) -> list[forms.BoundField]:
        """The rest."""
        return [field for field in self if field.name not in (*self.MAIN, *self.FILMS)]

    def clean(self) -> dict[str, Any]:
        """All settings together, as every door has them checked."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        given = {name: value for name, value in cleaned.items() if value is not None}
        given["languages"] = [code.strip() for code in cleaned["languages"].split(",") if code.strip()]
        try:
            self.cleaned_settings = TrainingSettings.parse(given)
            check_teacher(self.cleaned_settings)
        except InvalidSettingsError as error:
            for name, messages in error.errors.items():
                self.add_error(name, messages)
        return cleaned
