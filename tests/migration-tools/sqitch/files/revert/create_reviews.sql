-- Revert shop:create_reviews from pg

BEGIN;

DROP TABLE reviews;

COMMIT;
