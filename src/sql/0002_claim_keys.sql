-- Each claim has a secret key that only the claiming worker gets. The worker needs
-- it to renew its lease and to end its attempt: all workers may share one role,
-- which can read the fencing token in pggit.jobs.
--
-- The argument with_token is the key plus the fencing token. Roles have no
-- privilege on the table of keys. pggit.lose still takes the fencing token alone:
-- any worker of a host reports a dead one, and the lost job is retried.

-- Waits for running claims.
LOCK TABLE pggit.jobs IN ACCESS EXCLUSIVE MODE;

CREATE TABLE pggit.claim_keys (job_id uuid PRIMARY KEY, key bigint NOT NULL);
REVOKE ALL ON pggit.claim_keys FROM PUBLIC;

-- Returns the job, if it is running and with_token belongs to its claim.
CREATE FUNCTION pggit.held_job(of_job uuid, with_token bigint) RETURNS SETOF pggit.jobs LANGUAGE sql VOLATILE AS $$
    SELECT job.* FROM pggit.jobs AS job JOIN pggit.claim_keys AS claim ON claim.job_id = job.id
    WHERE job.id = of_job AND job.state = 'in_progress' AND claim.key + job.token = with_token FOR UPDATE OF job
$$;
REVOKE ALL ON FUNCTION pggit.held_job(uuid, bigint) FROM PUBLIC;

-- Returns a random number of 60 bits, from the parts of a random UUID that are not fixed.
CREATE FUNCTION pggit.new_key() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT ('x0' || pg_catalog.left(hex, 12) || pg_catalog.right(hex, 3))::pg_catalog.bit(64)::pg_catalog.int8
    FROM pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', '') AS hex
$$;
REVOKE ALL ON FUNCTION pggit.new_key() FROM PUBLIC;

-- Running jobs get keys that no worker has: their workers cannot renew the leases or
-- end the attempts. The jobs are retried after the leases have expired.
INSERT INTO pggit.claim_keys (job_id, key)
    SELECT id, pggit.new_key() FROM pggit.jobs WHERE state = 'in_progress';

-- The new function has another name, because workers of an older version would not
-- keep the key. Roles keep their privileges on a renamed function.
ALTER FUNCTION pggit.claim(text, jsonb, bigint) RENAME TO claim_with_key;

CREATE OR REPLACE FUNCTION pggit.claim_with_key(by_worker text, by_owner jsonb, for_s bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now timestamptz := pg_catalog.clock_timestamp();
    taken pggit.jobs;
    new_key bigint := pggit.new_key();
BEGIN
    FOR taken IN SELECT * FROM pggit.jobs WHERE state = 'in_progress' AND lease_expires_at <= now
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM pggit.settle(taken, 'lost', pg_catalog.jsonb_build_object('code', 'worker-lost',
            'message', pg_catalog.format('worker %s was not heard of any more', taken.worker)), '', true, false);
    END LOOP;
    -- A job whose lease has just expired may be claimed.
    now := pg_catalog.clock_timestamp();
    UPDATE pggit.jobs AS job SET state = 'in_progress', token = token + 1, attempts = attempts + 1,
        next_retry_at = NULL, cancel_requested = false, worker = by_worker, owner = by_owner, lease_s = for_s,
        lease_expires_at = now + pg_catalog.make_interval(secs => for_s), started_at = now, updated_at = now
    WHERE job.id = (
        SELECT waiting.id FROM pggit.jobs AS waiting
        WHERE waiting.state IN ('ready', 'will_retry') AND (waiting.next_retry_at IS NULL OR waiting.next_retry_at <= now)
            AND (waiting.kind <> 'backup' OR NOT EXISTS (SELECT FROM pggit.jobs AS running
                WHERE running.state = 'in_progress' AND running.kind = 'backup' AND running.database = waiting.database))
        ORDER BY waiting.priority DESC, waiting.created_at, waiting.id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING * INTO taken;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO pggit.claim_keys (job_id, key) VALUES (taken.id, new_key)
        ON CONFLICT (job_id) DO UPDATE SET key = EXCLUDED.key;
    RETURN pggit.job_json(taken) || pg_catalog.jsonb_build_object('claim_key', new_key);
END $$;

-- Workers of an older version that are connected during the upgrade still call this.
CREATE FUNCTION pggit.claim(by_worker text, by_owner jsonb, for_s bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
        MESSAGE = 'this worker is older than the queue',
        HINT = 'stop it and start a worker of the new version of git-pggit';
END $$;

CREATE OR REPLACE FUNCTION pggit.heartbeat(of_job uuid, with_token bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE pggit.jobs AS job
    SET lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => held.lease_s),
        updated_at = pg_catalog.clock_timestamp()
    FROM pggit.held_job(of_job, with_token) AS held WHERE job.id = held.id RETURNING job.cancel_requested
$$;

CREATE OR REPLACE FUNCTION pggit.end_attempt(of_job uuid, with_token bigint, outcome text, error jsonb, output text,
    retry boolean, tell boolean)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held pggit.jobs;
BEGIN
    SELECT * INTO held FROM pggit.held_job(of_job, with_token);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    held := pggit.settle(held, outcome, error, output, retry, tell);
    DELETE FROM pggit.claim_keys WHERE job_id = of_job;
    IF held.state <> 'completed' THEN
        PERFORM pggit.wake();
    END IF;
    RETURN pggit.job_json(held);
END $$;

CREATE OR REPLACE FUNCTION pggit.end_and_claim(of_job uuid, with_token bigint, outcome text, error jsonb, output text,
    retry boolean, tell boolean, by_worker text, by_owner jsonb, for_s bigint, OUT ended jsonb, OUT claimed jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ended := pggit.end_attempt(of_job, with_token, outcome, error, output, retry, tell);
    IF ended IS NOT NULL THEN
        claimed := pggit.claim_with_key(by_worker, by_owner, for_s);
    END IF;
END $$;

-- As before, and also removes the keys of missing jobs.
CREATE OR REPLACE FUNCTION pggit.clean(age_s double precision) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM pggit.jobs WHERE state IN ('completed', 'permanently_failed', 'cancelled')
        AND finished_at <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => age_s);
    GET DIAGNOSTICS removed = ROW_COUNT;
    DELETE FROM pggit.claim_keys AS claim WHERE NOT EXISTS (SELECT FROM pggit.jobs WHERE id = claim.job_id);
    RETURN removed;
END $$;

-- The functions run as the owner of the queue, which may be another role than the one that upgrades it.
DO $$
DECLARE
    owner text := (SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(relowner)) FROM pg_catalog.pg_class
        WHERE oid = 'pggit.jobs'::pg_catalog.regclass);
BEGIN
    EXECUTE 'ALTER TABLE pggit.claim_keys OWNER TO ' || owner;
    EXECUTE 'ALTER FUNCTION pggit.held_job(uuid, bigint) OWNER TO ' || owner;
    EXECUTE 'ALTER FUNCTION pggit.new_key() OWNER TO ' || owner;
    EXECUTE 'ALTER FUNCTION pggit.claim(text, jsonb, bigint) OWNER TO ' || owner;
END $$;
