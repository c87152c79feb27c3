"""Genresite: the Django project (settings, URLs, Celery app, private servers)."""
