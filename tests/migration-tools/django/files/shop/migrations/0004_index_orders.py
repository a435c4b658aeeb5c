from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0003_order_total")]
    operations = [
        migrations.RunSQL(
            """
CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer_id);
""",
            reverse_sql="""
DROP INDEX CONCURRENTLY orders_by_customer;
""",
        ),
    ]
