-- Verify shop:create_reviews on pg

BEGIN;

SELECT stars FROM reviews WHERE false;

ROLLBACK;
