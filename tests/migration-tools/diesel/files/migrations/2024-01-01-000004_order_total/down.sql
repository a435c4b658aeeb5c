DROP FUNCTION order_total(integer);
