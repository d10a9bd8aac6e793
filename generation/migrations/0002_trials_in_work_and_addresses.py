import generation.models.endpoints
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('generation', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='trial',
            name='started',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='endpoint',
            name='base_url',
            field=models.CharField(blank=True, max_length=300, validators=[generation.models.endpoints.check_web_address], verbose_name='address'),
        ),
        migrations.AlterField(
            model_name='trial',
            name='state',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='waiting', max_length=10),
        ),
    ]
