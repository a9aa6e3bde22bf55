# 054_sec_unclaimed.pl: a new key that nobody waits for any more does not fill
# the cache.
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
	providers => "kms=${\ $double->uri }",
	conf => "pgenvelope.key_cache_ttl = 300s\n");

$double->behave('slow 0.5');
is_sqlstate(
	$node,
	"SET statement_timeout = '100ms'; SELECT pgenvelope.create_key('one', 'kms')",
	'57014',
	'a creation that is cancelled');
ok( $node->poll_query_until(
		'postgres', 'SELECT cached_keys = 1 FROM pgenvelope.stat'),
	'its key is made all the same');
advance_clock($node, 11);
ok( $node->poll_query_until(
		'postgres', 'SELECT cached_keys = 0 FROM pgenvelope.stat'),
	'and dropped soon');
all_wiped($node, 'unclaimed');

# One that was claimed stays as any other.
$double->behave('ok');
$node->safe_psql('postgres', "SELECT pgenvelope.create_key('one', 'kms', '{}')");
my $calls = $double->calls('unseal');
advance_clock($node, 200);
is( $node->safe_psql(
		'postgres', q(SELECT env_decrypt(env_encrypt('x', '{}', 'one'), '{}'))
	),
	'x',
	'a key that was claimed stays');
is($double->calls('unseal'), $calls, 'without a call');

done_testing();
