"""index orders

Revision ID: 513362f54cb0
Revises: 8afbb1d13ee4
Create Date: 2024-01-01 00:00:05
"""
from alembic import op

revision = "513362f54cb0"
down_revision = "8afbb1d13ee4"
branch_labels = None
depends_on = None


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("orders_by_customer", "orders", ["customer_id"], postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("orders_by_customer", "orders", postgresql_concurrently=True)
