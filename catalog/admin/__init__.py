"""The catalog in the admin. What derives from a film's facts is written with them, and nowhere else."""

from catalog.admin.films import FilmAdmin, GenreAdmin, PosterAdmin
from catalog.admin.imports import ImportRejectionAdmin, ImportRunAdmin

__all__ = ["FilmAdmin", "GenreAdmin", "ImportRejectionAdmin", "ImportRunAdmin", "PosterAdmin"]
