"""Genresite: the Django project (settings, URLs, Celery app, private servers)."""

from genresite.celery import app as celery_app

__all__ = ["celery_app"]
