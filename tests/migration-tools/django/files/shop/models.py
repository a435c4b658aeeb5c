from django.db import models


class Customer(models.Model):
    email = models.TextField(unique=True)
    name = models.TextField()

    class Meta:
        db_table = "customers"
