from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0005_customer_totals")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX customers_by_name ON customers (name)",
            reverse_sql="DROP INDEX customers_by_name",
        ),
    ]
