# 027_upgrade.pl: ALTER EXTENSION pgenvelope UPDATE from 0.1.0.
#
# Between the start of a server with the new library and the update, functions
# refuse with 55000, types and dumps work, and a worker leaves the database
# alone and says so once.  After it the catalogs are those of a fresh
# installation, and what was stored by 0.1.0 is worth what it was: values,
# grants and privileges, a job, requests, the audit's log.
#
# test/upgrade/0.1.0.sql is a dump of a database that 0.1.0 wrote.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $files = source_directory() . '/test/upgrade';
my $key_file = new_directory('upgrade') . '/root.key';
write_file($key_file, slurp_file("$files/root.key"));
my $node = new_node(
	'main',
	providers => "main=file://$key_file",
	conf => "pgenvelope.rewrap_naptime = 200ms\n",
	extension => 0);

sub psql_file
{
	my ($database, $file) = @_;

	return $node->safe_psql($database, slurp_file("$files/$file"));
}

$node->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER')
  if $node->safe_psql('postgres', 'SELECT current_user') ne 'postgres';
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(fresh old);
$node->safe_psql('fresh',
	'CREATE SCHEMA enc; CREATE EXTENSION pgenvelope SCHEMA enc');
psql_file('old', '0.1.0.sql');

# ---------------------------------------------------------------------------
# Before the update
# ---------------------------------------------------------------------------

# Calls every function of the type's schema with arguments that it takes, and
# prints those that do not refuse: they look at no key.
my $refusals = $node->safe_psql('old', <<'SQL');
CREATE FUNCTION pg_temp.states() RETURNS TABLE (name text, state text)
LANGUAGE plpgsql AS $$
DECLARE
    call text;
BEGIN
    FOR name, call IN
        SELECT p.proname, format('SELECT %s(%s)', p.oid::regproc,
            string_agg(CASE t WHEN 'enc.envelope'::regtype
                THEN '(SELECT min(sealed::text) FROM patient)::enc.envelope'
                ELSE format('%s %L::%s',
                    CASE WHEN n = p.pronargs AND p.provariadic <> 0
                    THEN 'VARIADIC' END, CASE t
                    WHEN 'text'::regtype THEN 'app'
                    WHEN 'jsonb'::regtype THEN '{"id": 1}'
                    WHEN 'interval'::regtype THEN '1 day'
                    WHEN 'regrole'::regtype THEN 'upgrade_bob'
                    WHEN 'regclass'::regtype THEN 'patient'
                    WHEN 'text[]'::regtype THEN '{}'
                    ELSE '1' END, t::regtype) END, ', ' ORDER BY n)
                FILTER (WHERE n IS NOT NULL))
        FROM pg_proc p
        LEFT JOIN unnest(p.proargtypes) WITH ORDINALITY a (t, n) ON true
        WHERE p.pronamespace = 'enc'::regnamespace
          AND p.proname LIKE 'env\_%' AND p.prorettype <> 'trigger'::regtype
        GROUP BY p.oid
    LOOP
        state := '00000';
        BEGIN
            EXECUTE call;
        EXCEPTION WHEN OTHERS THEN
            state := SQLSTATE;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT concat_ws(' ', name, state) FROM pg_temp.states()
WHERE state <> '55000' ORDER BY 1;
SQL
is($refusals, <<'END' =~ s/\n\z//r, 'every function that needs a key refuses');
env_bind_session 22023
env_from_jwe 22P02
env_key_version 00000
env_lint 00000
env_ready 00000
env_unbind_session 00000
END
is($node->safe_psql('old', 'SELECT ready FROM is_ready'),
	'f', 'the database is not ready');
like(
	is_sqlstate(
		$node, "INSERT INTO patient VALUES (4, 'plain')",
		'55000', 'so does the trigger', database => 'old'),
	qr/version 0\.1\.0 .*version 0\.2\.0.*ALTER EXTENSION pgenvelope UPDATE/s,
	'it says what to do');
is($node->safe_psql('old', 'SELECT count(*) FROM pgenvelope.grants'),
	'8', 'what is granted can be read');
is( $node->safe_psql('old',
		'SELECT count(DISTINCT sealed::text::enc.envelope::text) FROM patient'),
	'3', 'the type works');
$node->command_ok([ 'pg_dump', '-f', '/dev/null', $node->connstr('old') ],
	'the database can be dumped');
my $ignored = qr/LOG:  database "old" has version 0\.1\.0/;
$node->wait_for_log($ignored);

# ---------------------------------------------------------------------------
# The update
# ---------------------------------------------------------------------------

# One session has read the tables before, and is told.
my $session = session($node, 'old');
is($session->sqlstate('SELECT diagnosis FROM opened'),
	'55000', 'a session is refused');
$node->safe_psql('old', 'ALTER EXTENSION pgenvelope UPDATE');
is($session->sqlstate('SELECT diagnosis FROM opened'),
	'00000', 'and works after the update');
$session->quit;
is( scalar(() = slurp_file($node->logfile) =~ /$ignored/g),
	1, 'a worker said once that it leaves the database alone');

# The grants that the dump made, which a fresh database has not.
$node->safe_psql('fresh', <<'END');
GRANT EXECUTE ON FUNCTION pgenvelope.grant_key, pgenvelope.retire_key,
    pgenvelope.require_approval, pgenvelope.approve, pgenvelope.reject,
    pgenvelope.rotate_key, pgenvelope.verify_audit
TO upgrade_alice, upgrade_bob;
END
my $catalog = slurp_file("$files/catalog.sql");
my @fresh = split /\n/, $node->safe_psql('fresh', $catalog);
my @updated = split /\n/, $node->safe_psql('old', $catalog);
cmp_ok(scalar(@fresh), '>', 800, 'the catalogs say much');
my (%in_fresh, %in_updated);
@in_fresh{@fresh} = ();
@in_updated{@updated} = ();
is( join("\n", grep { !exists $in_updated{$_} } @fresh),
	'', 'nothing of a fresh installation is missing');
is( join("\n", grep { !exists $in_fresh{$_} } @updated),
	'', 'nothing of the old one is left');

# ---------------------------------------------------------------------------
# After it
# ---------------------------------------------------------------------------

sub as
{
	my ($role, $sql) = @_;

	return $node->safe_psql('old', $sql, extra_params => [ '-U', $role ]);
}

$node->safe_psql('old', 'GRANT SELECT ON opened, patient TO PUBLIC');
is( $node->safe_psql(
		'old', "SELECT string_agg(diagnosis, ' ' ORDER BY id) FROM opened"),
	'measles mumps rubella', 'every value opens');
is($node->safe_psql('old', 'SELECT ready FROM is_ready'),
	't', 'a view of a function that has moved works');
is(as('upgrade_reader', 'SELECT diagnosis FROM opened WHERE id = 1'),
	'measles', 'a grant holds');
is_sqlstate(
	$node, 'SELECT diagnosis FROM opened WHERE id = 3',
	'42501', 'as far as it went',
	database => 'old',
	extra_params => [ '-v', 'VERBOSITY=verbose', '-U', 'upgrade_reader' ]);
is( $node->safe_psql(
		'old', 'SELECT per_minute, limit_action FROM pgenvelope.limits '
		  . "WHERE grantee::text = 'upgrade_reader'"),
	'1000|deny', 'with its budget');
$node->safe_psql('old', "INSERT INTO patient VALUES (4, 'rabies')");
is($node->safe_psql('old', 'SELECT diagnosis FROM opened WHERE id = 4'),
	'rabies', 'the trigger encrypts');

# The job that waited; then the requests.
$node->safe_psql('old', 'SELECT pgenvelope.resume_rewrap(1)');
wait_for_jobs($node, 'old');
is( $node->safe_psql(
		'old', 'SELECT DISTINCT enc.env_key_version(sealed) FROM patient'),
	'2', 'the job that waited was done');
is( as('upgrade_bob',
		'SELECT operation, state FROM pgenvelope.requests ORDER BY 1'),
	"grant_key|pending\nretire_key|pending",
	'requests have the names of now');
is(as('upgrade_bob', 'SELECT pgenvelope.approve(1)'),
	'true', 'a request is approved');
is(as('upgrade_bob', 'SELECT diagnosis FROM opened WHERE id = 3'),
	'rubella', 'and was done');
as('upgrade_bob', 'SELECT pgenvelope.approve(2)');
is( $node->safe_psql(
		'old', "SELECT state FROM pgenvelope.keys WHERE (name, version) = "
		  . "('app', 1)"),
	'retired', 'another one, too');
is( $node->safe_psql(
		'old', 'SELECT finding, ok FROM pgenvelope.verify_audit() ORDER BY 1'),
	'checked|t', 'the log of both versions is one chain');
is( $node->safe_psql(
		'old', 'SELECT count(*) FILTER (WHERE act = $$env_grant$$), '
		  . 'count(*) FILTER (WHERE act = $$grant_key$$) '
		  . 'FROM pgenvelope.audit_log'),
	'3|1', 'with the names of their time');

# A later schema, as another server's ALTER EXTENSION would have made it: a
# session that has read the tables looks again when they are altered.
$session = session($node, 'old');
is($session->value('SELECT diagnosis FROM opened WHERE id = 1'),
	'measles', 'a session has read the tables');
$node->safe_psql('old', <<'END');
UPDATE pg_extension SET extversion = '0.10.0' WHERE extname = 'pgenvelope';
ALTER TABLE pgenvelope.key ALTER COLUMN name SET STATISTICS 100;
END
is($session->sqlstate('SELECT diagnosis FROM opened'),
	'55000', 'and is refused when their version is another');
$session->quit;
like(
	is_sqlstate(
		$node, 'SELECT diagnosis FROM opened', '55000',
		'as everybody is', database => 'old'),
	qr/Install the library of that version and restart/,
	'where the schema is the later one, it says so');

done_testing();
