from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_initial")]
    operations = [
        migrations.RunSQL(
            """
ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with -- down on it', 100, true);
""",
            reverse_sql="""
DELETE FROM products WHERE id = 4;
ALTER TABLE products DROP COLUMN discontinued;
""",
        ),
    ]
