# 017_worker_crash.pl: whatever is killed, a rewrap job resumes where it was.
#
# kill -9 of the worker, the launcher and the postmaster at random points of a
# job, one of each, or PGENVELOPE_SOAK times as many (7 make 21).  Afterwards
# the job completes, every value decrypts, and the counters of the job add up:
# each value was moved once in what was committed.
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

my $rows = 4000;
my $node = new_node('main', conf => <<'END');
restart_after_crash = on
pgenvelope.rewrap_naptime = 200ms
pgenvelope.rewrap_rate = 0
pgenvelope.rewrap_batch_blocks = 1
END

new_values($node, 'postgres', 'one', $rows);

my %victim = (
	worker => sub { worker_pid($node, 'postgres') },
	launcher => sub { counter($node, 'launcher_pid') },
	postmaster => sub { 0 });

for my $round (1 .. ($ENV{PGENVELOPE_SOAK} || 1))
{
	for my $who (qw(worker launcher postmaster))
	{
		my $what = "$who killed ($round)";
		my $log_end = -s $node->logfile;

		$node->safe_psql('postgres', "SELECT env_rotate_key('one')");
		worker_pid($node, 'postgres');
		usleep(rand(100_000));
		if ($who eq 'postmaster')
		{
			my $pid = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

			$node->kill9;
			wait_until(sub { !kill 0, $pid }, 'the postmaster has gone');
			wait_until(
				sub {
					return 1 if $node->start(fail_ok => 1);
					$node->stop('fast', fail_ok => 1);
					return 0;
				},
				'the server starts');
		}
		else
		{
			kill 'KILL', $victim{$who}->();
			$node->wait_for_log(qr/was terminated by signal 9/, $log_end);
			$node->wait_for_log(qr/ready to accept connections/, $log_end);
		}
		wait_for_jobs($node, 'postgres');
		is( $node->safe_psql('postgres', <<'END'),
SELECT sum(rewrapped), sum(failed) FROM pgenvelope.rewrap_target
WHERE job_id = (SELECT max(job_id) FROM pgenvelope.rewrap_job)
END
			"$rows|0",
			"$what: each value was moved once");
		is( $node->safe_psql('postgres', <<'END'),
SELECT count(*) FROM value
WHERE env_decrypt(v, '{"tenant": "acme"}') = plain
    AND env_key_version(v) = (SELECT max(version) FROM pgenvelope.keys)
END
			$rows,
			"$what: every value decrypts, and is of the new version");
	}
}
done_testing();
