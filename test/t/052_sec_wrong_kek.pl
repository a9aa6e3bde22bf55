# 052_sec_wrong_kek.pl: a provider that opens a seal to another key, bound to
# the right key and version.  Only the key-check value of the catalog tells.
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
	conf => <<'END');
pgenvelope.key_cache_ttl = 300s
pgenvelope.key_cache_grace = 3600s
END

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (v envelope);
SELECT pgenvelope.create_key('one', 'kms', '{}');
INSERT INTO value SELECT env_encrypt('plain', '{}', 'one');
SELECT pgenvelope.evict_key();
END
my $open = q(SELECT env_decrypt(v, '{}') FROM value);
my $seal = q(SELECT env_encrypt('x', '{}', 'one'));

$double->behave('wrong_kek');
is_sqlstate($node, $open, 'PE006', 'another key does not open');
is_sqlstate($node, $seal, 'PE006', 'nor does it seal');
is($double->calls('unseal'), 2, 'the provider was asked once for both');
$double->behave('ok');
advance_clock($node, 3);
is($node->safe_psql('postgres', $open),
	'plain', 'it is asked again in a moment');

# In a refresh it does not take the place of the right one.
advance_clock($node, 200);
$node->safe_psql('postgres', $open);
$double->behave('wrong_kek');
my $calls = $double->calls('unseal');
advance_clock($node, 101);
$double->wait_for_call('unseal', $calls + 1);
ok( $node->poll_query_until(
		'postgres', 'SELECT failed_integrity = 1 FROM pgenvelope.stat'),
	'a refresh with another key has failed');
is($node->safe_psql('postgres', $open), 'plain', 'the key at hand serves on');
like(
	slurp_file($node->logfile),
	qr/another key than before/,
	'and the log says why');

done_testing();
