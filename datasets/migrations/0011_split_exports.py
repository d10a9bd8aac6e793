from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("datasets", "0010_imports_and_tools"),
    ]

    operations = [
        migrations.AddField(
            model_name="export",
            name="split",
            field=models.JSONField(help_text="`datasets.formats.splitting.Split`; null: one file of rows.", null=True),
        ),
        migrations.AddField(
            model_name="export",
            name="rows_held",
            field=models.PositiveIntegerField(default=0, help_text="Those of them that are for validation."),
        ),
    ]
