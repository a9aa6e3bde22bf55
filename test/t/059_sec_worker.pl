# 059_sec_worker.pl: owners of tables, and of the database, who would have a
# worker do less than it should, or more.
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

my $node = new_node('main', conf => <<'END');
pgenvelope.rewrap_naptime = 1h
pgenvelope.rewrap_rate = 0
END

# What the owner of a database may say of it.  The worker connects anew for
# each job, and must not be what they say.
$node->safe_psql('postgres', <<'END');
CREATE ROLE nobody;
CREATE ROLE mallory;
GRANT CREATE ON SCHEMA public TO mallory;
ALTER DATABASE postgres SET role = 'nobody';
ALTER DATABASE postgres SET exit_on_error = on;
ALTER DATABASE postgres SET standard_conforming_strings = off;
ALTER DATABASE postgres SET default_transaction_isolation = 'serializable';
ALTER DATABASE postgres SET default_transaction_read_only = on;
ALTER DATABASE postgres SET search_path = '';
END
my $as_ever = <<'END';
SET role = none;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
SET transaction_read_only = off;
SET search_path = public, envelope;
SET standard_conforming_strings = on;
END

sub run_sql
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $as_ever . $sql);
}

sub wait_for_state
{
	my ($sql) = @_;

	wait_until(sub { run_sql($sql) eq 't' }, $sql);
	return;
}

run_sql(<<'END');
SELECT pgenvelope.create_key('one', required_context => '{}');
CREATE TABLE mine AS
SELECT env_encrypt('mine ' || n, '{}', 'one') AS v FROM generate_series(1, 10) n;
SELECT pgenvelope.rotate_key('one');
END
wait_for_state(q(SELECT bool_and(state = 'complete') FROM pgenvelope.rewrap_job));
is(run_sql('SELECT count(*) FROM mine WHERE env_key_version(v) = 2'),
	'10', 'a job is done whatever is set for the database');
run_sql(<<'END');
ALTER DATABASE postgres RESET ALL;
END
$as_ever = '';

# The worker may see a job before it hears that the key has another version.
foreach (1 .. 20)
{
	run_sql(q(SELECT pgenvelope.rotate_key('one')));
	wait_for_state(
		'SELECT state IN (\'complete\', \'cancelled\')'
		  . ' FROM pgenvelope.rewrap_job ORDER BY job_id DESC LIMIT 1');
}
is( run_sql(q(SELECT count(*) FROM pgenvelope.rewrap_job WHERE state <> 'complete')),
	'0',
	'no job is given up for a version that is not known yet');

# ---------------------------------------------------------------------------
# Code of owners
# ---------------------------------------------------------------------------

# In the name of a constraint: what a superuser's session would have to give.
run_sql(<<'END');
CREATE TABLE a_theirs (v envelope, plain text);
INSERT INTO a_theirs SELECT v FROM mine;
CREATE FUNCTION public.check_it(envelope) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN true;
END;
$$;
ALTER TABLE a_theirs ADD CHECK (public.check_it(v));
ALTER TABLE a_theirs OWNER TO mallory;
ALTER FUNCTION check_it(envelope) OWNER TO mallory;
CREATE TABLE told (what text, who name, is_super boolean);
GRANT INSERT ON told TO mallory;
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.told VALUES ('later', current_user,
        pg_catalog.current_setting('is_superuser')::boolean);
    RETURN NULL;
END;
$$;
CREATE TABLE bait (n integer);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON bait
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later();
ALTER TABLE bait OWNER TO mallory;
ALTER FUNCTION later() OWNER TO mallory;
END

# Each is what the function does; the job ends with all values moved, or with
# theirs in the queue, and never does it as anybody else.
my %tries = (
	'by a deferred trigger' => 'INSERT INTO public.bait VALUES (1);',
	'by taking a role' => 'SET LOCAL ROLE NONE; CREATE ROLE made SUPERUSER;',
	'by a session\'s role' =>
	  'SET SESSION AUTHORIZATION DEFAULT; CREATE ROLE made SUPERUSER;',
	'by resetting it' => 'RESET ROLE; CREATE ROLE made SUPERUSER;',
	'by a temporary table' => 'CREATE TEMPORARY TABLE pg_class (n integer);',
	'by a cursor' =>
	  'EXECUTE \'DECLARE c CURSOR WITH HOLD FOR SELECT 1\';',
	'by a search path' =>
	  'PERFORM pg_catalog.set_config(\'search_path\', \'public\', false);',
	'by decrypting' => 'PERFORM envelope.env_decrypt($1, \'{}\');',
	'by stepping' => 'PERFORM pgenvelope.step_rewrap(1);',
	'by ending the worker' =>
	  'PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());',
);

foreach my $try (sort keys %tries)
{
	run_sql(<<"END");
SET ROLE mallory;
CREATE OR REPLACE FUNCTION public.check_it(envelope) RETURNS boolean
LANGUAGE plpgsql AS \$\$
BEGIN
    $tries{$try}
    RETURN true;
END;
\$\$;
RESET ROLE;
SELECT pgenvelope.rotate_key('one');
END
	wait_for_state(<<'END');
SELECT state = 'complete' OR message ~ 'failed'
FROM pgenvelope.rewrap_job ORDER BY job_id DESC LIMIT 1
END
	is( run_sql(<<'END'),
SELECT count(*) FILTER (WHERE rolname = 'made'),
    (SELECT count(*) FROM told WHERE is_super OR who <> 'mallory')
FROM pg_roles
END
		'0|0',
		"no rights $try");
}

# ---------------------------------------------------------------------------
# Cancelling
# ---------------------------------------------------------------------------

# Their table comes first, and raises what a cancel raises.
run_sql(<<'END');
CREATE OR REPLACE FUNCTION public.check_it(envelope) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '57014';
END;
$$;
CREATE TABLE z_last AS SELECT v FROM mine;
SELECT pgenvelope.rotate_key('one');
END
wait_for_state(<<'END');
SELECT count(*) = 0 FROM z_last
WHERE env_key_version(v) <> (SELECT max(version) FROM pgenvelope.keys)
END
pass('a table whose code raises a cancel does not keep others from their turn');
is( run_sql(<<'END'),
SELECT relation, last_error <> '' FROM pgenvelope.rewrap_progress
WHERE state = 'running' AND last_error IS NOT NULL
END
	'public.a_theirs|t',
	'and is the one that is told of');

# And one whose code never ends can be cancelled.
run_sql(<<'END');
CREATE OR REPLACE FUNCTION public.check_it(envelope) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        PERFORM pg_catalog.pg_sleep(1);
    END LOOP;
END;
$$;
SELECT pgenvelope.rotate_key('one');
END
my $pid = worker_pid($node, 'postgres');
$node->poll_query_until('postgres', <<"END") or die 'no endless code';
SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid
END
run_sql("SELECT pg_cancel_backend($pid)");
wait_for_state(<<'END');
SELECT count(*) = 0 FROM z_last
WHERE env_key_version(v) <> (SELECT max(version) FROM pgenvelope.keys)
END
pass('nor does one whose code never ends, once it is cancelled');

# Or by itself, after some time; a newline in its name stays in its line.
set_setting($node, 'pgenvelope.rewrap_batch_timeout', '200ms');
set_setting($node, 'pgenvelope.rewrap_log_batches', 'on');
run_sql(q(CREATE TABLE "z
last" AS SELECT v FROM mine));
run_sql(q(SELECT pgenvelope.rotate_key('one')));
wait_for_state(<<'END');
SELECT count(*) = 0 FROM z_last
WHERE env_key_version(v) <> (SELECT max(version) FROM pgenvelope.keys)
END
pass('or has had its time');
wait_for_state(<<'END');
SELECT last_error ~ 'timeout' FROM pgenvelope.rewrap_progress
WHERE relation = 'public.a_theirs'
    AND job_id = (SELECT max(job_id) FROM pgenvelope.rewrap_job)
END
$node->wait_for_log(qr/table=public\."z\?last" blocks/);
pass('a line of the log is one line, however a table is called');
is(counter($node, 'worker_starts') > 0, 1, 'the workers live');
run_sql('DROP TABLE a_theirs');

done_testing();
