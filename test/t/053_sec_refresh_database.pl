# 053_sec_refresh_database.pl: a provider that is limited to another database
# refreshes no keys of this one any more: they end with their hard limit.
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

my $key = new_key_file();
my $node = new_node(
	'main',
	providers => "main=file://$key",
	conf => <<'END');
pgenvelope.key_cache_ttl = 300s
pgenvelope.key_cache_grace = 300s
END

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (v envelope);
SELECT pgenvelope.create_key('one', 'main', '{}');
INSERT INTO value SELECT env_encrypt('plain', '{}', 'one');
END
my $open = q(SELECT env_decrypt(v, '{}') FROM value);
my $refreshes = counter($node, 'refreshes');

# Not even what was open when the setting changed.
is($node->safe_psql('postgres', $open), 'plain', 'it is open');
set_providers($node, "main\@another=file://$key");
ok( $node->poll_query_until(
		'postgres', 'SELECT cached_keys = 0 FROM pgenvelope.stat'),
	'it goes with its provider');
is_sqlstate($node, $open, 'PE006', 'and does not open any more');
is(counter($node, 'refreshes'), $refreshes, 'it was not refreshed');
set_providers($node, "main\@postgres=file://$key");
advance_clock($node, 3);
is($node->safe_psql('postgres', $open), 'plain', 'listed again, it opens');

done_testing();
