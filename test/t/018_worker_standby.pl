# 018_worker_standby.pl: rewrap jobs and standbys.
#
# A standby that does not keep up holds a job up, which says so, and goes on
# when the standby does.  A standby has no launcher; promoted in the middle of
# a job it has one, and the job is completed there.
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

my $key_bytes = random_bytes(32);
my $node = new_node(
	'primary',
	providers => 'main=file://' . new_key_file($key_bytes),
	init => { allows_streaming => 1 },
	conf => <<'END');
pgenvelope.rewrap_naptime = 200ms
pgenvelope.rewrap_rate = 0
pgenvelope.rewrap_batch_blocks = 1
pgenvelope.rewrap_max_lag = 0
pgenvelope.rewrap_max_lag_bytes = 128kB
END

new_values($node, 'postgres', 'one', 20000);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
my $standby_key = new_key_file($key_bytes);
$standby->append_conf('postgresql.conf',
	"pgenvelope.providers = 'main=file://$standby_key'\n");
$standby->start;
$node->wait_for_catchup($standby);

my $all = <<'END';
SELECT count(*) FROM value
WHERE env_decrypt(v, '{"tenant": "acme"}') = plain AND env_key_version(v) =
END
my $last_job = 'SELECT %s FROM pgenvelope.rewrap_job ORDER BY job_id DESC LIMIT 1';

$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('one')");
$node->poll_query_until('postgres',
	sprintf($last_job, q(coalesce(message = 'waits for standby "standby"', false))))
  or die 'the job does not wait';
$node->poll_query_until('postgres', <<'END') or die 'nobody waits';
SELECT count(*) = 1 FROM pgenvelope.rewrap_activity()
WHERE job_id IS NOT NULL AND phase = 'waiting for a standby'
END
pass('a job waits for a standby that lags behind');
is($node->safe_psql('postgres',
		sprintf($last_job, q(state IN ('waiting', 'running')))),
	't', 'and is not over');
cmp_ok(counter($node, 'rewrap_lag_waits'), '>', 0, 'which is counted');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_for_jobs($node, 'postgres');
is($node->safe_psql('postgres', "$all 2"), '20000', 'it goes on when the standby does');

is(counter($standby, 'coalesce(launcher_pid, 0)'), '0', 'a standby has no launcher');
hold_job($node, 'postgres', 'one');
$node->wait_for_catchup($standby);
$node->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', 'ALTER SYSTEM SET pgenvelope.rewrap_rate = 0');
$standby->reload;
wait_for_jobs($standby, 'postgres');
is($standby->safe_psql('postgres', "$all 3"),
	'20000', 'promoted, it completes the job');
done_testing();
