from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class GenresiteConfig(AppConfig):
    name = "genresite"

    def ready(self) -> None:
        # Tasks bind to this app. Here rather than in the package's __init__, so that what needs no Celery,
        # the private servers above all, does not wait for its import.
        from genresite import celery  # noqa: F401


class AdministrationConfig(AdminConfig):
    default_site = "genresite.administration.GenresiteAdminSite"
