from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Customer",
            fields=[
                ("id", models.AutoField(primary_key=True)),
                ("email", models.TextField(unique=True)),
                ("name", models.TextField()),
            ],
            options={"db_table": "customers"},
        ),
    ]
