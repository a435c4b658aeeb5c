"""create products

Revision ID: 328c417c2d2b
Revises: 53f886dff7f3
Create Date: 2024-01-01 00:00:02
"""
from alembic import op

revision = "328c417c2d2b"
down_revision = "53f886dff7f3"
branch_labels = None
depends_on = None


def upgrade():
    op.get_bind().exec_driver_sql(
        r"""
CREATE TABLE products (
    id integer PRIMARY KEY,
    name text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents >= 0)
);
/* Literals that look like other things; */
INSERT INTO products (id, name, price_cents) VALUES
    (1, 'tea; green', 450),
    (2, 'cup -- blue', 1200),
    (3, 'pot /* iron */ it''s heavy', 8900);
"""
    )


def downgrade():
    op.get_bind().exec_driver_sql(
        r"""
DROP TABLE products;
"""
    )
