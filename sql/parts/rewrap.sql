

-- ---------------------------------------------------------------------------
-- Rewrapping: jobs, what they walk, and what failed.  Written with each batch,
-- in its transaction, so that a job resumes where it was.  They hold physical
-- positions and are not dumped.
-- ---------------------------------------------------------------------------

CREATE TABLE pgenvelope.rewrap_job (
    job_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('rewrap', 'reencrypt')),
    key_id         bigint NOT NULL REFERENCES pgenvelope.key,
    target_version integer NOT NULL,
    state          text NOT NULL DEFAULT 'waiting'
                   CHECK (state IN ('waiting', 'running', 'proving', 'paused',
                                    'complete', 'cancelled')),
    pass           integer NOT NULL DEFAULT 1,
    message        text,
    not_before     timestamptz NOT NULL DEFAULT '-infinity',
    created_at     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by     text NOT NULL DEFAULT CURRENT_USER,
    started_at     timestamptz,
    finished_at    timestamptz,
    waits_for      text[],
    waits_since    timestamptz,
    proves         integer[],
    left_behind    bigint,
    lost_workers   integer NOT NULL DEFAULT 0,
    FOREIGN KEY (key_id, target_version) REFERENCES pgenvelope.key_version
);

-- One at a time: a second would undo what the first does.
CREATE UNIQUE INDEX rewrap_job_live ON pgenvelope.rewrap_job (key_id)
    WHERE state IN ('waiting', 'running', 'proving', 'paused');

COMMENT ON TABLE pgenvelope.rewrap_job IS
    'jobs that move the values of a key to one of its versions';
COMMENT ON COLUMN pgenvelope.rewrap_job.job_id IS 'number of the job';
COMMENT ON SEQUENCE pgenvelope.rewrap_job_job_id_seq IS 'numbers of jobs';
COMMENT ON COLUMN pgenvelope.rewrap_job.kind IS
    'rewrap: the data key is wrapped anew; reencrypt: the payload is sealed anew, too';
COMMENT ON COLUMN pgenvelope.rewrap_job.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.rewrap_job.target_version IS
    'the version that all its values are to have';
COMMENT ON COLUMN pgenvelope.rewrap_job.state IS
    'waiting, running, proving (reading every table once), paused, complete or cancelled';
COMMENT ON COLUMN pgenvelope.rewrap_job.pass IS
    'walk over all tables, from 1; the last one finds nothing';
COMMENT ON COLUMN pgenvelope.rewrap_job.message IS
    'why it is paused, or what it waits for';
COMMENT ON COLUMN pgenvelope.rewrap_job.not_before IS
    'nothing is done on it until then';
COMMENT ON COLUMN pgenvelope.rewrap_job.created_at IS 'when it was filed';
COMMENT ON COLUMN pgenvelope.rewrap_job.created_by IS 'the role that filed it';
COMMENT ON COLUMN pgenvelope.rewrap_job.started_at IS 'its first batch';
COMMENT ON COLUMN pgenvelope.rewrap_job.finished_at IS
    'when it was complete or cancelled';
COMMENT ON COLUMN pgenvelope.rewrap_job.waits_for IS
    'transactions that the proof waits for; null: it has not looked yet';
COMMENT ON COLUMN pgenvelope.rewrap_job.waits_since IS
    'start of the server whose transactions these are';
COMMENT ON COLUMN pgenvelope.rewrap_job.proves IS
    'versions that had ceased to encrypt before these transactions';
COMMENT ON COLUMN pgenvelope.rewrap_job.left_behind IS
    'values of other versions that the last proof found';
COMMENT ON COLUMN pgenvelope.rewrap_job.lost_workers IS
    'workers in a row that ended at it without a word, whatever ended them';

CREATE TABLE pgenvelope.rewrap_target (
    job_id       bigint NOT NULL REFERENCES pgenvelope.rewrap_job
                 ON DELETE CASCADE,
    relation     oid NOT NULL,
    attribute    smallint NOT NULL DEFAULT 0,
    name         text NOT NULL,
    columns      text[] NOT NULL,
    method       text NOT NULL CHECK (method IN ('update', 'inplace')),
    state        text NOT NULL DEFAULT 'waiting'
                 CHECK (state IN ('waiting', 'running', 'done', 'uncovered')),
    relfilenode  oid NOT NULL DEFAULT 0,
    next_block   bigint NOT NULL DEFAULT 0,
    total_blocks bigint NOT NULL DEFAULT 0,
    rows_seen    bigint NOT NULL DEFAULT 0,
    rewrapped    bigint NOT NULL DEFAULT 0,
    in_place     bigint NOT NULL DEFAULT 0,
    failed       bigint NOT NULL DEFAULT 0,
    busy         bigint NOT NULL DEFAULT 0,
    found        bigint NOT NULL DEFAULT 0,
    bytes        bigint NOT NULL DEFAULT 0,
    batches      bigint NOT NULL DEFAULT 0,
    busy_ms      bigint NOT NULL DEFAULT 0,
    started_at   timestamptz,
    updated_at   timestamptz,
    last_error   text,
    errors       integer NOT NULL DEFAULT 0,
    not_before   timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (job_id, relation, attribute)
);

COMMENT ON TABLE pgenvelope.rewrap_target IS
    'tables that a job walks: where it is, and what it did';
COMMENT ON COLUMN pgenvelope.rewrap_target.job_id IS 'the job';
COMMENT ON COLUMN pgenvelope.rewrap_target.relation IS
    'oid of the table; or, uncovered, of what else holds an envelope';
COMMENT ON COLUMN pgenvelope.rewrap_target.attribute IS
    'number of a column that is not covered, else 0';
COMMENT ON COLUMN pgenvelope.rewrap_target.name IS
    'its name when it was last looked at';
COMMENT ON COLUMN pgenvelope.rewrap_target.columns IS
    'columns that hold envelopes';
COMMENT ON COLUMN pgenvelope.rewrap_target.method IS 'update or inplace';
COMMENT ON COLUMN pgenvelope.rewrap_target.state IS
    'waiting, running, done (in this pass), or uncovered (see last_error)';
COMMENT ON COLUMN pgenvelope.rewrap_target.relfilenode IS
    'the file that next_block counts in; another one starts the table anew';
COMMENT ON COLUMN pgenvelope.rewrap_target.next_block IS
    'the first block that this pass has not read';
COMMENT ON COLUMN pgenvelope.rewrap_target.total_blocks IS
    'blocks when the pass began';
COMMENT ON COLUMN pgenvelope.rewrap_target.rows_seen IS
    'rows read, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.rewrapped IS
    'values moved to the target version, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.in_place IS
    'of these, those overwritten in place';
COMMENT ON COLUMN pgenvelope.rewrap_target.failed IS
    'values that failed, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.busy IS
    'values passed over in this pass, as somebody else was writing their row';
COMMENT ON COLUMN pgenvelope.rewrap_target.found IS
    'values of other versions found in this pass that did not fail';
COMMENT ON COLUMN pgenvelope.rewrap_target.bytes IS
    'bytes of rows and pages written, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.batches IS 'batches committed';
COMMENT ON COLUMN pgenvelope.rewrap_target.busy_ms IS
    'time spent in them, in milliseconds';
COMMENT ON COLUMN pgenvelope.rewrap_target.started_at IS
    'its first batch of this pass';
COMMENT ON COLUMN pgenvelope.rewrap_target.updated_at IS 'its last batch';
COMMENT ON COLUMN pgenvelope.rewrap_target.last_error IS
    'the last error of a batch, or why the table is not covered';
COMMENT ON COLUMN pgenvelope.rewrap_target.errors IS
    'batches that came to nothing since the last good one';
COMMENT ON COLUMN pgenvelope.rewrap_target.not_before IS
    'it is not tried again until then';

CREATE TABLE pgenvelope.rewrap_failure (
    job_id    bigint NOT NULL REFERENCES pgenvelope.rewrap_job
              ON DELETE CASCADE,
    relation  oid NOT NULL,
    attribute smallint NOT NULL,
    ctid_     tid NOT NULL,
    category  text NOT NULL,
    attempts  integer NOT NULL DEFAULT 1,
    first_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_at   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    next_try  timestamptz NOT NULL,
    PRIMARY KEY (job_id, relation, attribute, ctid_)
);

COMMENT ON TABLE pgenvelope.rewrap_failure IS
    'values that could not be moved, tried again ever more rarely';
COMMENT ON COLUMN pgenvelope.rewrap_failure.job_id IS 'the job';
COMMENT ON COLUMN pgenvelope.rewrap_failure.relation IS 'oid of the table';
COMMENT ON COLUMN pgenvelope.rewrap_failure.attribute IS
    'number of the column';
COMMENT ON COLUMN pgenvelope.rewrap_failure.ctid_ IS
    'where the row was';
COMMENT ON COLUMN pgenvelope.rewrap_failure.category IS
    'why, in the words of env_verify';
COMMENT ON COLUMN pgenvelope.rewrap_failure.attempts IS 'how often it failed';
COMMENT ON COLUMN pgenvelope.rewrap_failure.first_at IS 'when it first did';
COMMENT ON COLUMN pgenvelope.rewrap_failure.last_at IS 'when it last did';
COMMENT ON COLUMN pgenvelope.rewrap_failure.next_try IS
    'when it is tried again';

-- What the last proof counted, of all keys.
CREATE TABLE pgenvelope.census_count (
    relation  oid NOT NULL,
    attribute smallint NOT NULL,
    key_id    bigint NOT NULL,
    version   integer NOT NULL,
    count     bigint NOT NULL,
    taken_at  timestamptz NOT NULL,
    PRIMARY KEY (relation, attribute, key_id, version)
);

COMMENT ON TABLE pgenvelope.census_count IS
    'stored values by column and key version, as the last proof counted them';
COMMENT ON COLUMN pgenvelope.census_count.relation IS
    'oid of the table';
COMMENT ON COLUMN pgenvelope.census_count.attribute IS
    'number of the column';
COMMENT ON COLUMN pgenvelope.census_count.key_id IS
    'the key; 0: bytes that are no value';
COMMENT ON COLUMN pgenvelope.census_count.version IS
    'its version';
COMMENT ON COLUMN pgenvelope.census_count.count IS
    'how many values';
COMMENT ON COLUMN pgenvelope.census_count.taken_at IS
    'when the snapshot was taken';

-- What was said about a table: the method, and where the context of its
-- values comes from.
CREATE TABLE pgenvelope.rewrap_table (
    relation      regclass PRIMARY KEY,
    method        text NOT NULL DEFAULT 'update'
                  CHECK (method IN ('update', 'inplace')),
    contexts      jsonb NOT NULL DEFAULT '{}'
                  CHECK (jsonb_typeof(contexts) = 'object')
);

COMMENT ON TABLE pgenvelope.rewrap_table IS
    'how a table''s values are rewrapped; written by pgenvelope.set_rewrap_method and pgenvelope.set_rewrap_context';
COMMENT ON COLUMN pgenvelope.rewrap_table.relation IS 'the table';
COMMENT ON COLUMN pgenvelope.rewrap_table.method IS 'update or inplace';
COMMENT ON COLUMN pgenvelope.rewrap_table.contexts IS
    'for reencrypt, of each column: the members of its context, each member=column or member:literal';

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.rewrap_table',
    'WHERE relation::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_class)');

-- The caller needs the privilege rewrap or admin on the key; of a table's
-- method and contexts, its owner decides.

CREATE FUNCTION pgenvelope.start_rewrap(
    key text,
    kind text DEFAULT 'rewrap',
    version integer DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_start_rewrap'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.pause_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_pause_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.resume_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_resume_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.cancel_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_cancel_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.retry_rewrap(job bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_retry_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.step_rewrap(
    job bigint,
    OUT step text,
    OUT wait_ms integer,
    OUT state text,
    OUT phase text,
    OUT relation text,
    OUT next_block bigint,
    OUT total_blocks bigint,
    OUT rows_seen bigint,
    OUT rewrapped bigint,
    OUT in_place bigint,
    OUT failed bigint,
    OUT busy bigint,
    OUT bytes bigint,
    OUT message text)
RETURNS record
AS 'MODULE_PATHNAME', 'pgenvelope_step_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.set_rewrap_method(relation regclass, method text)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_set_rewrap_method'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.set_rewrap_context(
    relation regclass,
    "column" name,
    VARIADIC members text[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_set_rewrap_context'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.take_census(
    OUT relation regclass,
    OUT "column" name,
    OUT key text,
    OUT version integer,
    OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_take_census'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.start_rewrap(text, text, integer)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.pause_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.resume_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.cancel_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.retry_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.step_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.set_rewrap_method(regclass, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.set_rewrap_context(regclass, name, text[])
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.take_census() FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.start_rewrap(text, text, integer) IS
    'files a job that moves a key''s values to its active version; returns its number';
COMMENT ON FUNCTION pgenvelope.pause_rewrap(bigint) IS
    'stops a job where it is; false if it was paused';
COMMENT ON FUNCTION pgenvelope.resume_rewrap(bigint) IS
    'lets a paused job go on; false if it was not paused';
COMMENT ON FUNCTION pgenvelope.cancel_rewrap(bigint) IS
    'ends a job; false if it had ended';
COMMENT ON FUNCTION pgenvelope.retry_rewrap(bigint) IS
    'has a job try failed values again now, also if it is paused; returns how many';
COMMENT ON FUNCTION pgenvelope.step_rewrap(bigint) IS
    'does one step of a job, as the worker does';
COMMENT ON FUNCTION pgenvelope.set_rewrap_method(regclass, text) IS
    'sets how a table''s values are rewrapped: update or inplace';
COMMENT ON FUNCTION pgenvelope.set_rewrap_context(regclass, name, text[]) IS
    'says where the context of a column''s values comes from, for reencrypt';
COMMENT ON FUNCTION pgenvelope.take_census() IS
    'counts the stored values of every column by key version, now';
