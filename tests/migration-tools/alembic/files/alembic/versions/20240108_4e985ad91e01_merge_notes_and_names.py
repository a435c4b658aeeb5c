"""merge notes and names

Revision ID: 4e985ad91e01
Revises: 2bfba04126af, d02c9e993320
Create Date: 2024-01-01 00:00:08
"""
from alembic import op

revision = "4e985ad91e01"
down_revision = ("2bfba04126af", "d02c9e993320")
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
