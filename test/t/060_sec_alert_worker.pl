# 060_sec_alert_worker.pl: attacks on whoever writes locks and sends alerts.
#
# A thief opens honey and wants the lock to be forgotten with the next restart.
# Whoever administers a grant holds its row, so that its lock cannot be
# written; somebody stands in the way of all notifications; the owner of a
# database lets nobody in.  None of it keeps others' locks from being written,
# in the same database or in another one.
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
my $node = new_node('main', conf => <<'END');
wal_level = replica
max_wal_senders = 4
END

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE admin_a LOGIN;
CREATE ROLE mule LOGIN;
CREATE ROLE thief LOGIN;
CREATE ROLE thief2 LOGIN;
SELECT pgenvelope.create_key('a', required_context => '{}');
SELECT pgenvelope.create_key('b', required_context => '{}');
SELECT pgenvelope.grant_key('a', 'grant', 'admin_a');
GRANT EXECUTE ON FUNCTION pgenvelope.limit_grant TO admin_a;
SELECT pgenvelope.grant_key('a', 'decrypt', 'mule');
SELECT pgenvelope.grant_key('b', 'decrypt', 'thief');
SELECT pgenvelope.grant_key('b', 'decrypt', 'thief2');
CREATE TABLE value AS
    SELECT k, env_encrypt('x', '{}', k) AS v FROM unnest(ARRAY['a', 'b']) k;
GRANT SELECT ON value TO PUBLIC;
SELECT pgenvelope.mark_honey(v, '{}', true) FROM value;
SQL
my @databases = map { "tenant$_" } 1 .. 5;
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE postgres")
  foreach @databases;

sub steal
{
	my ($database, $role, $key) = @_;

	return $node->safe_psql($database,
		"SET ROLE $role; SELECT env_decrypt(v, '{}') FROM value WHERE k = '$key'");
}

# Whether the lock of a role is in the table, or soon will be.
sub is_written
{
	my ($database, $role, $what) = @_;
	my $count;

	eval {
		wait_until(
			sub {
				$count = $node->safe_psql($database, <<"SQL");
SELECT count(*) FROM pgenvelope.key_grant
WHERE grantee = '$role'::regrole AND locked_at IS NOT NULL
SQL
				return $count > 0;
			},
			$what, 10);
	};
	return is($count, '1', $what);
}

sub held_grant
{
	my ($database) = @_;
	my $admin = session($node, $database);

	$admin->value('SET SESSION AUTHORIZATION admin_a');
	$admin->value('BEGIN');
	$admin->value("SELECT pgenvelope.limit_grant('a', 'mule', per_minute => 1000)");
	steal($database, 'mule', 'a');
	return $admin;
}

# ---------------------------------------------------------------------------
# Somebody holds a grant's row
# ---------------------------------------------------------------------------

my $listener = session($node);
$listener->value('LISTEN pgenvelope_alert');
my $admin = held_grant('postgres');
steal('postgres', 'thief', 'b');
is_written('postgres', 'thief', 'another grant is held');
eval {
	wait_until(
		sub { $listener->value('SELECT 1') =~ /"role":"thief"/ },
		'notified', 10);
};
is($@, '', 'the notification arrives');
$admin->value('COMMIT');
is_written('postgres', 'mule', 'that one is written when it is let go');

# ---------------------------------------------------------------------------
# In as many databases as workers may be in, and in a further one
# ---------------------------------------------------------------------------

my @admins = map { held_grant($_) } @databases[ 0 .. 3 ];
steal($databases[4], 'thief', 'b');
is_written($databases[4], 'thief', 'grants of other databases are held');
$_->value('COMMIT') foreach @admins;
is_written($_, 'mule', "written in $_") foreach @databases[ 0 .. 3 ];

# ---------------------------------------------------------------------------
# A database that lets nobody in
# ---------------------------------------------------------------------------

my $inside = session($node, $databases[4]);
$node->safe_psql('postgres',
	"ALTER DATABASE $databases[4] ALLOW_CONNECTIONS false");
$inside->value('SET ROLE thief2');
$inside->value("SELECT env_decrypt(v, '{}') FROM value WHERE k = 'b'");
$inside->value('RESET ROLE');
my $count = '0';
eval {
	wait_until(
		sub {
			$count = $inside->value(<<'SQL');
SELECT count(*) FROM pgenvelope.key_grant
WHERE grantee = 'thief2'::regrole AND locked_at IS NOT NULL
SQL
			return $count > 0;
		},
		'written', 10);
};
is($count, '1', 'the database lets nobody in');

# ---------------------------------------------------------------------------
# Somebody notifies, and waits for a standby that does not come
# ---------------------------------------------------------------------------

set_setting($node, 'synchronous_standby_names', 'nobody');
my $notifier = session($node);
$notifier->value('SET ROLE mule');
my $notify = "BEGIN; SELECT pg_logical_emit_message(true, 'x', 'x'); NOTIFY x; COMMIT";
$notifier->start($notify);
wait_until(
	sub {
		$notifier->start($notify) unless $notifier->waiting;
		return $node->safe_psql('postgres', <<"SQL") eq 't';
SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = ${\$notifier->pid}
SQL
	},
	'somebody waits', 20);
steal('postgres', 'thief2', 'b');
is_written('postgres', 'thief2', 'nobody can notify');
set_setting($node, 'synchronous_standby_names', '');
$notifier->finish;

$node->stop;
done_testing();
