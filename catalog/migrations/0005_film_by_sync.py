"""The index that finds the films to refresh, built without holding up anybody who writes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [("catalog", "0004_tmdb")]

    operations = [
        AddIndexConcurrently(
            model_name="film",
            index=models.Index(
                condition=models.Q(("synced_at__isnull", False)), fields=["synced_at"], name="film_by_sync"
            ),
        ),
    ]
