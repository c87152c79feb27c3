"""TMDB's movie genres, as https://developer.themoviedb.org/reference/genre-movie-list gives them."""

from django.db import migrations

LABELS = {
    28: "Action",
    12: "Adventure",
    16: "Animation",
    35: "Comedy",
    80: "Crime",
    99: "Documentary",
    18: "Drama",
    10751: "Family",
    14: "Fantasy",
    36: "History",
    27: "Horror",
    10402: "Music",
    9648: "Mystery",
    10749: "Romance",
    878: "Science Fiction",
    53: "Thriller",
    10752: "War",
    37: "Western",
}
# A way of being shown rather than a genre: kept with the films that TMDB gives it to, never learned.
NOT_LABELS = {10770: "TV Movie"}


def add_genres(apps, schema_editor):
    genre = apps.get_model("catalog", "Genre")
    rows = [genre(id=genre_id, name=name, is_label=True) for genre_id, name in LABELS.items()]
    rows += [genre(id=genre_id, name=name, is_label=False) for genre_id, name in NOT_LABELS.items()]
    genre.objects.using(schema_editor.connection.alias).bulk_create(rows, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunPython(add_genres, migrations.RunPython.noop)]
