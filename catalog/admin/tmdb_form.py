"""The form that asks for an import from TMDB."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.core.validators import RegexValidator

from catalog.import_words import FIELDS_OF, LIST_NAMES, SORT_NAMES
from catalog.models import Genre
from catalog.tmdb.answers import LARGEST_ID
from catalog.tmdb.asking import ImportRequest, RequestError, What, parse_ids

KINDS: list[tuple[What, str]] = [
    ("ids", "Films by id or address"),
    ("search", "What a search finds"),
    ("discover", "What fits conditions"),
    ("list", "One of TMDB’s lists"),
    ("export", "All films, from TMDB’s daily list"),
]


class ImportForm(forms.Form):
    """Which films to import. Fields that do not belong to the kind that was chosen are left out of account.

    `import_request` is what a valid form asks for.
    """

    import_request: ImportRequest

    what = forms.ChoiceField(label="What", choices=KINDS, initial="ids", widget=forms.RadioSelect)
    ids = forms.CharField(
        label="Ids or addresses",
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "cols": 60, "spellcheck": "false"}),
        help_text="TMDB’s (27205) or IMDb’s (tt1375666), or addresses of films on either site; between spaces, commas or lines.",
    )
    query = forms.CharField(label="Title", required=False, max_length=200)
    year = forms.IntegerField(label="Year", required=False, help_text="Of release; may be left empty.")
    genres = forms.TypedMultipleChoiceField(
        label="Genres",
        required=False,
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        help_text="A film has to have all of them.",
    )
    year_from = forms.IntegerField(label="Released from", required=False)
    year_to = forms.IntegerField(label="Released to", required=False)
    language = forms.CharField(
        label="Original language",
        required=False,
        max_length=2,
        widget=forms.TextInput(attrs={"size": 4, "autocapitalize": "none"}),
        validators=[RegexValidator(r"\A[a-z]{2}\Z", "Give two small letters of ISO 639-1, such as de.")],
        help_text="ISO 639-1, such as de; empty for all.",
    )
    min_votes = forms.IntegerField(label="Votes at least", required=False, min_value=0)
    sort = forms.ChoiceField(label="Order", required=False, choices=list(SORT_NAMES.items()))
    list_name = forms.ChoiceField(label="List", required=False, choices=list(LIST_NAMES.items()))
    min_popularity = forms.FloatField(
        label="Popularity at least",
        required=False,
        min_value=0,
        help_text="TMDB’s own figure, below 1 for most of its more than a million films; empty for all.",
    )
    most = forms.IntegerField(
        label="Most",
        required=False,
        min_value=1,
        max_value=LARGEST_ID,
        help_text="Films to import at most, the first in the order above; empty for all.",
    )
    skip_known = forms.BooleanField(
        label="Leave films alone that the catalog has",
        required=False,
        help_text="Otherwise they are brought up to date.",
    )
    posters = forms.BooleanField(label="Posters too", required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.TypedMultipleChoiceField, self.fields["genres"])
        field.choices = [(genre.pk, genre.name) for genre in Genre.objects.all()]

    def groups(self) -> list[tuple[What, str, list[forms.BoundField]]]:
        """For each kind of import its name, and the fields that belong to it."""
        return [(kind, name, [self[field] for field in _fields_of(kind)]) for kind, name in KINDS]

    def common(self) -> list[forms.BoundField]:
        """The fields that belong to every kind."""
        return [self[name] for name in ("most", "skip_known", "posters")]

    def clean(self) -> dict[str, Any]:
        """What was given, and `import_request`. What is wrong with it stands by the field."""
        given = super().clean() or self.cleaned_data
        kind = given.get("what")
        for other, _ in KINDS:
            for name in _fields_of(other) if other != kind else ():
                self.errors.pop(name, None)
        if kind and not self.errors:
            try:
                self.import_request = self._request(kind, given).checked()
            except RequestError as error:
                self.add_error(error.field if error.field in self.fields else None, str(error))
        return given

    def _request(self, kind: What, given: dict[str, Any]) -> ImportRequest:
        facts = {name: given[name] for name in ("most", "skip_known", "posters")}
        if kind == "ids":
            facts["tmdb_ids"], facts["imdb_ids"] = parse_ids(given["ids"])
        else:
            # Left empty is left at its default.
            facts |= {name: given[name] for name in _fields_of(kind) if given[name] not in (None, "", [])}
        if "genres" in facts:
            facts["genres"] = tuple(facts["genres"])
        return ImportRequest(what=kind, **facts)


def _fields_of(kind: What) -> tuple[str, ...]:
    return ("ids",) if kind == "ids" else FIELDS_OF[kind]
