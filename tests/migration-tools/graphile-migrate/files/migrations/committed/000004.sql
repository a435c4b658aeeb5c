--! Previous: sha1:fb1dbfd240f628d7def4d612bd3ce21ecc0e7007
--! Hash: sha1:0459a9c78d6cc98a8db55dd695717c7d6ef5441f

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
