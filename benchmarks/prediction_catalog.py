"""A database, media and models of their own, with films to predict, for the benchmarks of predictions."""

from __future__ import annotations

import csv
import os
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

DATABASE = "genresite_benchmark_predictions"


def use_own_database(folder: Path) -> None:
    """A database of its own, made anew, and folders of its own; the site's are left alone."""
    address = os.environ["DATABASE_URL"]
    with psycopg.connect(address, autocommit=True) as connection:
        name = sql.Identifier(DATABASE)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    os.environ |= {
        "DATABASE_URL": make_conninfo(address, dbname=DATABASE),
        "MEDIA_ROOT": str(folder / "media"),
        "MODEL_ROOT": str(folder / "models"),
        "DJANGO_SETTINGS_MODULE": "genresite.settings",
        "LOG_LEVEL": "WARNING",
        "GENRESITE_NO_POOL": "1",
    }
    os.environ.setdefault("SECRET_KEY", "only-ever-used-in-this-benchmark-" * 2)
    import django

    django.setup()
    from django.core.management import call_command

    import predictor.serving  # noqa: F401 - a predict worker's settings of OpenMP, before torch is imported

    call_command("migrate", verbosity=0)


def import_films(folder: Path, films: int) -> int:
    """The folder's first films that have an overview or a poster, with their posters."""
    from django.core.management import call_command

    from catalog.models import Film

    with tempfile.TemporaryDirectory() as scratch:
        head = Path(scratch) / "films.csv"
        with (
            (folder / "movies_metadata.csv").open(newline="") as source,
            head.open("w", newline="") as target,
        ):
            reader = csv.DictReader(source)
            writer = csv.DictWriter(target, reader.fieldnames or [])
            writer.writeheader()
            for _, row in zip(range(films), reader, strict=False):
                writer.writerow(row)
        call_command("import_kaggle", str(head), "--posters", str(folder / "posters"), verbosity=0)
    return Film.objects.count()


def promote(artifact: Path | None):
    """The artifact, or the shipped one, as the champion."""
    from django.conf import settings

    from predictor import registry

    version = registry.register(artifact or settings.SHIPPED_MODEL)
    registry.promote(version)
    return version
