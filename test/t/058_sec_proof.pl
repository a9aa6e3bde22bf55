# 058_sec_proof.pl: what would have a proof say that no value needs a version,
# while one does.
#
# Values leave for other tables while the scan is on its way; constants are
# looked for with a setting of old; values come back out of a place that the
# proof passed over; forged values are so many that the scan would not end.
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

$PgEnvelope::rewrap_workers = 0;

my $node = new_node('main');

# A new key with one value of its version 1, which is not the active one.
sub old_value
{
	my ($key) = @_;

	return $node->safe_psql('postgres', <<"END");
\\o /dev/null
SELECT pgenvelope.create_key('$key', required_context => '{}');
\\o
SELECT env_encrypt('secret', '{}', '$key') AS old \\gset
\\o /dev/null
SELECT pgenvelope.rotate_key('$key', rewrap => false);
\\o
SELECT :'old';
END
}

sub file_job
{
	my ($key) = @_;

	return $node->safe_psql('postgres', "SELECT pgenvelope.start_rewrap('$key')");
}

# Does steps until one answers so; returns the last one's answer.
sub steps_until
{
	my ($session, $job, $pattern) = @_;

	my $answer;

	wait_until(
		sub {
			$answer = $session->value(
				"SELECT step, state, phase FROM pgenvelope.step_rewrap($job)");
			return $answer =~ $pattern;
		},
		"job $job comes to $pattern");
	return $answer;
}

sub count_proofs
{
	my ($job) = @_;

	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pgenvelope.key_proof WHERE job_id = $job");
}

my $stepper = session($node);
my $holder = session($node);
my $mover = session($node);

# ---------------------------------------------------------------------------
# Values that leave while others are counted
# ---------------------------------------------------------------------------

# What moves the value out of table "leaving"; the first table is held
# meanwhile, so that the scan has its snapshot and has not come to this one.
my %ways = (
	'with a table that is dropped' => <<'END',
CREATE TABLE arrived AS SELECT v FROM leaving;
DROP TABLE leaving;
END
	'with a column that is dropped' => <<'END',
ALTER TABLE leaving ADD arrived envelope;
UPDATE leaving SET arrived = v;
ALTER TABLE leaving DROP v;
END
	'with a column that takes the name of the dropped one' => <<'END',
ALTER TABLE leaving ADD arrived envelope;
UPDATE leaving SET arrived = v;
ALTER TABLE leaving DROP v;
ALTER TABLE leaving ADD v envelope;
END
);

foreach my $way (sort keys %ways)
{
	my $key = 'key' . length $way;
	my $old = old_value($key);
	my $job;

	$node->safe_psql('postgres', <<'END');
CREATE TABLE a_first (v envelope);
CREATE TABLE leaving (v envelope);
END
	$job = file_job($key);
	steps_until($stepper, $job, qr/\|proving\|/);

	# Of a transaction that began after the job had looked for others.
	$node->safe_psql('postgres', "INSERT INTO leaving VALUES ('$old')");
	$holder->value('BEGIN; LOCK TABLE a_first IN ACCESS EXCLUSIVE MODE');
	$stepper->start("SELECT step, state FROM pgenvelope.step_rewrap($job)");
	$node->poll_query_until('postgres', <<'END') or die 'no scan';
SELECT count(*) = 1 FROM pg_locks
WHERE relation = 'a_first'::regclass AND NOT granted
END
	$mover->value("BEGIN; $ways{$way} COMMIT");
	$holder->value('COMMIT');
	$stepper->finish;
	is(count_proofs($job), '0', "no proof where values leave $way");
	steps_until($stepper, $job, qr/^over/);
	is($node->safe_psql('postgres', <<"END"), '0', 'the next one is right');
SELECT count(*) FROM pgenvelope.take_census() WHERE key = '$key' AND version = 1
END
	is(count_proofs($job), '1', 'and there is one in the end');
	$node->safe_psql('postgres',
		'DROP TABLE a_first; DROP TABLE IF EXISTS leaving, arrived');
}

# ---------------------------------------------------------------------------
# Constants, and a setting of old
# ---------------------------------------------------------------------------

my $old = old_value('constant');
my $job = file_job('constant');
my $session = session($node);

$node->safe_psql('postgres',
	"CREATE TABLE constant (v envelope DEFAULT '$old')");
$session->value(
	'SET escape_string_warning = off; SET standard_conforming_strings = off');
steps_until($session, $job, qr/^over/);
is( $node->safe_psql('postgres', <<"END"),
SELECT count(*) FROM pgenvelope.rewrap_progress
WHERE job_id = $job AND relation_state = 'uncovered'
END
	'1',
	'a constant is found whatever standard_conforming_strings is');
is($session->sqlstate("SELECT pgenvelope.retire_key('constant', 1)"),
	'55000', 'and its version is not retired');
$node->safe_psql('postgres', 'DROP TABLE constant');

# ---------------------------------------------------------------------------
# What was passed over, and is no longer there
# ---------------------------------------------------------------------------

$old = old_value('array');
$node->safe_psql('postgres', <<"END");
CREATE TABLE boxed (v envelope[]);
INSERT INTO boxed VALUES (ARRAY['$old'::envelope]);
END
$job = file_job('array');
steps_until($stepper, $job, qr/^over/);
$node->safe_psql('postgres', <<'END');
CREATE TABLE unboxed AS SELECT unnest(v) AS v FROM boxed;
DROP TABLE boxed;
END
like(
	is_sqlstate($node, "SELECT pgenvelope.retire_key('array', 1)",
		'55000', 'values came out of a place that the proof passed over'),
	qr/not covered then/,
	'as the error says');
$job = file_job('array');
steps_until($stepper, $job, qr/^over/);
$node->safe_psql('postgres', "SELECT pgenvelope.retire_key('array', 1)");
is($node->safe_psql('postgres', q(SELECT env_decrypt(v, '{}') FROM unboxed)),
	'secret', 'after another proof it is retired');
$node->safe_psql('postgres', 'DROP TABLE unboxed');

# ---------------------------------------------------------------------------
# Forged values
# ---------------------------------------------------------------------------

# Each of another key, or each of another version of this key; of no use to
# anybody, but they are to be counted.
$old = old_value('forged');
$node->safe_psql('postgres', <<"END");
CREATE FUNCTION forge(at integer, bytes bytea) RETURNS envelope
LANGUAGE sql AS \$\$
    SELECT ('env1.' || translate(encode(overlay(envelope_send('$old')
        PLACING bytes FROM at + 1), 'base64'), E'+/=\\n', '-_'))::envelope
\$\$;
CREATE TABLE forged (v envelope);
INSERT INTO forged
SELECT forge(4, decode(lpad(to_hex(n), 12, '0'), 'hex'))
FROM generate_series(1, 150000) AS n;
END
my $count = $node->safe_psql('postgres', <<'END', timeout => 60);
SELECT sum(count) FROM pgenvelope.take_census()
WHERE relation = 'forged'::regclass
END
is($count, '150000', 'as many forged values are counted soon');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM pgenvelope.take_census()'),
	'<', 100_000, 'and do not all have a row of their own');
$node->safe_psql('postgres', 'TRUNCATE forged');
$node->safe_psql('postgres', <<"END");
INSERT INTO forged SELECT forge(2, decode(lpad(to_hex(n), 4, '0'), 'hex'))
FROM generate_series(3, 2000) AS n;
INSERT INTO forged VALUES ('$old');
END
$job = file_job('forged');
is(steps_until($stepper, $job, qr/^over/),
	'over|paused|rewrapping', 'too many values that fail pause the job');
cmp_ok(
	$node->safe_psql('postgres',
		"SELECT count(*) FROM pgenvelope.rewrap_failure WHERE job_id = $job"),
	'<=', 1001, 'and the queue has no more than that');
is(count_proofs($job), '0', 'without a proof');

# ---------------------------------------------------------------------------
# What is said of tables that a dump does not have
# ---------------------------------------------------------------------------

is_sqlstate($node, $_, '0A000', "not of a temporary table: $_")
  foreach map { "CREATE TEMPORARY TABLE brief (v envelope); SELECT $_" }
  q(pgenvelope.set_rewrap_method('brief', 'inplace')), q(pgenvelope.set_rewrap_context('brief', 'v'));

$_->quit foreach $stepper, $holder, $mover, $session;
done_testing();
