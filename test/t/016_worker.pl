# 016_worker.pl: the launcher and its workers.
#
# A job starts when the transaction that filed it commits, and is done whatever
# happens to launcher and worker: terminated, none allowed, no background
# worker free.  Both stand in nobody's way: DROP DATABASE, CREATE DATABASE ...
# TEMPLATE and DROP EXTENSION work in the middle of a job.  What lasts is said
# in the log once.
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

# Nothing in the first part may depend on the timer.
my $node = new_node('main', conf => <<'END');
pgenvelope.rewrap_naptime = 1h
pgenvelope.rewrap_rate = 0
log_min_messages = log
END

# Polls for a row of pg_stat_activity, or for none.
sub poll_processes
{
	my ($type, $count) = @_;

	$node->poll_query_until('postgres', <<"END") or die "not $count $type";
SELECT count(*) = $count FROM pg_stat_activity
WHERE backend_type = 'pgenvelope $type'
END
	return;
}

sub times_logged
{
	my ($pattern) = @_;
	my @lines = slurp_file($node->logfile) =~ /$pattern/g;

	return scalar @lines;
}

my $right = <<'END';
SELECT count(*) FROM value
WHERE env_decrypt(v, '{"tenant": "acme"}') = plain AND env_key_version(v) =
END

# Polls, and moves the clock meanwhile: a worker may just have begun to wait by
# the rate that holds it.
sub poll_held
{
	my ($database, $query, $what) = @_;

	wait_until(
		sub {
			advance_clock($node, 60);
			return $node->safe_psql($database, $query) eq 't';
		},
		$what);
	return;
}

sub finish_jobs
{
	my @databases = @_;

	set_setting($node, 'pgenvelope.rewrap_rate', 0);
	poll_held($_, <<'END', "the jobs of $_ are done") for @databases;
SELECT NOT EXISTS (SELECT FROM pgenvelope.rewrap_job
    WHERE state NOT IN ('complete', 'cancelled'))
END
	return;
}

# ---------------------------------------------------------------------------
# Starting
# ---------------------------------------------------------------------------

poll_processes('launcher', 1);
new_values($node, 'postgres', 'one', 500);
poll_processes('rewrap worker', 0);
$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('one')");
wait_for_jobs($node, 'postgres');
is($node->safe_psql('postgres', "$right 2"),
	'500', 'a job is done at once, and every value is right');
is($node->safe_psql('postgres', 'SELECT sum(rewrapped) FROM pgenvelope.rewrap_target'),
	'500', 'and each was moved once');
is(counter($node, 'rewrapped'), '500', 'as the counters say');
cmp_ok(counter($node, 'rewrap_batches'), '>', 0, 'in batches');
poll_processes('rewrap worker', 0);
pass('the worker ends when there is nothing left to do');
$node->wait_for_log(qr/LOG:  rewrap job 1 is complete/);
is(times_logged(qr/LOG:  rewrap job 1 is running/), 1, 'the log has its start');
is(times_logged(qr/LOG:  rewrap job 1 is complete/), 1, 'and its end');
is(times_logged(qr/rewrap batch:/), 0, 'but not its batches');

my $starts = counter($node, 'worker_starts');
$node->safe_psql('postgres', <<'END');
BEGIN;
SELECT pgenvelope.rotate_key('one');
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT pgenvelope.rotate_key('one');
ROLLBACK TO a;
COMMIT;
END
set_setting($node, 'pgenvelope.rewrap_log_batches', 'on');
$node->safe_psql('postgres', <<'END');
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT pgenvelope.rotate_key('one');
RELEASE b;
RELEASE a;
COMMIT;
END
wait_for_jobs($node, 'postgres');
is(counter($node, 'worker_starts') - $starts,
	1, 'a subtransaction wakes the launcher when it commits for good');
like(
	slurp_file($node->logfile),
	qr/LOG:  rewrap batch: job=\d+ table=public\.value blocks=\d+\/\d+ rows=\d+ rewrapped=\d+ in_place=\d+ failed=0 busy=0 bytes=\d+ ms=\d+\n/,
	'a batch is one line of the log');
set_setting($node, 'pgenvelope.rewrap_log_batches', 'off');

# ---------------------------------------------------------------------------
# Held up
# ---------------------------------------------------------------------------

my $pid = hold_job($node, 'postgres', 'one');
is( $node->safe_psql('postgres', <<"END"),
SELECT a.phase, a.relation, a.total > a.done, s.datname, s.query
    ~ '^pgenvelope: rewrapping public.value, block [0-9]+ of [0-9]+, job [0-9]+\$'
FROM pgenvelope.rewrap_activity() a JOIN pg_stat_activity s USING (pid)
WHERE pid = $pid AND s.backend_type = 'pgenvelope rewrap worker'
END
	'rewrapping|public.value|t|postgres|t',
	'one sees what a worker does');
cmp_ok(counter($node, 'rewrap_paced_ms'),
	'>=', 10_000, 'a rate is a time to wait');

$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
my $next = $pid;
wait_until(sub { ($next = worker_pid($node, 'postgres')) ne $pid },
	'another worker goes on');
pass('a terminated worker is replaced');

my $launcher = counter($node, 'launcher_pid');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
$node->poll_query_until('postgres',
	"SELECT launcher_pid <> $launcher FROM pgenvelope.stat")
  or die 'no launcher';
is(worker_pid($node, 'postgres'),
	$next, 'so is a launcher, while its worker goes on');

set_setting($node, 'pgenvelope.rewrap_workers', 0);
poll_processes('rewrap worker', 0);
is( $node->safe_psql('postgres',
		'SELECT state FROM pgenvelope.rewrap_job ORDER BY job_id DESC LIMIT 1'),
	'running',
	'without workers a job rests');
set_setting($node, 'pgenvelope.rewrap_workers', 1);
worker_pid($node, 'postgres');

# The only worker there may be has had its turn after a naptime.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION pgenvelope');
new_values($node, 'other', 'other', 500);
set_setting($node, 'pgenvelope.rewrap_naptime', '200ms');
$node->safe_psql('other', "SELECT pgenvelope.rotate_key('other')");
$node->poll_query_until('other',
	q(SELECT rewrapped > 0 FROM pgenvelope.rewrap_target))
  or die 'the other database got no turn';
pass('databases take turns');
set_setting($node, 'pgenvelope.rewrap_workers', 2);
finish_jobs('postgres', 'other');
is($node->safe_psql('postgres', "$right 4"), '500', 'and jobs come to an end');

# ---------------------------------------------------------------------------
# In nobody's way
# ---------------------------------------------------------------------------

hold_job($node, 'other', 'other');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE other');
pass('a database can be copied in the middle of a job');
worker_pid($node, 'other');
worker_pid($node, 'copy');
$node->safe_psql('postgres', 'DROP DATABASE other');
pass('or dropped');
worker_pid($node, 'copy');
$node->safe_psql('copy', 'DROP EXTENSION pgenvelope CASCADE');
poll_held('postgres', <<'END', 'the worker is gone');
SELECT NOT EXISTS (SELECT FROM pg_stat_activity
    WHERE backend_type = 'pgenvelope rewrap worker')
END
pass('an extension can be dropped, too');
$node->safe_psql('copy', 'CREATE EXTENSION pgenvelope; DROP TABLE value');
new_values($node, 'copy', 'new', 100);
$node->safe_psql('copy', "SELECT pgenvelope.rotate_key('new')");
finish_jobs('copy');
is($node->safe_psql('copy', "$right 2"), '100', 'and created again');
$node->safe_psql('postgres', 'DROP DATABASE copy');

# ---------------------------------------------------------------------------
# No background worker
# ---------------------------------------------------------------------------

# The keeper, the launcher and that of logical replication; one is left.
$node->append_conf('postgresql.conf', 'max_worker_processes = 4');
set_setting($node, 'pgenvelope.rewrap_workers', 0);
$node->restart;
my $filler = session($node);
$filler->value(<<'END');
SELECT set_config(name, 'on', false) FROM pg_settings
WHERE name IN ('force_parallel_mode', 'debug_parallel_query')
END
$filler->start('SELECT pg_sleep(3600)');
$node->poll_query_until('postgres', <<'END') or die 'no parallel worker';
SELECT count(*) = 1 FROM pg_stat_activity
WHERE backend_type = 'parallel worker'
END
$starts = counter($node, 'worker_starts');
set_setting($node, 'pgenvelope.rewrap_workers', 2);
$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('one')");
$node->wait_for_log(qr/no background worker is free for rewrap jobs/);

# Many more tries; the clock is moved so that they come soon.
advance_clock($node, 60) for 1 .. 20;
is(counter($node, 'worker_starts'), $starts, 'no worker can be started');
is(times_logged(qr/LOG:  no background worker is free for rewrap jobs/),
	1, 'which is said once');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $filler->pid . ')');
wait_for_jobs($node, 'postgres');
is($node->safe_psql('postgres', "$right 5"), '500', 'until one is free');
is(times_logged(qr/LOG:  background workers are free for rewrap jobs again/),
	1, 'which is said as well');
$filler->finish;
$filler->quit;

# ---------------------------------------------------------------------------
# Lost in a row, as transaction_timeout does it from 17 on
# ---------------------------------------------------------------------------

my $lost = 'SELECT lost_workers, message FROM pgenvelope.rewrap_job '
  . 'ORDER BY job_id DESC LIMIT 1';
my $health = q(SELECT status FROM pgenvelope.health() WHERE component = 'job');
set_point($node, 'batch', 'exit');
$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('one')");

# Armed again and the clock moved in one go, or a worker might find it unarmed.
my $lever = session($node, 'postgres');
wait_until(
	sub {
		$lever->run(q(SELECT pgenvelope_test_point('batch', 'exit');
			SELECT pgenvelope_test_advance_clock(60000)));
		return $lever->value($lost) =~ /^[3-9]\|/;
	},
	'three workers are lost in a row');
$lever->quit;
like($node->safe_psql('postgres', $lost),
	qr/\|workers lost in a row: \d+; see the server log$/, 'the job says so');
is($node->safe_psql('postgres', $health), 'degraded', 'and health');
set_point($node, 'batch', 'pass');
advance_clock($node, 600);
wait_for_jobs($node, 'postgres');
is($node->safe_psql('postgres', $lost), '0|', 'until a step comes to its end');
SKIP:
{
	skip 'transaction_timeout came with 17', 1 if $node->pg_version < 17;
	set_setting($node, 'transaction_timeout', '1s');
	hold_job($node, 'postgres', 'one');
	finish_jobs('postgres');
	is($node->safe_psql('postgres', $lost), '0|', 'transaction_timeout is no matter');
	set_setting($node, 'transaction_timeout', 0);
}

# ---------------------------------------------------------------------------
# The log
# ---------------------------------------------------------------------------

# But for the end of the session that was in the way, for a worker that was
# about to connect to the database that was dropped, and for one that was in the
# middle of something when the server was restarted.
my $expected = qr/canceling\ statement
	|terminating\ background\ worker\ "(parallel|pgenvelope\ rewrap)\ worker"
	|FATAL:\ \ database\ \d+\ does\ not\ exist/x;
my @errors = grep { !/$expected/ }
  grep { /ERROR:|FATAL:|PANIC:/ } split /\n/, slurp_file($node->logfile);
is(join("\n", @errors), '', 'nothing of all this is an error');
done_testing();
