# 004_cancel.pl: waiting for a key ends when it is told to, and only for the
# one who is told.
#
# statement_timeout, pg_cancel_backend, pg_terminate_backend, key_timeout and
# a client that goes away, all while a helper stands still (SIGSTOP).  The
# others wait on and get their answer when it goes on; whoever was cancelled
# can ask again.  The same for a key that is being created.
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

my $double = new_double('kms');
my $node = new_node(
	'main',
	providers =>
	  "kms=${\ $double->uri }, main=file://${\ new_key_file() }",
	conf => <<'END');
pgenvelope.provider_timeout = 120s
pgenvelope.key_timeout = 100s
END

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (key text PRIMARY KEY, v envelope);
CREATE FUNCTION opened(k text) RETURNS text LANGUAGE sql STABLE
AS $$SELECT env_decrypt(v, '{"tenant": "acme"}') FROM value WHERE key = k$$;
CREATE PROCEDURE add(k text, provider text) LANGUAGE sql AS $$
SELECT pgenvelope.create_key(k, provider, '{"tenant": null}');
INSERT INTO value
SELECT k, env_encrypt('plain of ' || k, '{"tenant": "acme"}', k);
$$;
CALL add('one', 'kms');
CALL add('main', 'main');
SELECT pgenvelope.evict_key();
END

my @sessions = map { session($node) } 1 .. 8;
my ($timed, $cancelled, $terminated, $late, $gone, $transaction, @patient) =
  @sessions;
my $unseals = $double->calls('unseal');
my $keeper = keeper_pid($node);

# Polls until so many sessions wait for the keeper.
sub wait_for_waiters
{
	my ($count, $query) = @_;

	$query //= q(%opened(''one'')%);
	$node->poll_query_until('postgres', <<"END")
SELECT count(*) = $count FROM pg_stat_activity
WHERE wait_event_type = 'Extension' AND query LIKE '$query'
END
	  or die "there are not $count sessions waiting";
	return;
}

# ---------------------------------------------------------------------------
# Waiting for a key
# ---------------------------------------------------------------------------

kill 'STOP', $double->pid;
$transaction->value('BEGIN');
$transaction->value('SAVEPOINT before');
$_->start("SELECT opened('one')")
  for $cancelled, $terminated, $gone, $transaction, @patient;
wait_for_waiters(6);
is(counter($node, 'unseal_calls'), 3,
	'many sessions wait for one call');

my $open = "SELECT opened('one')";
is($timed->sqlstate("SET statement_timeout = '100ms'; $open"),
	'57014', 'statement_timeout ends the wait');
is($late->sqlstate("SET pgenvelope.key_timeout = '100ms'; $open"),
	'PE002', 'pgenvelope.key_timeout ends the wait');
is($late->sqlstate("$open"), 'PE002', 'and ends it again');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($_)")
  for $cancelled->pid, $transaction->pid;
is(($cancelled->finish)[1], '57014', 'pg_cancel_backend ends the wait');
is(($transaction->finish)[1], '57014', 'and in a transaction');
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(${\ $terminated->pid })");
like(($terminated->finish)[1],
	qr/57P01|08006/, 'pg_terminate_backend ends the session');
is( $node->safe_psql(
		'postgres', "SELECT opened('main'), env_decrypt(env_encrypt('x',
		'{\"tenant\": \"acme\"}', 'main'), '{\"tenant\": \"acme\"}')"),
	'plain of main|x',
	'another provider answers meanwhile');
is($transaction->value("ROLLBACK TO before; SELECT opened('main'); COMMIT"),
	'plain of main', 'the transaction can go on');

ok((!grep { !$_->waiting } $gone, @patient), 'the others wait on');
$timed->start("RESET statement_timeout; $open");
wait_for_waiters(4);
kill 'CONT', $double->pid;
is(($_->finish)[0], 'plain of one', 'and get their answer')
  for $gone, $timed, @patient;
is($double->calls('unseal'), $unseals + 1, 'of the one call');
is($_->value('RESET ALL; ' . $open), 'plain of one', 'so does who asks again')
  for $late, $cancelled, $transaction;
is($double->calls('unseal'), $unseals + 1, 'without a call');
is(counter($node, 'failed_unavailable'),
	0, 'nothing was the provider\'s failure');
all_wiped($node, 'after waiting');

# Everybody gives up.  The call goes on, and its answer is there for others.
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
kill 'STOP', $double->pid;
is($timed->sqlstate("SET statement_timeout = '100ms'; $open"),
	'57014', 'the only one who waits gives up');
kill 'CONT', $double->pid;
$double->wait_for_call('unseal', $unseals + 2);
$node->poll_query_until('postgres',
	'SELECT cached_keys = 1 FROM pgenvelope.stat');
is($late->value($open), 'plain of one', 'the answer is kept');
is($double->calls('unseal'), $unseals + 2, 'and serves the next');

# An eviction during a call loses no waiter.
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
kill 'STOP', $double->pid;
$late->start($open);
wait_for_waiters(1);
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
kill 'CONT', $double->pid;
is(($late->finish)[0], 'plain of one', 'a waiter outlives an eviction');

# A client that goes away is noticed where the system can tell.
$gone->value("SET client_connection_check_interval = '100ms'");
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
kill 'STOP', $double->pid;
$gone->start($open);
wait_for_waiters(1);
$gone->{psql}{run}->kill_kill;
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ${\ $gone->pid }"
	),
	'a client that has gone is not waited for');
kill 'CONT', $double->pid;
is($late->value($open), 'plain of one', 'and the key is there');

# ---------------------------------------------------------------------------
# Creating a key
# ---------------------------------------------------------------------------

my $create = "SELECT pgenvelope.create_key('new', 'kms') > 0";
my $other = "SELECT pgenvelope.create_key('other', 'main') > 0";
my $seals = $double->calls('seal');

kill 'STOP', $double->pid;
is($timed->sqlstate("SET statement_timeout = '100ms'; $create"),
	'57014', 'statement_timeout ends the creation of a key');
is($late->sqlstate("SET pgenvelope.key_timeout = '100ms'; $create"),
	'PE002', 'and so does pgenvelope.key_timeout');
$cancelled->start($create);
wait_for_waiters(1, '%pgenvelope.create_key%');
$late->start('RESET ALL; ' . $other);
is(($late->finish)[0], 't', 'another name does not wait for it');
$node->safe_psql('postgres',
	"SELECT pg_cancel_backend(${\ $cancelled->pid })");
is(($cancelled->finish)[1], '57014', 'a cancelled creation ends');
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM pgenvelope.key WHERE name = 'new'"),
	'0',
	'nothing was created');
kill 'CONT', $double->pid;

# The keeper has made three KEKs that nobody took.  They are let go.
$double->wait_for_call('seal', $seals + 3);
is($cancelled->value($create), 't', 'the key can be created');
is( $node->safe_psql(
		'postgres', q(SELECT env_decrypt(env_encrypt('x',
		'{"tenant": "a", "type": "b"}', 'new'),
		'{"tenant": "a", "type": "b"}'))),
	'x',
	'and used');
is(counter($node, 'cached_keys'), 6, 'KEKs that nobody took are there');
advance_clock($node, 301);
ok( $node->poll_query_until(
		'postgres', 'SELECT cached_keys = 0 FROM pgenvelope.stat'),
	'and go');
all_wiped($node, 'KEKs that nobody took');

is(keeper_pid($node), $keeper, 'one keeper has lived through all of this');
is($double->calls('start'), 1, 'with one helper');
$_->quit for @sessions;

# ---------------------------------------------------------------------------
# A plaintext in between
# ---------------------------------------------------------------------------

# Whether the memory of a process has a text; undef if it cannot be read.
sub memory_has
{
	my ($pid, $text) = @_;
	my $found = 0;
	no warnings 'portable';    # numbers of 64 bits

	open my $maps, '<', "/proc/$pid/maps" or return;
	open my $memory, '<:raw', "/proc/$pid/mem" or return;
	while (my $map = <$maps>)
	{
		my ($from, $to) = $map =~ /^([0-9a-f]+)-([0-9a-f]+) rw-p/ or next;

		sysseek $memory, hex $from, 0 or next;
		sysread $memory, my $bytes, hex($to) - hex($from) or next;
		$found ||= index($bytes, $text) >= 0;
	}
	return $found;
}

# It was never in a statement, but as the sum of its parts.
my $marker = 'Marker-' . unpack 'H*', random_bytes(6);
my @parts = $marker =~ /^(.{10})(.*)$/;
$node->safe_psql('postgres', <<"END");
SELECT pgenvelope.create_key('between', 'kms', '{"tenant": null}');
INSERT INTO value SELECT 'between',
	env_encrypt('$parts[0]' || '$parts[1]', '{"tenant": "acme"}', 'between');
SELECT pgenvelope.rotate_key('between', rewrap => false);
END
$node->restart;
is( $node->safe_psql('postgres', "SELECT opened('between')"),
	$marker, 'the value opens, and the key of the next version is not cached');
my $between = session($node);
kill 'STOP', $double->pid;
$between->start(q(SELECT env_reencrypt(v, '{"tenant": "acme"}') IS NULL)
	  . q( FROM value WHERE key = 'between'));
wait_for_waiters(1, '%env_reencrypt%');

SKIP:
{
	my $while = memory_has($between->pid, $marker);

	skip 'the memory of another process cannot be read', 2
	  if !defined $while;
	ok($while, 'it is in memory while the other key is waited for');
	$node->safe_psql('postgres',
		"SELECT pg_cancel_backend(${\ $between->pid })");
	is(($between->finish)[1], '57014', 'the wait can be cancelled');
	ok( !memory_has($between->pid, $marker),
		'and then it is in memory no more');
}
kill 'CONT', $double->pid;

# ---------------------------------------------------------------------------
# One act at a time is chained
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_audit_key('main');
SELECT pgenvelope.create_key('another', 'main', dual_control => true);
END
kill 'STOP', $double->pid;
$between->start("SELECT pgenvelope.rotate_key('between', rewrap => false)");
wait_for_waiters(1, '%pgenvelope.rotate_key%');
my $reseal = session($node);
$reseal->start('SELECT pgenvelope.reseal_keys() >= 0');
$node->poll_query_until('postgres', <<'END') or die 'it does not wait';
SELECT count(*) = 1 FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE '%pgenvelope.reseal_keys%'
END
kill 'CONT', $double->pid;
is(($between->finish)[0], '3', 'who has waited for a provider goes on');
is(($reseal->finish)[0], 't', 'and who files requests meanwhile, after that');
$_->quit for $between, $reseal;

done_testing();
