# 014_life.pl: the life of key versions through restarts, backups, crashes and
# on standbys.
#
# A canary is rolled back across a restart; a key is rotated while a base
# backup runs, and the backup opens every value; what is killed between seal,
# commit and first write leaves no value of a version that is not durable; a
# standby that is behind the proof keeps a version from being retired; keys
# are rotated when their time has come.
#
# PGENVELOPE_SOAK: rounds of kills, instead of 3.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run ();
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

$PgEnvelope::rewrap_workers = 0;

my $rounds = $ENV{PGENVELOPE_SOAK} || 3;
my $key_bytes = random_bytes(32);
my $node = new_node(
	'main',
	providers => 'main=file://' . new_key_file($key_bytes),
	init => { allows_streaming => 1 },
	conf => "restart_after_crash = on\n");

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('one', required_context => '{}');
CREATE TABLE value (id bigint GENERATED ALWAYS AS IDENTITY, v envelope);
CREATE PROCEDURE put(count integer) LANGUAGE sql AS $$
INSERT INTO value (v) SELECT env_encrypt('plain', '{}', 'one')
FROM generate_series(1, count) $$;
CREATE PROCEDURE put_for_ever() LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        INSERT INTO value (v) VALUES (env_encrypt('plain', '{}', 'one'));
        COMMIT;
    END LOOP;
END $$;
END

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# Values that do not open, and values of each version.
my $wrong = "SELECT count(*) FROM value WHERE env_verify(v, '{}') <> 'ok'";
my $versions = <<'END';
SELECT string_agg(version || ':' || count, ' ' ORDER BY version)
FROM (SELECT env_key_version(v) AS version, count(*) FROM value GROUP BY 1) x
END
my $states = <<'END';
SELECT string_agg(version || ':' || state, ' ' ORDER BY version)
FROM pgenvelope.keys WHERE name = 'one'
END

# ---------------------------------------------------------------------------
# A canary, rolled back across a restart
# ---------------------------------------------------------------------------

my $writer = session($node);

is(query("SELECT pgenvelope.rotate_key('one', 10)"), '2', 'a version on trial');
$writer->value('CALL put(1000)');
like($writer->value($versions), qr/^1:(89\d|90\d) 2:(9\d|10\d)$/,
	'gets its share in a session that is open');
$node->restart;
$writer->quit;
$writer = session($node);
is($writer->value($wrong), '0', 'every value opens after a restart');
$writer->value('CALL put(1000)');
like($writer->value($versions), qr/^1:1[78]\d\d 2:(19\d|20\d)$/,
	'the share goes on');
is(query("SELECT pgenvelope.rollback_key('one')"), '1', 'rolled back');
$writer->value('CALL put(100)');
like($writer->value($versions), qr/^1:1[89]\d\d 2:(19\d|20\d)$/,
	'an open session writes no more of it');
$node->restart('immediate');
is(query($wrong), '0', 'every value opens after a crash');
query('CALL put(100)');
like(query($versions), qr/^1:(19|20)\d\d 2:(19\d|20\d)$/,
	'and no more of it are written');
is(query($states), '1:active 2:deactivated', 'the states are durable');
is( query('SELECT target_version, state FROM pgenvelope.rewrap_job'),
	'1|waiting',
	'and so is the job that moves its values back');

# ---------------------------------------------------------------------------
# Rotated while a base backup runs
# ---------------------------------------------------------------------------

my $backup = $node->backup_dir . '/during';
my $running = IPC::Run::start(
	[
		'pg_basebackup', '-D', $backup, '-h', $node->host, '-p',
		$node->port, '--checkpoint', 'fast', '--no-sync', '--max-rate', '8M'
	],
	'2>', \my $stderr);
$node->poll_query_until('postgres',
	"SELECT count(*) > 0 FROM pg_stat_progress_basebackup
	 WHERE backup_streamed > 0")
  or die 'the backup does not begin';
is(query("SELECT pgenvelope.rotate_key('one')"), '3', 'rotated during a backup');
query('CALL put(100)');
is(query("SELECT pgenvelope.rotate_key('one', 100)"), '4', 'and once more');
query('CALL put(100)');
query("INSERT INTO pgenvelope.key_proof SELECT key_id, 1, clock_timestamp(),
	pg_current_wal_insert_lsn(), 1, 1 FROM pgenvelope.key");
is(query('SELECT count(*) FROM pg_stat_progress_basebackup'),
	'1', 'the backup still runs');
like(
	is_sqlstate($node, "SELECT pgenvelope.retire_key('one', 1)", '55000',
		'no version is retired that a backup in progress may need'),
	qr/A base backup, of ".*", is running/,
	'and it says so');
IPC::Run::finish($running) or die "pg_basebackup failed: $stderr";

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'during');
$restored->append_conf('postgresql.conf',
	"pgenvelope.providers = 'main=file://${\ new_key_file($key_bytes) }'\n");
$restored->start;
is($restored->safe_psql('postgres', $wrong),
	'0', 'the backup opens every value with the key file');
is($restored->safe_psql('postgres', $versions),
	query($versions), 'it has them all');
is($restored->safe_psql('postgres', $states),
	query($states), 'and every version');
$restored->stop;
query("SELECT pgenvelope.activate_key('one')");
query('DELETE FROM pgenvelope.key_proof');

# ---------------------------------------------------------------------------
# Killed between seal, commit and first write
# ---------------------------------------------------------------------------

# Each gets a session, and leaves the server to be killed.
my %stages = (
	'seal and commit' => sub {
		$_[0]->value("BEGIN; SELECT pgenvelope.rotate_key('one'); CALL put(1)");
	},
	'somewhere' => sub {
		$_[0]->start("SELECT pgenvelope.rotate_key('one')");
		usleep(rand(8_000));
	},
	'commit and first write' => sub {
		$_[0]->value("SELECT pgenvelope.rotate_key('one')");
	},
	'first write and the next' => sub {
		$_[0]->value("SELECT pgenvelope.rotate_key('one'); SET synchronous_commit = on; CALL put(1)");
	},
	'activation and first write' => sub {
		$_[0]->value("SELECT pgenvelope.rotate_key('one', 50); SELECT pgenvelope.activate_key('one')");
	});

sub kill_at
{
	my ($stage) = @_;
	my $killed = session($node);
	my $other = session($node);
	my $before = query('SELECT count(*) FROM pgenvelope.key_version');

	# Nothing of these is durable but what the rotation makes so.
	$_->value('SET synchronous_commit = off') for $killed, $other;
	$other->start('CALL put_for_ever()');
	$stages{$stage}->($killed);
	kill_process($killed->pid);
	$other->finish;
	$_->quit for $killed, $other;
	$node->poll_query_until('postgres', 'SELECT true')
	  or die 'the server does not come back';
	my $made =
	  query('SELECT count(*) FROM pgenvelope.key_version') - $before;
	is($made, $stage eq 'seal and commit' ? 0 : 1, "$stage: made $made")
	  unless $stage eq 'somewhere';
	is(query($wrong), '0', "killed between $stage: every value opens");
	query('CALL put(1)');
	return;
}

for my $round (1 .. $rounds)
{
	kill_at($_) for sort keys %stages;
}
is(query($wrong), '0', 'all values open in the end');

# ---------------------------------------------------------------------------
# A standby that is behind the proof
# ---------------------------------------------------------------------------

my $standby = PostgreSQL::Test::Cluster->new('standby');

$node->backup('base');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf',
	"pgenvelope.providers = 'main=file://${\ new_key_file($key_bytes) }'\n");
$standby->start;
$node->wait_for_catchup($standby);
is_sqlstate($standby, $_, '25006', "on a standby: $_")
  for "SELECT pgenvelope.activate_key('one')",
  "SELECT pgenvelope.rollback_key('one')",
  "SELECT pgenvelope.retire_key('one', 1)",
  "SELECT pgenvelope.restore_key('one', 1)",
  "SELECT pgenvelope.destroy_key('one', 1, 'one/1', true)",
  "SELECT pgenvelope.schedule_rotation('one', '1 day')",
  'SELECT pgenvelope.rotate_due_keys()';
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$standby->poll_query_until('postgres',
	"SELECT pg_get_wal_replay_pause_state() = 'paused'");
query('DELETE FROM value WHERE env_key_version(v) = 1');
query("INSERT INTO pgenvelope.key_proof SELECT key_id, 1, clock_timestamp(),
	pg_current_wal_insert_lsn(), 1, 1 FROM pgenvelope.key");
like(
	is_sqlstate($node, "SELECT pgenvelope.retire_key('one', 1)", '55000',
		'not retired while a standby is behind the proof'),
	qr/Standby "standby".* has replayed .*, the proof is of /,
	'which one it is');
is($standby->safe_psql('postgres', "SELECT count(*) > 0 FROM value
	WHERE env_key_version(v) = 1 AND env_verify(v, '{}') = 'ok'"),
	't', 'the standby still has values of it');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
query('SELECT pg_switch_wal()');
$node->wait_for_catchup($standby);
query("SELECT pgenvelope.retire_key('one', 1)");
like(slurp_file($node->logfile),
	qr/LOG:  version 1 of key "one" was retired by role/, 'it is logged');
my ($destroyed, $told, $warning) = $node->psql('postgres',
	"SELECT holder FROM pgenvelope.destroy_key('one', 1, 'one/1', true)");
like($told, qr/^standby$/m, 'what a standby holds is told');
like(slurp_file($node->logfile),
	qr/LOG:  version 1 of key "one" was destroyed, shredded, by role/,
	'destroying is logged');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT state, sealed_kek IS NULL
	FROM pgenvelope.key_version WHERE version = 1"),
	'destroyed|t', 'it is destroyed on the standby');
$standby->stop;

# ---------------------------------------------------------------------------
# Destroyed while a statement uses it
# ---------------------------------------------------------------------------

# It stops at an advisory lock after the first of three values.
query(<<'END');
SELECT pgenvelope.create_key('shredded', required_context => '{}');
CREATE TABLE shredded AS
SELECT i, env_encrypt('x', '{}', 'shredded') AS v FROM generate_series(1, 3) i;
END
my $holding = session($node);
my $reading = session($node);
$holding->value('SELECT pg_advisory_lock(1)');
$reading->start(<<'END');
SELECT string_agg(env_verify(v, '{}') || coalesce(stop, ''), ' ')
FROM (SELECT v, CASE i WHEN 2 THEN pg_advisory_lock_shared(1)::text END AS stop
      FROM shredded OFFSET 0) AS x
END
$node->poll_query_until('postgres',
	'SELECT count(*) = 1 FROM pg_locks WHERE NOT granted')
  or die 'the reader does not wait';
query("SELECT pgenvelope.destroy_key('shredded', NULL, 'shredded/all', true)");
$holding->value('SELECT pg_advisory_unlock(1)');
is(($reading->finish)[0], 'ok key_not_allowed key_not_allowed',
	'a statement under way uses it no longer');
query("SELECT pgenvelope.evict_key('one')");
is(query('SELECT octet_length(pgenvelope_test_held_keys())'),
	'0', 'nor is it in the cache');
all_wiped($node, 'destroyed');
$_->quit for $holding, $reading;

# ---------------------------------------------------------------------------
# By the calendar
# ---------------------------------------------------------------------------

my $count = "SELECT count(*) FROM pgenvelope.keys WHERE name = 'one'";
my $made = query($count);

query("UPDATE pgenvelope.rewrap_job SET state = 'cancelled'");
query("SELECT pgenvelope.schedule_rotation('one', '90 days')");
is(query('SELECT pgenvelope.rotate_due_keys()'), '0', 'no key is due');
my $later = <<'END';
UPDATE pgenvelope.key_version SET activated_at = activated_at - interval '91 days'
WHERE state = 'active'
END
query($later);
is(query('SELECT pgenvelope.rotate_due_keys()'), '1', 'one is due');
is(query($count), $made + 1, 'and has been rotated');
is(query('SELECT pgenvelope.rotate_due_keys()'), '0', 'once');
is( query("SELECT count(*) FROM pgenvelope.rewrap_job WHERE state = 'waiting'"),
	'1', 'with a job');
query($later);
is(query('SELECT pgenvelope.rotate_due_keys()'), '0', 'not while a job is at work');
query("UPDATE pgenvelope.rewrap_job SET state = 'cancelled'");
query("SELECT pgenvelope.rotate_key('one', 10)");
is(query('SELECT pgenvelope.rotate_due_keys()'), '0', 'nor while a version is on trial');
query("SELECT pgenvelope.rollback_key('one')");
query("UPDATE pgenvelope.rewrap_job SET state = 'cancelled'");

# One key's failure is told, and the others go on.
query(<<'END');
SELECT pgenvelope.create_key(k), pgenvelope.schedule_rotation(k, '1 day')
FROM (VALUES ('a'), ('z')) AS x (k);
UPDATE pgenvelope.key_version SET provider = 'nowhere'
WHERE key_id = (SELECT key_id FROM pgenvelope.key WHERE name = 'a');
END
query($later);
my ($result, $rotated, $warnings) =
  $node->psql('postgres', 'SELECT pgenvelope.rotate_due_keys()');
is($rotated, '2', 'two of three are rotated');
like($warnings, qr/WARNING:  could not rotate key "a", which is due/,
	'of the third it is told');
my $holder = session($node);
$holder->value("BEGIN; SELECT pgenvelope.grant_key('a', 'decrypt', 'pg_monitor')");
is(query('SELECT pgenvelope.rotate_due_keys()'),
	'0', 'a key that somebody is changing is left for the next time');
$holder->quit;
query("SELECT pgenvelope.schedule_rotation('one', NULL)");

$node->stop;

done_testing();
