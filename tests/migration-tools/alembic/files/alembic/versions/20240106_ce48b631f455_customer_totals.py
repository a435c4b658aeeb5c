"""customer totals

Revision ID: ce48b631f455
Revises: 513362f54cb0
Create Date: 2024-01-01 00:00:06
"""
from alembic import op

revision = "ce48b631f455"
down_revision = "513362f54cb0"
branch_labels = None
depends_on = None


def upgrade():
    op.get_bind().exec_driver_sql(
        r"""
CREATE VIEW customer_totals AS
    SELECT id, name, order_total(id) AS total_cents
    FROM customers;
COMMENT ON VIEW customer_totals IS 'first line
second line';
"""
    )


def downgrade():
    op.get_bind().exec_driver_sql(
        r"""
DROP VIEW customer_totals;
"""
    )
