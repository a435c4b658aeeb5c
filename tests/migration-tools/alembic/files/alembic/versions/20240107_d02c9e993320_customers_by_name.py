"""customers by name

Revision ID: d02c9e993320
Revises: ce48b631f455
Create Date: 2024-01-01 00:00:07
"""
from alembic import op

revision = "d02c9e993320"
down_revision = "ce48b631f455"
branch_labels = ("names",)
depends_on = None


def upgrade():
    op.create_index("customers_by_name", "customers", ["name"])


def downgrade():
    op.drop_index("customers_by_name", "customers")
