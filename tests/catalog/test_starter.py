from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command

from catalog.models import Film, ImportRun, Poster
from catalog.starter import load_starter
from tests.factories import make_film, make_poster

pytestmark = pytest.mark.django_db


def test_the_starter_catalog_loads_with_its_posters_and_loading_it_again_changes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("load_starter")
    assert Film.objects.count() >= 200
    assert Film.objects.exclude(poster=None).count() >= 24
    assert Poster.objects.filter(width=500, height=750, format="jpeg").count() == Poster.objects.count()
    assert Film.objects.filter(label_ids=[]).count() == 0
    hashes = dict(Film.objects.values_list("pk", "input_hash"))

    call_command("load_starter")
    assert dict(Film.objects.values_list("pk", "input_hash")) == hashes
    run = ImportRun.objects.first()
    assert run is not None
    assert (run.created, run.updated, run.posters_stored) == (0, 0, 0)
    assert "0 posters drawn" in capsys.readouterr().out


def test_the_starter_catalog_leaves_what_was_imported_and_draws_again_what_it_drew_itself(
    tmp_path: Path,
) -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 750"><rect width="500" height="750" fill="{}"/></svg>'
    films = [
        {"tmdb_id": number, "title": "T", "overview": "O", "genres": [18], "runtime": 90} for number in (1, 2)
    ]
    (tmp_path / "films.json").write_text(json.dumps(films))
    (tmp_path / "posters").mkdir()
    mine = make_film(tmdb_id=1, title="Mine", overview="My overview.", poster=make_poster())
    my_poster = mine.poster_id

    for colour in ("#c81e3c", "#1e3cc8"):
        for number in (1, 2):
            (tmp_path / "posters" / f"{number}.svg").write_text(drawing.format(colour))
        load_starter(run=ImportRun.objects.create(source=ImportRun.Source.STARTER), folder=tmp_path)

    mine.refresh_from_db()
    assert (mine.title, mine.overview, mine.poster_id, mine.runtime) == (
        "Mine",
        "My overview.",
        my_poster,
        90,
    )
    drawn = Film.objects.get(tmdb_id=2).poster
    assert drawn is not None
    assert int(drawn.dominant_colour[5:], 16) > 180
