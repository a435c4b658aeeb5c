from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0004_index_orders")]
    operations = [
        migrations.RunSQL(
            """
CREATE VIEW customer_totals AS
    SELECT id, name, order_total(id) AS total_cents
    FROM customers;
COMMENT ON VIEW customer_totals IS 'first line
second line';
""",
            reverse_sql="""
DROP VIEW customer_totals;
""",
        ),
    ]
