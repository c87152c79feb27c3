"""The filters of the browse page and of the API's list, read from a query string."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.datastructures import MultiValueDict

from catalog.languages import language_name
from catalog.models import Genre
from predictor.browsing import BEST, RELEVANCE, SORTS, FilmFilters

FIRST_YEAR, LAST_YEAR = 1870, 2100
YES_NO = [("", "Either"), ("yes", "Yes"), ("no", "No")]
SORT_CHOICES = [
    ("", "Best first"),
    ("popularity", "Popularity"),
    ("rating", "Rating"),
    ("newest", "Newest"),
    ("title", "Title"),
    ("added", "Recently added"),
    ("surprising", "Most surprising"),
]
AGREEMENT_CHOICES = [
    ("", "Any"),
    ("agrees", "Full agreement"),
    ("misses", "Model misses a genre"),
    ("extras", "Model adds a genre"),
]


class FilterForm(forms.Form):
    """Every filter and the sort; each may be left out. `filters()` gives the typed value of a valid form."""

    q = forms.CharField(required=False, max_length=200, label="Search")
    genre = forms.TypedMultipleChoiceField(
        required=False, coerce=int, label="Genre at TMDB", widget=forms.CheckboxSelectMultiple
    )
    match = forms.ChoiceField(
        required=False, choices=[("any", "Any of them"), ("all", "All of them")], label="Genres chosen"
    )
    predicted = forms.TypedMultipleChoiceField(
        required=False, coerce=int, label="Predicted genre", widget=forms.CheckboxSelectMultiple
    )
    agreement = forms.ChoiceField(required=False, choices=AGREEMENT_CHOICES, label="Agreement")
    year_from = forms.IntegerField(
        required=False, min_value=FIRST_YEAR, max_value=LAST_YEAR, label="Released from"
    )
    year_to = forms.IntegerField(
        required=False, min_value=FIRST_YEAR, max_value=LAST_YEAR, label="Released to"
    )
    language = forms.CharField(
        required=False,
        max_length=8,
        label="Original language",
        validators=[
            RegexValidator(r"\A[a-z]{2,3}\Z", "Give a language as ISO 639-1 code, for example “fr”.")
        ],
    )
    rating = forms.FloatField(required=False, min_value=0, max_value=10, label="Rating at least")
    poster = forms.ChoiceField(required=False, choices=YES_NO, label="Has a poster")
    prediction = forms.ChoiceField(required=False, choices=YES_NO, label="Has a prediction")
    adult = forms.ChoiceField(required=False, choices=[("", "No"), ("yes", "Yes")], label="Show adult films")
    sort = forms.ChoiceField(required=False, choices=SORT_CHOICES, label="Sort by")

    def __init__(
        self,
        data: MultiValueDict[str, str] | None = None,
        *,
        genres: Iterable[Genre],
        languages: Iterable[str] = (),
    ) -> None:
        super().__init__(data=data if data is not None else MultiValueDict())
        self._labels = [(str(genre.pk), genre.name) for genre in genres if genre.is_label]
        for name in ("genre", "predicted"):
            field = self.fields[name]
            assert isinstance(field, forms.TypedMultipleChoiceField)
            field.choices = self._labels
            field.error_messages["invalid_choice"] = "%(value)s is no genre that can be filtered by."
        self._languages = list(languages)

    def clean(self) -> dict[str, Any]:
        """The range of years must be one."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        first, last = cleaned.get("year_from"), cleaned.get("year_to")
        if first is not None and last is not None and first > last:
            self.add_error("year_to", f"The range of years ends before it begins ({first}).")
        return cleaned

    @property
    def language_choices(self) -> list[tuple[str, str]]:
        """The languages to choose from, by name; the one asked for is among them."""
        chosen = self["language"].value() or ""
        codes = {*self._languages, *([chosen] if chosen and not self["language"].errors else [])}
        return sorted(((code, language_name(code)) for code in codes), key=lambda pair: pair[1])

    @property
    def genre_choices(self) -> list[tuple[str, str, bool]]:
        """Value, name and whether it is chosen, of each genre."""
        return self._choices("genre")

    @property
    def predicted_choices(self) -> list[tuple[str, str, bool]]:
        """The same of each predicted genre."""
        return self._choices("predicted")

    def _choices(self, name: str) -> list[tuple[str, str, bool]]:
        # Not through the field's widget, which renders a template for each choice.
        chosen = set(self[name].value() or ())
        return [(value, label, value in chosen) for value, label in self._labels]

    @property
    def yes_no_fields(self) -> list[forms.BoundField]:
        """The fields that ask whether a film has something."""
        return [self["poster"], self["prediction"]]

    def filters(self) -> FilmFilters:
        """The filters of a valid form."""
        given = self.cleaned_data
        yes_no = {"yes": True, "no": False, "": None}
        return FilmFilters(
            query=" ".join(given["q"].split()),
            labels=tuple(sorted(set(given["genre"]))),
            all_labels=given["match"] == "all",
            predicted=tuple(sorted(set(given["predicted"]))),
            agreement=given["agreement"],
            first_year=given["year_from"],
            last_year=given["year_to"],
            language=given["language"],
            min_rating=given["rating"],
            has_poster=yes_no[given["poster"]],
            has_prediction=yes_no[given["prediction"]],
            adult=given["adult"] == "yes",
            sort=given["sort"] or BEST,
        )


assert {name for name, _ in SORT_CHOICES if name} == set(SORTS) - {RELEVANCE}
