"""order total

Revision ID: 8afbb1d13ee4
Revises: 3ac7a5b374cd
Create Date: 2024-01-01 00:00:04
"""
from alembic import op

revision = "8afbb1d13ee4"
down_revision = "3ac7a5b374cd"
branch_labels = None
depends_on = None


def upgrade():
    op.get_bind().exec_driver_sql(
        r"""
CREATE FUNCTION order_total(wanted integer) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $function$
DECLARE
    total bigint;
BEGIN
    -- a semicolon; and a quote ' in a comment
    EXECUTE $query$
        SELECT coalesce(sum(o.quantity * p.price_cents), 0)
        FROM orders o JOIN products p ON p.id = o.product_id
        WHERE o.customer_id = $1 AND p.name <> $text$it's; not $$tea$$ $text$
    $query$ INTO total USING wanted;
    RETURN total;
END;
$function$;
"""
    )


def downgrade():
    op.get_bind().exec_driver_sql(
        r"""
DROP FUNCTION order_total(integer);
"""
    )
