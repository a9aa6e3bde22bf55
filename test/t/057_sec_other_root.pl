# 057_sec_other_root.pl: no new key under a root key that has taken the place
# of the one that stored values need.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PgEnvelope::rewrap_workers = 0;

my $file = new_key_file();
my $node = new_node('main', providers => "main=file://$file");

$node->safe_psql('postgres', q(SELECT pgenvelope.create_key('one')));
my $root = slurp_file($file);
my $fingerprint =
  $node->safe_psql('postgres', 'SELECT root_key FROM pgenvelope.keys');

# As after a container started anew, with a root key made anew.
write_file($file, encode_base64(random_bytes(32), "\n"));
foreach my $sql (q(SELECT pgenvelope.create_key('two')),
	q(SELECT pgenvelope.rotate_key('one')))
{
	like(is_sqlstate($node, $sql, 'PE006', $sql),
		qr/sealed by root key $fingerprint/, 'it says which one is missing');
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgenvelope.keys'),
	'1', 'nothing was made');

# By another name it is another root key.
set_providers($node, "main=file://$file, new=file://$file");
$node->safe_psql('postgres', q(SELECT pgenvelope.create_key('two', 'new')));

write_file($file, $root);
$node->safe_psql('postgres', q(SELECT pgenvelope.rotate_key('one')));
is($node->safe_psql('postgres', q(SELECT count(*) FROM pgenvelope.keys)),
	'3', 'the right one is back');

done_testing();
