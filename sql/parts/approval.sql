

-- ---------------------------------------------------------------------------
-- Dual control: acts that a second person approves
-- ---------------------------------------------------------------------------

-- What was asked for, by whom, and what came of it.  The columns of names are
-- for people: roles are told apart by number, and by the three that a session
-- has, so that nobody approves their own request under another role.
CREATE TABLE pgenvelope.request (
    request_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id             bigint NOT NULL REFERENCES pgenvelope.key,
    operation          text NOT NULL,
    arguments          jsonb NOT NULL
                       CHECK (jsonb_typeof(arguments) = 'object'),
    subject            jsonb NOT NULL
                       CHECK (jsonb_typeof(subject) = 'object'),
    requested_at       timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    requester          oid NOT NULL,
    requester_session  oid NOT NULL,
    requester_login    oid NOT NULL,
    requested_by       text NOT NULL,
    requested_session  text NOT NULL,
    requested_login    text NOT NULL,
    requested_identity text,
    state              text NOT NULL DEFAULT 'pending'
                       CHECK (state IN ('pending', 'approved', 'rejected',
                                        'withdrawn')),
    decided_at         timestamptz,
    decided_by         text,
    decided_session    text,
    decided_login      text,
    decided_identity   text,
    reason             text CHECK (octet_length(reason) <= 1000),
    result             jsonb,
    CHECK ((state = 'pending') = (decided_at IS NULL)),
    CHECK ((state = 'pending') = (decided_by IS NULL))
);

CREATE INDEX request_pending ON pgenvelope.request (key_id)
    WHERE state = 'pending';

COMMENT ON TABLE pgenvelope.request IS
    'acts on keys under dual control: asked for, approved, rejected';
COMMENT ON SEQUENCE pgenvelope.request_request_id_seq IS
    'numbers of requests';
COMMENT ON COLUMN pgenvelope.request.request_id IS 'number of the request';
COMMENT ON COLUMN pgenvelope.request.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.request.operation IS
    'the function that was called';
COMMENT ON COLUMN pgenvelope.request.arguments IS
    'its arguments by name; one that is missing is null';
COMMENT ON COLUMN pgenvelope.request.subject IS
    'what they meant when it was filed; an approval is refused if it has changed';
COMMENT ON COLUMN pgenvelope.request.requested_at IS 'when it was filed';
COMMENT ON COLUMN pgenvelope.request.expires_at IS
    'from then on it cannot be approved';
COMMENT ON COLUMN pgenvelope.request.requester IS
    'the role by whose rights it was filed';
COMMENT ON COLUMN pgenvelope.request.requester_session IS
    'the session user of then';
COMMENT ON COLUMN pgenvelope.request.requester_login IS
    'the role that had logged in';
COMMENT ON COLUMN pgenvelope.request.requested_by IS
    'name of the role by whose rights it was filed';
COMMENT ON COLUMN pgenvelope.request.requested_session IS
    'name of the session user';
COMMENT ON COLUMN pgenvelope.request.requested_login IS
    'name of the role that had logged in';
COMMENT ON COLUMN pgenvelope.request.requested_identity IS
    'as whom the client had authenticated, and from 16 on how; null: not at all';
COMMENT ON COLUMN pgenvelope.request.state IS
    'pending, approved (and done), rejected or withdrawn';
COMMENT ON COLUMN pgenvelope.request.decided_at IS
    'when it was approved, rejected or withdrawn';
COMMENT ON COLUMN pgenvelope.request.decided_by IS
    'name of the role by whose rights it was decided';
COMMENT ON COLUMN pgenvelope.request.decided_session IS
    'name of the session user who decided';
COMMENT ON COLUMN pgenvelope.request.decided_login IS
    'name of the role that had logged in and decided';
COMMENT ON COLUMN pgenvelope.request.decided_identity IS
    'as whom that client had authenticated';
COMMENT ON COLUMN pgenvelope.request.reason IS
    'what was said when it was rejected or withdrawn';
COMMENT ON COLUMN pgenvelope.request.result IS
    'what the function returned when it was done';

-- Who may approve is of this server: requests are neither dumped nor taken
-- from a publisher.  Numbers are not used again after a restore.
SELECT pg_catalog.pg_extension_config_dump(
    'pgenvelope.request_request_id_seq', '');

CREATE FUNCTION pgenvelope.require_approval(
    key text,
    required boolean DEFAULT true)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_require_approval'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.approve(request bigint)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'pgenvelope_approve'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.reject(request bigint, reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_reject'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.require_approval(text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.approve(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.reject(bigint, text) FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.require_approval(text, boolean) IS
    'puts a key under dual control; to end that is itself a request';
COMMENT ON FUNCTION pgenvelope.approve(bigint) IS
    'does what another person has asked for; returns what that function returns';
COMMENT ON FUNCTION pgenvelope.reject(bigint, text) IS
    'rejects a request, or withdraws one''s own';

CREATE FUNCTION pgenvelope.may_decide(
    key_id bigint,
    operation text,
    arguments jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_may_decide'
LANGUAGE C STABLE STRICT;

COMMENT ON FUNCTION pgenvelope.may_decide(bigint, text, jsonb) IS
    'whether the current user is entitled to approve such requests';

-- Everybody sees what they may decide or have asked for; monitoring sees all
-- requests, without the contexts of grants.
CREATE VIEW pgenvelope.requests WITH (security_barrier) AS
SELECT r.request_id,
       k.name AS key,
       r.operation,
       CASE WHEN m.decides OR m.asked THEN r.arguments
            ELSE r.arguments - 'context'::text
       END AS arguments,
       CASE WHEN r.state = 'pending'
             AND r.expires_at <= pg_catalog.clock_timestamp()
            THEN 'expired'
            ELSE r.state
       END AS state,
       r.requested_by,
       r.requested_session,
       r.requested_login,
       r.requested_identity,
       r.requested_at,
       r.expires_at,
       r.decided_by,
       r.decided_session,
       r.decided_login,
       r.decided_identity,
       r.decided_at,
       r.reason,
       r.result
FROM pgenvelope.request r
JOIN pgenvelope.key k USING (key_id)
CROSS JOIN LATERAL (
    SELECT pgenvelope.may_decide(r.key_id, r.operation, r.arguments)
               AS decides,
           COALESCE(pg_catalog.pg_has_role(r.requester, 'USAGE'), false)
               AS asked
) m
WHERE m.decides OR m.asked
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');

GRANT SELECT ON pgenvelope.requests TO PUBLIC;

COMMENT ON VIEW pgenvelope.requests IS
    'requests for a second person''s approval, for those who may decide them, those who asked, and monitoring';
