--liquibase formatted sql

--changeset ada:order_total splitStatements:false stripComments:false
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
--rollback DROP FUNCTION order_total(integer);
