# 051_sec_revoked.pl: key_cache_grace is for a provider that does not answer.
# One that answers no has one TTL to think again; then it has taken the key
# back, from the cache and from every session.
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
	providers => "kms=${\ $double->uri }, main=file://${\ new_key_file() }",
	conf => <<'END');
pgenvelope.key_cache_size = 16
pgenvelope.key_cache_ttl = 300s
pgenvelope.key_cache_grace = 3600s
END

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (v envelope);
SELECT pgenvelope.create_key('one', 'kms', '{}');
INSERT INTO value SELECT env_encrypt('plain', '{}', 'one');
CREATE TABLE other AS SELECT pgenvelope.create_key('k' || i, 'main', '{}'), i
FROM generate_series(1, 20) i;
END
my $open = q(SELECT env_decrypt(v, '{}') FROM value);
my $holder = session($node);

# Time passes, and the key is in use.
sub use_for
{
	my ($seconds) = @_;

	for (; $seconds > 0; $seconds -= 100)
	{
		advance_clock($node, $seconds < 100 ? $seconds : 100);
		$holder->sqlstate($open);
	}
	return;
}

# Makes the key due for a refresh, as one that is in use.
sub fall_due
{
	my $calls = $double->calls('unseal');

	use_for(300);
	advance_clock($node, 1);
	$double->wait_for_call('unseal', $calls + 1);
	return;
}

foreach my $answer ('denied', 'not_found', 'disabled')
{
	is($holder->value($open), 'plain', "$answer: opened before");
	$double->behave("fail $answer");
	fall_due();
	use_for(290);
	is($holder->value($open), 'plain', "$answer: it may be a mistake");
	advance_clock($node, 20);
	ok( $node->poll_query_until(
			'postgres', 'SELECT cached_keys = 0 FROM pgenvelope.stat'),
		"$answer: when it lasts the key leaves the cache");
	all_wiped($node, $answer);
	is($holder->sqlstate($open),
		'PE006', "$answer: the session that held it has lost it");
	is_sqlstate($node, $open, 'PE006', "$answer: so has any other");
	$double->behave('ok');
	advance_clock($node, 3);
}

# A refusal that is taken back leaves no trace.
is($holder->value($open), 'plain', 'opened before a mistake');
$double->behave('denied');
fall_due();
$double->behave('ok');
my $refreshes = counter($node, 'refreshes');
advance_clock($node, 100);
ok( $node->poll_query_until(
		'postgres', "SELECT refreshes > $refreshes FROM pgenvelope.stat"),
	'asked again');
$holder->value($open);
$double->behave('fail unavailable');
use_for(1200);
is($holder->value($open), 'plain', 'grace as before');
$double->behave('ok');
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
advance_clock($node, 31);

# Everything else has its grace.
foreach my $answer ('unavailable', 'throttled', 'misconfigured', 'integrity')
{
	is($holder->value($open), 'plain', "$answer: opened before");
	$double->behave("fail $answer");
	fall_due();
	use_for(600);
	is($holder->value($open), 'plain', "$answer: grace for who held it");
	is($node->safe_psql('postgres', $open), 'plain', "$answer: and others");
	$double->behave('ok');
	$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
	advance_clock($node, 31);
}

# A key that others have put out of the cache is not refreshed.  Whoever holds
# it asks again all the same.
is($holder->value($open), 'plain', 'opened before it is put out');
my $use_others = q(SELECT env_encrypt('x', '{}', 'k' || i) FROM other);
$node->safe_psql('postgres', $use_others);
$double->behave('denied');
is($holder->value($open), 'plain', 'opened although it was put out');
for (1 .. 3)
{
	advance_clock($node, 101);
	$holder->sqlstate($open);
	$node->safe_psql('postgres', $use_others);
}
is($holder->sqlstate($open), 'PE006', 'but not longer than the TTL');

done_testing();
