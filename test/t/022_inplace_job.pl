# 022_inplace_job.pl: a job in place is killed in the middle of its batches,
# with SIGKILL, and goes on after recovery; then its server is gone, and the
# standby that is promoted takes it to its end.  Nothing is lost, every value
# opens, heap and checksums are sound.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $kills = $ENV{PGENVELOPE_SOAK} ? 20 : 2;
my $primary = new_node(
	'primary',
	init => { allows_streaming => 1, extra => ['--data-checksums'] },
	conf => <<'END');
restart_after_crash = on
pgenvelope.rewrap_workers = 0
pgenvelope.rewrap_rate = 0
pgenvelope.rewrap_batch_blocks = 1
END

$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', <<'SQL');
CREATE EXTENSION amcheck;
SELECT pgenvelope.create_key('k', required_context => '{}');
CREATE TABLE t (id int, value envelope);
INSERT INTO t SELECT i, env_encrypt('plain ' || i, '{"id": 1}', 'k')
FROM generate_series(1, 40000) AS i;
SELECT pgenvelope.set_rewrap_method('t', 'inplace');

CREATE PROCEDURE run_job(job bigint, steps int) LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR i IN 1 .. steps LOOP
        SELECT * INTO one FROM pgenvelope.step_rewrap(job);
        COMMIT;
        EXIT WHEN one.step = 'over' OR one.state = 'proving';
    END LOOP;
END
$$;
SQL

# The job's own counts, of values that were written in place.
sub written
{
	my ($node, $job) = @_;

	return $node->safe_psql('postgres',
		"SELECT COALESCE(sum(in_place), 0) FROM pgenvelope.rewrap_progress WHERE job_id = $job"
	);
}

sub is_sound
{
	my ($node, $what) = @_;

	is( $node->safe_psql(
			'postgres',
			'SELECT count(*) FROM t'
			  . q( WHERE env_decrypt(value, '{"id": 1}') = 'plain ' || id)),
		'40000',
		"$what: every value opens");
	is($node->safe_psql('postgres', q(SELECT count(*) FROM verify_heapam('t'))),
		'0', "$what: the heap is sound");
	return;
}

# A job takes a fraction of a second.  So each begins with some steps, then is
# held behind the first page of one: there the odd ones are killed, while the
# even ones go on for a few milliseconds more, wherever that is.
my $job;
my $in_the_middle = 0;

for my $kill (1 .. $kills)
{
	$primary->safe_psql('postgres',
		q(SELECT pgenvelope.rotate_key('k', rewrap => false)));
	$job = $primary->safe_psql('postgres', q(SELECT pgenvelope.start_rewrap('k')));
	$primary->safe_psql('postgres', "CALL run_job($job, 3 * ($kill % 10))");

	my $session = session($primary);
	my $lever = session($primary);
	$lever->value(q(SELECT pgenvelope_test_point('page', 'hang')));
	$session->start("CALL run_job($job, 100000)");
	my $moved = written($primary, $job);
	wait_until(
		sub {
			$lever->value('SELECT count(*) FROM t WHERE env_key_version(value) > '
				  . $kill) > $moved;
		},
		'the job is held behind a page');
	if ($kill % 2 == 0)
	{
		$lever->value(q(SELECT pgenvelope_test_point('page', 'pass')));
		usleep(rand(10_000));
	}
	kill_process($session->pid);
	$session->quit;
	$lever->quit;
	$primary->poll_query_until('postgres', 'SELECT true')
	  or die 'the server did not come back';
	my $before = written($primary, $job);
	note("kill $kill: after $before");
	$in_the_middle++ if $before < 40000;
	is_sound($primary, "kill $kill");
	$primary->safe_psql('postgres', "CALL run_job($job, 100000)");
	is( $primary->safe_psql('postgres',
			'SELECT env_key_version(value), count(*) FROM t GROUP BY 1'),
		($kill + 1) . '|40000',
		"kill $kill: the job goes on to its end");
}
cmp_ok($in_the_middle, '>=', $kills / 2, 'kills in the middle of a job');

# ---------------------------------------------------------------------------
# The standby takes over
# ---------------------------------------------------------------------------

$primary->safe_psql('postgres',
	q(SELECT pgenvelope.rotate_key('k', rewrap => false)));
$job = $primary->safe_psql('postgres', q(SELECT pgenvelope.start_rewrap('k')));
$primary->safe_psql('postgres', "CALL run_job($job, 20)");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
my $moved = written($primary, $job);
cmp_ok($moved, '>', 0, 'the job has begun');
cmp_ok($moved, '<', 40000, 'and not ended');
$primary->stop('immediate');
$standby->promote;
is(written($standby, $job), $moved, 'the standby knows how far it was');
is_sound($standby, 'promoted');
$standby->safe_psql('postgres', "CALL run_job($job, 100000)");
is( $standby->safe_psql('postgres',
		'SELECT env_key_version(value), count(*) FROM t GROUP BY 1'),
	($kills + 2) . '|40000',
	'and takes it to its end');
is(written($standby, $job), '40000', 'each value was written once');
is_sound($standby, 'done');

$standby->stop;
command_ok([ 'pg_checksums', '--check', '-D', $standby->data_dir ],
	'checksums');

done_testing();
