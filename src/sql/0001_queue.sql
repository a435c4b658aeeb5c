-- The queue of git pggit. All changes are made by functions, so that a role that
-- enqueues jobs needs no privilege on the table, and a worker cannot change a job
-- that it has not claimed. All times are those of the clock of this server.

CREATE TABLE pggit.jobs (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('backup', 'verify')),
    database text NOT NULL,
    backup_id uuid NOT NULL,
    tool text,
    work jsonb NOT NULL,
    state text NOT NULL DEFAULT 'ready' CHECK (state IN
        ('ready', 'in_progress', 'will_retry', 'permanently_failed', 'completed', 'cancelled', 'paused')),
    priority smallint NOT NULL DEFAULT 0,
    dedup_key text,
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    base_s bigint NOT NULL,
    cap_s bigint NOT NULL,
    token bigint NOT NULL DEFAULT 0,
    worker text,
    owner jsonb,
    lease_s bigint,
    lease_expires_at timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    next_retry_at timestamptz,
    last_error jsonb,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    created_by text NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    untold jsonb,
    history jsonb NOT NULL DEFAULT '[]'
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The order in which jobs are claimed.
CREATE INDEX jobs_waiting ON pggit.jobs (priority DESC, created_at, id) WHERE state IN ('ready', 'will_retry');
CREATE INDEX jobs_running ON pggit.jobs (lease_expires_at) WHERE state = 'in_progress';
CREATE INDEX jobs_finished ON pggit.jobs (finished_at)
    WHERE state IN ('completed', 'permanently_failed', 'cancelled');
-- The jobs with a pending notification.
CREATE INDEX jobs_untold ON pggit.jobs (finished_at) WHERE untold IS NOT NULL;
-- At most one job waits with the same deduplication key.
CREATE UNIQUE INDEX jobs_key ON pggit.jobs (dedup_key)
    WHERE dedup_key IS NOT NULL AND state IN ('ready', 'will_retry', 'paused');
-- At most one backup of a database runs at a time.
CREATE UNIQUE INDEX jobs_database ON pggit.jobs (database) WHERE state = 'in_progress' AND kind = 'backup';

CREATE VIEW pggit.backup_jobs AS
    SELECT id AS job_id, backup_id, database, tool, kind, state, priority, attempts, max_attempts, next_retry_at,
        lease_expires_at, worker, last_error ->> 'message' AS last_error, created_at, created_by, started_at,
        finished_at, updated_at
    FROM pggit.jobs;

-- Returns a job in the format of git pggit.
CREATE FUNCTION pggit.job_json(job pggit.jobs) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'id', job.id, 'work', job.work, 'state', job.state, 'priority', job.priority, 'dedup_key', job.dedup_key,
        'attempts', job.attempts, 'token', job.token, 'cancel_requested', job.cancel_requested,
        'policy', pg_catalog.jsonb_build_object(
            'max_attempts', job.max_attempts, 'base_s', job.base_s, 'cap_s', job.cap_s),
        'lease', CASE WHEN job.worker IS NOT NULL THEN pg_catalog.jsonb_build_object('worker', job.worker,
            'token', job.token, 'lease_s', job.lease_s, 'expires_at', job.lease_expires_at, 'owner', job.owner) END,
        'next_retry_at', job.next_retry_at, 'last_error', job.last_error, 'created_at', job.created_at,
        'created_by', job.created_by, 'started_at', job.started_at, 'finished_at', job.finished_at,
        'updated_at', job.updated_at, 'untold', job.untold, 'history', job.history))
$$;

-- Wakes the workers, which listen on this channel.
CREATE FUNCTION pggit.wake() RETURNS void LANGUAGE sql AS $$ SELECT pg_catalog.pg_notify('pggit_jobs', '') $$;

-- Returns the deduplication key of a job that waits again; NULL if another job
-- waits with this key.
CREATE FUNCTION pggit.free_key(job pggit.jobs) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT EXISTS (SELECT FROM pggit.jobs AS other WHERE other.dedup_key = job.dedup_key
        AND other.id <> job.id AND other.state IN ('ready', 'will_retry', 'paused')) THEN job.dedup_key END
$$;

CREATE FUNCTION pggit.enqueue(new_id uuid, new_kind text, new_database text, new_backup uuid, new_tool text,
    new_work jsonb, new_priority smallint, new_key text, new_max integer, new_base_s bigint, new_cap_s bigint,
    new_by text, OUT job jsonb, OUT is_new boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taken pggit.jobs;
BEGIN
    FOR attempt IN 1 .. 10 LOOP
        INSERT INTO pggit.jobs (id, kind, database, backup_id, tool, work, priority, dedup_key, max_attempts, base_s,
            cap_s, created_by)
        VALUES (new_id, new_kind, new_database, new_backup, new_tool, new_work, new_priority, new_key, new_max,
            new_base_s, new_cap_s, new_by)
        ON CONFLICT (dedup_key) WHERE dedup_key IS NOT NULL AND state IN ('ready', 'will_retry', 'paused')
        DO NOTHING RETURNING * INTO taken;
        is_new := FOUND;
        EXIT WHEN is_new;
        SELECT * INTO taken FROM pggit.jobs
            WHERE dedup_key = new_key AND state IN ('ready', 'will_retry', 'paused');
        EXIT WHEN FOUND;
    END LOOP;
    job := pggit.job_json(taken);
    IF is_new THEN
        PERFORM pggit.wake();
    END IF;
END $$;

-- Returns a pending notification that `owner` sends, or any process.
CREATE FUNCTION pggit.untold_of(owner jsonb, is_anyones boolean) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', owner, 'until',
        pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => CASE WHEN is_anyones THEN 0 ELSE 300 END)))
$$;

-- Records the end of an attempt in the row of the job `held`.
CREATE FUNCTION pggit.settle(held pggit.jobs, outcome text, error jsonb, output text, retry boolean, tell boolean)
RETURNS pggit.jobs LANGUAGE plpgsql AS $$
DECLARE
    now timestamptz := pg_catalog.clock_timestamp();
    next_state text;
    next_attempts integer := held.attempts;
    next_at timestamptz;
    exponent integer;
    report jsonb;
    ended pggit.jobs;
BEGIN
    report := pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('number', held.attempts, 'worker', held.worker,
        'started_at', held.started_at, 'ended_at', now, 'outcome', outcome, 'error', error, 'output', output));
    IF outcome = 'handed_back' THEN
        next_attempts := GREATEST(held.attempts - 1, 0);
    END IF;
    next_state := CASE
        WHEN outcome = 'completed' THEN 'completed'
        WHEN outcome = 'cancelled' OR held.cancel_requested THEN 'cancelled'
        WHEN outcome = 'handed_back' THEN 'ready'
        WHEN NOT retry OR held.attempts >= held.max_attempts THEN 'permanently_failed'
        ELSE 'will_retry' END;
    IF next_state = 'will_retry' THEN
        -- Who loses a worker for the first time need not wait.
        exponent := CASE WHEN outcome <> 'lost' THEN held.attempts - 1
            WHEN held.history -> -1 ->> 'outcome' = 'lost' THEN held.attempts - 2 ELSE -1 END;
        next_at := now + CASE WHEN exponent >= 0 THEN pg_catalog.make_interval(secs =>
            LEAST(held.base_s * pg_catalog.power(2, LEAST(exponent, 60)), held.cap_s)
            * (1 - pg_catalog.random() / 4)) ELSE pg_catalog.make_interval() END;
    END IF;
    UPDATE pggit.jobs AS job SET state = next_state, attempts = next_attempts, next_retry_at = next_at,
        worker = NULL, owner = NULL, lease_s = NULL, lease_expires_at = NULL, cancel_requested = false,
        dedup_key = CASE WHEN next_state IN ('ready', 'will_retry') AND held.dedup_key IS NOT NULL
            THEN pggit.free_key(held) ELSE held.dedup_key END,
        last_error = CASE WHEN next_state = 'completed' THEN NULL ELSE COALESCE(error, held.last_error) END,
        finished_at = CASE WHEN next_state IN ('completed', 'permanently_failed', 'cancelled') THEN now END,
        updated_at = now,
        untold = CASE WHEN next_state = 'permanently_failed' AND outcome = 'lost' THEN pggit.untold_of(NULL, true)
            WHEN next_state = 'permanently_failed' OR tell THEN pggit.untold_of(held.owner, false) END,
        history = CASE WHEN pg_catalog.jsonb_array_length(held.history) < 8 THEN held.history ELSE held.history - 0 END
            || report
    WHERE job.id = held.id RETURNING * INTO ended;
    RETURN ended;
END $$;

-- Claims the next job. A unique violation means that another session has claimed
-- a backup of the same database; the caller retries.
CREATE FUNCTION pggit.claim(by_worker text, by_owner jsonb, for_s bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now timestamptz := pg_catalog.clock_timestamp();
    taken pggit.jobs;
BEGIN
    FOR taken IN SELECT * FROM pggit.jobs WHERE state = 'in_progress' AND lease_expires_at <= now
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM pggit.settle(taken, 'lost', pg_catalog.jsonb_build_object('code', 'worker-lost',
            'message', pg_catalog.format('worker %s was not heard of any more', taken.worker)), '', true, false);
    END LOOP;
    -- What has just been taken from others may be taken.
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
    RETURN pggit.job_json(taken);
END $$;

-- Releases the lease of a dead worker.
CREATE FUNCTION pggit.lose(of_job uuid, with_token bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held pggit.jobs;
BEGIN
    SELECT * INTO held FROM pggit.jobs WHERE id = of_job AND token = with_token AND state = 'in_progress'
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pggit.settle(held, 'lost', pg_catalog.jsonb_build_object('code', 'worker-lost',
        'message', pg_catalog.format('worker %s was not heard of any more', held.worker)), '', true, false);
    PERFORM pggit.wake();
    RETURN true;
END $$;

-- Renews a lease (heartbeat). Returns NULL if the worker has lost the job.
CREATE FUNCTION pggit.heartbeat(of_job uuid, with_token bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE pggit.jobs SET lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_s),
        updated_at = pg_catalog.clock_timestamp()
    WHERE id = of_job AND token = with_token AND state = 'in_progress' RETURNING cancel_requested
$$;

-- Records the end of an attempt. Returns NULL if the worker has lost the job.
CREATE FUNCTION pggit.end_attempt(of_job uuid, with_token bigint, outcome text, error jsonb, output text, retry boolean,
    tell boolean)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held pggit.jobs;
BEGIN
    SELECT * INTO held FROM pggit.jobs WHERE id = of_job AND token = with_token AND state = 'in_progress' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    held := pggit.settle(held, outcome, error, output, retry, tell);
    IF held.state <> 'completed' THEN
        PERFORM pggit.wake();
    END IF;
    RETURN pggit.job_json(held);
END $$;

-- Records the end of an attempt and claims the next job in one transaction.
CREATE FUNCTION pggit.end_and_claim(of_job uuid, with_token bigint, outcome text, error jsonb, output text,
    retry boolean, tell boolean, by_worker text, by_owner jsonb, for_s bigint, OUT ended jsonb, OUT claimed jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ended := pggit.end_attempt(of_job, with_token, outcome, error, output, retry, tell);
    IF ended IS NOT NULL THEN
        claimed := pggit.claim(by_worker, by_owner, for_s);
    END IF;
END $$;

-- Claims a pending notification, if it is still equal to `known`.
CREATE FUNCTION pggit.take_untold(of_job uuid, known jsonb, by_owner jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE pggit.jobs AS job SET untold = pggit.untold_of(by_owner, false)
    WHERE id = of_job AND untold = known RETURNING pggit.job_json(job)
$$;

-- Marks the notification about the claim `with_token` of a job as sent.
CREATE FUNCTION pggit.told(of_job uuid, with_token bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE pggit.jobs SET untold = NULL WHERE id = of_job AND token = with_token AND untold IS NOT NULL
$$;

-- The commands of users: cancel, retry, pause, resume. Fails with SQLSTATE PG001
-- and the reason if the state does not allow it. Returns NULL if there is no such
-- job.
CREATE FUNCTION pggit.command(verb text, of_job uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now timestamptz := pg_catalog.clock_timestamp();
    job pggit.jobs;
    refusal text;
    next_state text;
BEGIN
    SELECT * INTO job FROM pggit.jobs WHERE id = of_job FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    next_state := job.state;
    CASE verb
    WHEN 'cancel' THEN
        CASE job.state
            WHEN 'completed' THEN refusal := 'it is completed';
            WHEN 'permanently_failed' THEN refusal := 'it has failed already';
            WHEN 'in_progress' THEN NULL;
            ELSE next_state := 'cancelled';
        END CASE;
    WHEN 'retry' THEN
        CASE job.state
            WHEN 'in_progress' THEN refusal := 'it is running';
            WHEN 'completed' THEN refusal := 'it is completed';
            WHEN 'paused' THEN refusal := 'it is paused; resume it instead';
            ELSE next_state := 'ready';
        END CASE;
    WHEN 'pause' THEN
        CASE
            WHEN job.state IN ('ready', 'will_retry', 'paused') THEN next_state := 'paused';
            WHEN job.state = 'in_progress' THEN refusal := 'it is running; cancel it instead';
            ELSE refusal := 'it is finished';
        END CASE;
    WHEN 'resume' THEN
        CASE
            WHEN job.state IN ('paused', 'ready') THEN next_state := 'ready';
            ELSE refusal := 'it is not paused';
        END CASE;
    END CASE;
    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PG001', MESSAGE = refusal;
    END IF;
    UPDATE pggit.jobs AS changed SET state = next_state, updated_at = now, next_retry_at = NULL,
        cancel_requested = (next_state = 'in_progress'),
        untold = CASE WHEN next_state <> 'ready' THEN changed.untold END,
        attempts = CASE WHEN verb = 'retry' AND job.state IN ('permanently_failed', 'cancelled') THEN 0
            ELSE changed.attempts END,
        dedup_key = CASE WHEN next_state = 'ready' THEN pggit.free_key(job) ELSE job.dedup_key END,
        finished_at = CASE WHEN next_state = 'cancelled' THEN COALESCE(job.finished_at, now) END
    WHERE changed.id = job.id RETURNING * INTO job;
    PERFORM pggit.wake();
    RETURN pggit.job_json(job);
END $$;

-- Removes finished jobs that have not changed for `age_s` seconds.
CREATE FUNCTION pggit.clean(age_s double precision) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM pggit.jobs WHERE state IN ('completed', 'permanently_failed', 'cancelled')
        AND finished_at <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => age_s);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA pggit FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pggit FROM PUBLIC;
