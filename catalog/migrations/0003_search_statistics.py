"""Lets the planner know some ten thousand words' frequencies instead of one thousand.

Whether a search is answered by the text index or by walking the list's order until enough films match depends on how
many films have the words: a rare word taken for a common one makes the planner walk through the whole catalog.
"""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("catalog", "0002_genres")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE catalog_film ALTER COLUMN search SET STATISTICS 1000",
            "ALTER TABLE catalog_film ALTER COLUMN search SET STATISTICS -1",
        )
    ]
