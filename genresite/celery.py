"""The Celery app. Long jobs live in the work ledger (see `ledger`); a message only wakes a worker."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "genresite.settings")

app = Celery("genresite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
