from django.db import migrations, models


def note_first(apps, schema_editor):
    customer = apps.get_model("shop", "Customer")
    customer.objects.filter(id=1).update(note="Größe – 5 €; süß ☕")


class Migration(migrations.Migration):
    dependencies = [("shop", "0005_customer_totals")]
    operations = [
        migrations.AddField("Customer", "note", models.TextField(null=True)),
        migrations.RunPython(note_first, migrations.RunPython.noop),
    ]
