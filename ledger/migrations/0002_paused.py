"""Runs may be paused."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0001_initial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='workchunk',
            name='state',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('leased', 'Leased'), ('paused', 'Paused'), ('done', 'Done'), ('set_aside', 'set aside'), ('cancelled', 'Cancelled')], default='waiting', max_length=10),
        ),
    ]
