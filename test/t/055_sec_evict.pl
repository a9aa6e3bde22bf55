# 055_sec_evict.pl: what was asked of a provider before an eviction does not
# come into the cache after it.
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
my $node = new_node('main', providers => "kms=${\ $double->uri }");

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (v envelope);
SELECT pgenvelope.create_key('one', 'kms', '{}');
INSERT INTO value SELECT env_encrypt('plain', '{}', 'one');
SELECT pgenvelope.evict_key();
END

my $calls = $double->calls('unseal');
my $waiter = session($node);
$double->behave('slow 1');
$waiter->start(q(SELECT env_decrypt(v, '{}') FROM value));
$double->wait_for_call('unseal', $calls + 1);
$double->behave('denied');
is($node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()'),
	'0', 'nothing is cached while the provider is at it');
my ($out, $sqlstate) = $waiter->finish;
is($sqlstate, 'PE006', 'who waits asks again, and is denied');
is($double->calls('unseal'), $calls + 2, 'with another call');
is(counter($node, 'cached_keys'), 0, 'nothing is cached');
all_wiped($node, 'evicted');

done_testing();
