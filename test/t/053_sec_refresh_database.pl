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
SELECT env_create_key('one', 'main', '{}');
INSERT INTO value SELECT env_encrypt('plain', '{}', 'one');
END
my $open = q(SELECT env_decrypt(v, '{}') FROM value);
my $refreshes = counter($node, 'refreshes');

set_providers($node, "main\@another=file://$key");
foreach my $step (1 .. 5)
{
	is($node->safe_psql('postgres', $open), 'plain', "step $step: opens");
	advance_clock($node, 110);
}
advance_clock($node, 60);
is_sqlstate($node, $open, 'PE006', 'past its hard limit it does not');
is(counter($node, 'refreshes'), $refreshes, 'it was not refreshed');
set_providers($node, "main\@postgres=file://$key");
advance_clock($node, 3);
is($node->safe_psql('postgres', $open), 'plain', 'listed again, it opens');

done_testing();
