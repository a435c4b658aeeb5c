from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0006_customer_notes"), ("shop", "0006_vip_customers")]
    operations = []
