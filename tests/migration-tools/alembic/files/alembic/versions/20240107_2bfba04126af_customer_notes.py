"""customer notes

Revision ID: 2bfba04126af
Revises: ce48b631f455
Create Date: 2024-01-01 00:00:07
"""
from alembic import op

revision = "2bfba04126af"
down_revision = "ce48b631f455"
branch_labels = None
depends_on = None


def upgrade():
    op.get_bind().exec_driver_sql(
        r"""
ALTER TABLE customers ADD COLUMN note text;
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;
"""
    )


def downgrade():
    op.get_bind().exec_driver_sql(
        r"""
ALTER TABLE customers DROP COLUMN note;
"""
    )
