# 002_cache.pl: how long an unsealed key lives.
#
# Refresh ahead of the soft limit while in use, no memory of what is not in
# use, grace while the provider is down, the end of grace in every backend,
# failures remembered for seconds, the circuit breaker, pgenvelope.evict_key, and more
# keys than the cache holds.  All of it on the clock of pgenvelope, which the
# test moves; the settings are key_cache_ttl 300 s and key_cache_grace 3600 s.
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

my $double = new_double('kms');
my $node = new_node(
	'main',
	providers =>
	  "kms=${\ $double->uri }, main=file://${\ new_key_file() }",
	conf => <<'END');
pgenvelope.key_cache_size = 16
pgenvelope.key_cache_ttl = 300s
pgenvelope.key_cache_grace = 3600s
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
CALL add('other', 'kms');
CALL add('file', 'main');
END
my $holder = session($node);

# Runs a statement many times, moving the clock in between.
sub repeat
{
	my ($times, $sql, $seconds) = @_;
	my $ms = 1000 * $seconds;

	$node->psql('postgres',
		"$sql; SELECT pgenvelope_test_advance_clock($ms);" x $times,
		on_error_stop => 0,
		stdout => \my $out,
		stderr => \my $err);
	return;
}

# Forgets everything, with the provider in order.
sub begin
{
	$double->behave('ok');
	$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
	return;
}

sub opens
{
	my ($test, $key) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$key //= 'one';
	is($node->safe_psql('postgres', "SELECT opened('$key')"),
		"plain of $key", $test);
	return;
}

sub holder_opens
{
	my ($test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($holder->value("SELECT opened('one')"), 'plain of one', $test);
	return;
}

sub poll_counter
{
	my ($expression, $value, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $node->poll_query_until(
			'postgres', "SELECT $expression FROM pgenvelope.stat", $value),
		$test);
	return;
}

# ---------------------------------------------------------------------------
# In use, and not in use
# ---------------------------------------------------------------------------

begin();
holder_opens('a key is opened');
my $calls = $double->calls('unseal');
my $misses = counter($node, 'misses');
my $refreshes = counter($node, 'refreshes');

# Jitter makes it due after 270 to 300 seconds.
advance_clock($node, 200);
holder_opens('opened again after 200 s');
is($double->calls('unseal'), $calls, 'without a call');
advance_clock($node, 101);
poll_counter('refreshes', $refreshes + 1, 'refreshed after 301 s');
$double->wait_for_call('unseal', $calls + 1);
is($double->calls('unseal'), $calls + 1, 'with one call');
opens('opened in another session');
is(counter($node, 'misses'), $misses, 'and nobody had to wait for it');

advance_clock($node, 1);
poll_counter('cached_keys', 1, 'a key in use stays');
advance_clock($node, 602);
poll_counter('cached_keys', 0, 'a key that nobody uses goes');
is($double->calls('unseal'), $calls + 1, 'without a call');
all_wiped($node, 'a key that is not in use');
holder_opens('a session that held it asks again');
is($double->calls('unseal'), $calls + 2, 'with a call');

# ---------------------------------------------------------------------------
# The provider is down
# ---------------------------------------------------------------------------

begin();
holder_opens('a key is opened before its provider fails');
$double->behave('fail unavailable gone fishing');
$calls = $double->calls('unseal');
my $failed = counter($node, 'failed_unavailable');

# 3900 seconds, the jitter included, less than one step short of the end.
my $age = 15 * 250;
repeat(15, "SELECT opened('one')", 250);
holder_opens("served $age s after it was unsealed, by a session that held it");
opens('and by one that did not');
cmp_ok(counter($node, 'failed_unavailable'),
	'>', $failed, 'although refreshing it has failed');
cmp_ok($double->calls('unseal') - $calls, '<=', 60,
	'not at every moment');
advance_clock($node, 3901 - $age);
my ($out, $sqlstate, $message) = $holder->run("SELECT opened('one')");
is($sqlstate, 'PE002', 'past its hard limit the session that held it fails');
unlike($message, qr/fishing/, 'and is not told the provider\'s own words');
like(slurp_file($node->logfile), qr/gone fishing/, 'which the log has');
is_sqlstate($node, "SELECT opened('one')",
	'PE002', 'and so does any other session');
is_sqlstate(
	$node, q(SELECT env_encrypt('x', '{"tenant": "acme"}', 'one')),
	'PE002', 'nor is anything encrypted');
poll_counter('cached_keys', 0, 'the key has gone');
all_wiped($node, 'past the hard limit');
opens('another provider\'s key is there', 'file');

$double->behave('ok');
advance_clock($node, 60);
holder_opens('it comes back by itself');
opens('for everybody');

# A backend heeds the hard limit by itself, even while the keeper stands
# still.
$node->safe_psql('postgres', "SELECT opened('one')");
set_point($node, 'loop', 'hang');
advance_clock($node, 3901);
is($holder->sqlstate("SET pgenvelope.key_timeout = '300ms';"
		  . "SELECT opened('one')"),
	'PE002',
	'past the hard limit, with no keeper to drop it, it does not open');
set_point($node, 'loop', 'pass');
holder_opens('it opens when the keeper is back');

# ---------------------------------------------------------------------------
# Failures are remembered, for seconds
# ---------------------------------------------------------------------------

begin();
$double->behave('denied');
$calls = $double->calls('unseal');
is_sqlstate($node, "SELECT opened('one')", 'PE006', 'denied');
is_sqlstate($node, "SELECT opened('one')", 'PE006', 'denied again');
is($double->calls('unseal'), $calls + 1, 'with one call');
$double->behave('ok');
is_sqlstate($node, "SELECT opened('one')",
	'PE006', 'denied for a moment, although allowed by now');
opens('another key of the provider is not concerned', 'other');
is($double->calls('unseal'), $calls + 2, 'the provider was asked for it');
advance_clock($node, 3);
opens('three seconds later it opens');
is($double->calls('unseal'), $calls + 3, 'with one call');

# What was denied does not stop the provider from being asked, however often.
begin();
$double->behave('denied');
$calls = $double->calls('unseal');
repeat(8, "SELECT opened('one')", 3);
is($double->calls('unseal'), $calls + 8, 'denials do not open the circuit');

# ---------------------------------------------------------------------------
# The circuit breaker
# ---------------------------------------------------------------------------

begin();
$double->behave('fail unavailable');
$calls = $double->calls('unseal');

# Five failures open it, for 1 s, 2 s, 4 s, ...: longer than the failures
# themselves are remembered from the seventh on.
for (1 .. 7)
{
	is_sqlstate($node, "SELECT opened('one')",
		'PE002', "failure $_ of the provider");
	advance_clock($node, 2.5);
}
is($double->calls('unseal'), $calls + 7, 'each asked the provider');
is_sqlstate($node, "SELECT opened('one')", 'PE002', 'the circuit is open');
$message =
  is_sqlstate($node, "SELECT opened('other')", 'PE002', 'for another key too');
like($message, qr/left alone/, 'and the message says so');
is($double->calls('unseal'), $calls + 7, 'the provider is left alone');
opens('another provider is not', 'file');

$double->behave('ok');
advance_clock($node, 2.5);
opens('when the pause is over one call is tried');
is($double->calls('unseal'), $calls + 8, 'which succeeds');
opens('and the circuit is closed', 'other');
is($double->calls('unseal'), $calls + 9, 'with a call');

# The pause grows to half a minute, not further.
begin();
$double->behave('fail throttled slow down');
$calls = $double->calls('unseal');
repeat(60, "SELECT opened('one')", 10);
my $made = $double->calls('unseal') - $calls;
cmp_ok($made, '>=', 20, "in 600 s it was asked now and then ($made times)");
cmp_ok($made, '<=', 28, 'and not at every request');
$double->behave('ok');
advance_clock($node, 31);
opens('it opens when the provider is back');

# ---------------------------------------------------------------------------
# pgenvelope.evict_key
# ---------------------------------------------------------------------------

begin();
holder_opens('a key is opened');
opens('and another', 'other');
opens('and one of another provider', 'file');
$calls = $double->calls('unseal');
is($node->safe_psql('postgres', "SELECT pgenvelope.evict_key('one')"),
	'1', 'a key is evicted');
is(counter($node, 'cached_keys'), '2', 'the others stay');
all_wiped($node, 'eviction of one key');
holder_opens('a session that held it opens it');
is($double->calls('unseal'), $calls + 1, 'with a call');
is($node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()'),
	'3', 'all keys are evicted');
is(counter($node, 'cached_keys'), '0', 'none stays');
all_wiped($node, 'eviction of all keys');
is_sqlstate($node, "SELECT pgenvelope.evict_key('nonesuch')",
	'PE001', 'no such key to evict');

# Of this database only.
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second',
	'CREATE EXTENSION pgenvelope; CREATE EXTENSION pgenvelope_test');
opens('a key of this database');
is($node->safe_psql('second', 'SELECT pgenvelope.evict_key()'),
	'0', 'eviction in another database');
is(counter($node, 'cached_keys'), '1', 'leaves it');

# An eviction also ends what is remembered of a failure.
begin();
$double->behave('denied');
is_sqlstate($node, "SELECT opened('one')", 'PE006', 'denied');
$double->behave('ok');
$node->safe_psql('postgres', "SELECT pgenvelope.evict_key('one')");
opens('allowed at once after an eviction');

# ---------------------------------------------------------------------------
# More keys than the cache holds (16)
# ---------------------------------------------------------------------------

begin();
$node->safe_psql('postgres',
	join(';', map { "CALL add('k$_', 'main')" } 1 .. 40));
is( $node->safe_psql(
		'postgres', q(SELECT count(*) FROM value
		WHERE key LIKE 'k%' AND opened(key) = 'plain of ' || key)),
	'40',
	'forty keys open with room for sixteen');
cmp_ok(counter($node, 'cached_keys'), '<=', 16, 'no more are cached');
cmp_ok(counter($node, 'evictions'), '>=', 24, 'others were evicted');
is( $node->safe_psql(
		'postgres', q(SELECT count(*) FROM value, generate_series(1, 5)
		WHERE key LIKE 'k%' AND opened(key) = 'plain of ' || key)),
	'200',
	'and again and again');

# The one that was not used for longest goes.
begin();
opens('a key is opened', 'k1');
my $unseals = counter($node, 'unseal_calls');
$node->safe_psql(
	'postgres',
	join(';',
		map { "SELECT pgenvelope_test_advance_clock(1000);"
			  . "SELECT opened('k1'), opened('k$_')" } 2 .. 31));
is(counter($node, 'unseal_calls'),
	$unseals + 30, 'a key in use is not evicted for others');
all_wiped($node, 'a full cache');

# One database does not press another's keys out, nor does a change to its
# keys make the other's sessions ask for theirs again.
begin();
is( $node->safe_psql(
		'postgres', q(SELECT count(*) FROM value
		WHERE key IN ('k1', 'k2', 'k3', 'k4') AND opened(key) > '')),
	4,
	'four keys of one database');
$node->safe_psql(
	'second',
	join(';',
		map { "SELECT pgenvelope_test_advance_clock(1000);"
			  . "SELECT pgenvelope.create_key('s$_', 'main', '{}');"
			  . "SELECT env_encrypt('x', '{}', 's$_')" } 1 .. 40));
is(counter($node, 'cached_keys'), 16, 'forty of another fill the cache');
$unseals = counter($node, 'unseal_calls');
is( $node->safe_psql(
		'postgres', q(SELECT count(*) FROM value
		WHERE key IN ('k1', 'k2', 'k3', 'k4') AND opened(key) > '')),
	4,
	'the four open');
is(counter($node, 'unseal_calls'), $unseals, 'and were there all the time');
is( $node->safe_psql(
		'postgres', q(SELECT count(*) FROM value
		WHERE key LIKE 'k_' AND opened(key) > '')),
	9,
	'nine keys of the first');
is(counter($node, 'unseal_calls'), $unseals + 5, 'take the place of others');

$holder->value("SELECT opened('one')");
$node->safe_psql(
	'postgres',
	join(';',
		map { "SELECT pgenvelope_test_advance_clock(1000);"
			  . "SELECT opened('k$_')" } 1 .. 40));
$unseals = counter($node, 'unseal_calls');
$node->safe_psql('second', "SELECT pgenvelope.rotate_key('s1'); SELECT pgenvelope.evict_key()");
holder_opens('a session opens with the key that it holds');
is(counter($node, 'unseal_calls') - $unseals,
	1, 'without a call but that of the rotation in the other database');
$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('k1')");
holder_opens('a change in its own database');
is(counter($node, 'unseal_calls') - $unseals,
	3, 'makes it ask again');

# A full cache of keys that are being waited for: the next one waits its turn.
begin();
$node->safe_psql('postgres',
	join(';', map { "CALL add('h$_', 'kms')" } 1 .. 17));
begin();
set_point($node, 'loop', 'hang');
my @waiting = map { session($node) } 1 .. 17;
$waiting[ $_ - 1 ]->start("SELECT opened('h$_')") for 1 .. 17;
$node->poll_query_until('postgres',
	q(SELECT count(*) = 17 FROM pg_stat_activity
	  WHERE wait_event_type IN ('Extension', 'IPC') AND query LIKE 'SELECT opened%'));
set_point($node, 'loop', 'pass');
is_deeply(
	[ map { ($_->finish)[0] } @waiting ],
	[ map { "plain of h$_" } 1 .. 17 ],
	'seventeen keys at once with room for sixteen');
$_->quit for @waiting;
all_wiped($node, 'at the end');

$holder->quit;
done_testing();
