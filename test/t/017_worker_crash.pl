# 017_worker_crash.pl: whatever is killed, a rewrap job resumes where it was.
#
# By each method: kill -9 of the worker, the launcher and the postmaster at
# random points of a job, and abort() at named ones: a batch done, a page
# written in place, a cursor recorded, a proof taken, none of it committed; and
# when a new version is sealed, not stored.  Once each, or PGENVELOPE_SOAK
# times.  Afterwards the job completes, every value decrypts, heap, indexes and
# checksums are sound, and the counters of the job add up: by UPDATE each value
# was moved once in what was committed; in place some were moved by a batch
# whose count is lost.
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
use Time::HiRes qw(usleep);

my $rows = 2000;
my $node = new_node(
	'main',
	init => { extra => ['--data-checksums'] },
	conf => <<'END');
restart_after_crash = on
pgenvelope.rewrap_naptime = 200ms
pgenvelope.rewrap_rate = 20000
pgenvelope.rewrap_batch_blocks = 1
END

new_values($node, 'postgres', 'one', $rows);
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# ---------------------------------------------------------------------------
# Ways to crash
# ---------------------------------------------------------------------------

my $log_end;

sub wait_for_restart
{
	my ($signal) = @_;

	$node->wait_for_log(qr/was terminated by signal $signal/, $log_end);
	$node->wait_for_log(qr/ready to accept connections/, $log_end);
	return;
}

sub kill_postmaster
{
	my $pid = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

	$node->kill9;
	start_killed_server($node, $pid);
	return;
}

# Rotates, and kills somewhere in the job, which is held until it is known
# whom to kill.
sub kill_somewhere
{
	my ($who) = @_;

	set_point($node, 'cursor', 'hang');
	query("SELECT pgenvelope.rotate_key('one')");
	my $pid = worker_pid($node, 'postgres');
	$pid = counter($node, 'launcher_pid') if $who eq 'launcher';
	set_point($node, 'cursor', 'pass');
	usleep(rand(50_000));
	return kill_postmaster() if $who eq 'postmaster';
	kill 'KILL', $pid or return;
	return wait_for_restart(9);
}

sub abort_at
{
	my ($point) = @_;

	set_point($node, $point, 'abort');
	query("SELECT pgenvelope.rotate_key('one')");
	return wait_for_restart(6);
}

my %crashes = (
	'worker killed' => sub { kill_somewhere('worker') },
	'launcher killed' => sub { kill_somewhere('launcher') },
	'postmaster killed' => sub { kill_somewhere('postmaster') },
	'abort after a batch' => sub { abort_at('batch') },
	'abort after a page' => sub { abort_at('page') },
	'abort after the cursor' => sub { abort_at('cursor') },
	'abort after the proof' => sub { abort_at('proof') });

# ---------------------------------------------------------------------------
# What is to be true afterwards
# ---------------------------------------------------------------------------

sub is_whole
{
	my ($method, $what) = @_;
	my ($moved, $in_place, $failed) = split /\|/, query(<<'END');
SELECT sum(rewrapped), sum(in_place), sum(failed)
FROM pgenvelope.rewrap_target
WHERE job_id = (SELECT max(job_id) FROM pgenvelope.rewrap_job)
END

	if ($method eq 'update')
	{
		is("$moved $in_place", "$rows 0", "$what: each value was moved once");
	}
	else
	{
		cmp_ok($moved, '<=', $rows, "$what: none was counted twice");
		cmp_ok($in_place, '>', 0, "$what: it was done in place");
	}
	is($failed, 0, "$what: none failed");
	is(query(<<'END'), $rows, "$what: every value decrypts, and has moved");
SELECT count(*) FROM value
WHERE env_decrypt(v, '{"tenant": "acme"}') = plain
    AND env_key_version(v) = (SELECT max(version) FROM pgenvelope.keys)
END
	is(query(<<'END'), 't|t', "$what: rows and proof are right");
SELECT (SELECT count(*) FROM value) = (SELECT max(id) FROM value),
    (SELECT count(*) FROM pgenvelope.key_proof)
        = (SELECT count(*) - 1 FROM pgenvelope.keys)
END
	return;
}

for my $method (qw(update inplace))
{
	query("SELECT pgenvelope.set_rewrap_method('value', '$method')");
	for my $round (1 .. ($ENV{PGENVELOPE_SOAK} || 1))
	{
		for my $what (sort keys %crashes)
		{
			next if $what =~ /page/ && $method eq 'update';
			$log_end = -s $node->logfile;
			$crashes{$what}->();
			wait_for_jobs($node, 'postgres');
			is_whole($method, "$what ($method, $round)");
		}
	}
	$node->command_ok(
		[
			'pg_amcheck', '--database', 'postgres', '--table', 'value',
			'--heapallindexed'
		],
		"$method: pg_amcheck finds nothing");
}

# ---------------------------------------------------------------------------
# No version without its row
# ---------------------------------------------------------------------------

my $versions = query('SELECT count(*) FROM pgenvelope.keys');

$log_end = -s $node->logfile;
set_point($node, 'version', 'abort');
$node->psql('postgres', "SELECT pgenvelope.rotate_key('one')");
wait_for_restart(6);
is(query('SELECT count(*) FROM pgenvelope.keys'),
	$versions, 'abort after the seal: no version was made');
query("SELECT pgenvelope.rotate_key('one')");
wait_for_jobs($node, 'postgres');
is_whole('inplace', 'abort after the seal');

$node->stop;
command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ],
	'checksums are right');
done_testing();
