# 023_proof.pl: a proof that takes long shows how far it is, can be paused and
# cancelled, and does not keep a database from being dropped.
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

my $node = new_node(
	'main', conf => <<'END');
pgenvelope.rewrap_naptime = 200ms
pgenvelope.rewrap_rate = 0
END

sub query
{
	my ($sql, $database) = @_;

	return $node->safe_psql($database // 'postgres', $sql);
}

# Two tables, so that there is a second chunk.
sub new_database
{
	my ($database) = @_;

	query("CREATE DATABASE $database");
	query('CREATE EXTENSION pgenvelope', $database);
	new_values($node, $database, 'one', 20);
	query('CREATE TABLE second AS TABLE value', $database);
	return;
}

# Rotates, and waits until a proof is held up at its first table.
sub hold_proof
{
	my ($database) = @_;

	set_point($node, 'count', 'hang');
	query("SELECT pgenvelope.rotate_key('one')", $database);
	$node->poll_query_until('postgres', <<"END") or die 'no proof is taken';
SELECT count(*) = 1 FROM pgenvelope.rewrap_activity() a
JOIN pg_database d ON d.oid = a.database
WHERE datname = '$database' AND phase = 'proving' AND relation <> ''
END
	return;
}

my $job = 'SELECT max(job_id) FROM pgenvelope.rewrap_job';
my $state = "SELECT state FROM pgenvelope.rewrap_job WHERE job_id = ($job)";
my $proofs = 'SELECT count(*) FROM pgenvelope.key_proof';

new_database('long');
hold_proof('long');
is(query('SELECT relation FROM pgenvelope.rewrap_activity()'),
	'public.second', 'the table that is being counted is shown');
like(
	query(
		q(SELECT query FROM pg_stat_activity WHERE backend_type = 'pgenvelope rewrap worker')
	),
	qr/counting the values of public\.second/,
	'in pg_stat_activity, too');
is(query("SELECT pgenvelope.pause_rewrap(($job))", 'long'),
	't', 'a job is paused while it proves');
set_point($node, 'count', 'pass');
$node->poll_query_until('postgres',
	q(SELECT count(*) = 0 FROM pgenvelope.rewrap_activity())) or die;
is(query($state, 'long'), 'paused', 'it stays so');
is(query($proofs, 'long'), '0', 'and proves nothing');
query("SELECT pgenvelope.resume_rewrap(($job))", 'long');
wait_for_jobs($node, 'long');
is(query($proofs, 'long'), '1', 'resumed, it does');

hold_proof('long');
is(query("SELECT pgenvelope.cancel_rewrap(($job))", 'long'),
	't', 'a job is cancelled while it proves');
set_point($node, 'count', 'pass');
$node->poll_query_until('postgres',
	q(SELECT count(*) = 0 FROM pgenvelope.rewrap_activity())) or die;
is(query($state, 'long'), 'cancelled', 'it stays so');
is(query($proofs, 'long'), '1', 'and proves nothing more');

# Dropping begins with the lock that a worker looks for.
hold_proof('long');
my $dropper = session($node);
$dropper->start('DROP DATABASE long');
$node->poll_query_until('postgres', <<'END') or die 'no lock';
SELECT count(*) > 0 FROM pg_locks
WHERE mode = 'AccessExclusiveLock' AND granted
    AND classid = 'pg_database'::regclass AND database = 0
END
advance_clock($node, 1);
set_point($node, 'count', 'pass');
is(($dropper->finish)[1], '00000', 'a database is dropped during a proof');
unlike(slurp_file($node->logfile), qr/ ERROR: /, 'which is no error');
done_testing();
