"""Reading the catalog: filtering, sorting and searching films."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from catalog.models import Film


class FilmQuerySet(models.QuerySet["Film"]):
    """Films, read."""
