"""What imports from TMDB need: batches of ids, what is known of a film's origin, and the history of labels."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0003_search_statistics'),
    ]

    operations = [
        migrations.CreateModel(
            name='ImportBatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('tmdb_ids', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveIntegerField(), size=None)),
            ],
        ),
        migrations.CreateModel(
            name='LabelChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ('before', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), help_text='Genre ids, sorted.', size=None)),
                ('after', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), help_text='Genre ids, sorted.', size=None)),
            ],
            options={
                'ordering': ['-changed_at', '-id'],
            },
        ),
        migrations.AddField(
            model_name='film',
            name='from_api_alone',
            field=models.BooleanField(db_default=False, default=False, help_text="No file named it: what TMDB's API gave must be refreshed or dropped within six months."),
        ),
        migrations.AddField(
            model_name='film',
            name='tmdb_deleted_at',
            field=models.DateTimeField(blank=True, help_text='When TMDB first said that it has no such film any more.', null=True),
        ),
        migrations.AlterField(
            model_name='importrun',
            name='state',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('paused', 'Paused'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='waiting', max_length=10),
        ),
        migrations.AddField(
            model_name='importbatch',
            name='run',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='batches', to='catalog.importrun'),
        ),
        migrations.AddField(
            model_name='labelchange',
            name='film',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='label_changes', to='catalog.film'),
        ),
        migrations.AddConstraint(
            model_name='importbatch',
            constraint=models.UniqueConstraint(fields=('run', 'number'), name='importbatch_once'),
        ),
    ]
