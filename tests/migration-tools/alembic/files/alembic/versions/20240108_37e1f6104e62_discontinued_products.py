"""discontinued products

Revision ID: 37e1f6104e62
Revises: 4e985ad91e01
Create Date: 2024-01-01 00:00:08
"""
from alembic import op

revision = "37e1f6104e62"
down_revision = "4e985ad91e01"
branch_labels = None
depends_on = None


def upgrade():
    op.get_bind().exec_driver_sql(
        r"""
ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with -- def downgrade on it', 100, true);
"""
    )


def downgrade():
    op.get_bind().exec_driver_sql(
        r"""
DELETE FROM products WHERE id = 4;
ALTER TABLE products DROP COLUMN discontinued;
"""
    )
