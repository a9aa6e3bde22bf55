# 019_no_keeper.pl: where the keeper does not run for longer than it takes to
# start it again, who waits for it is told so, and does not wait until
# pgenvelope.key_timeout.
#
# A keeper that ends is started again a second later (005_crash.pl).  One that
# the server has no room for never runs.
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

my $node = new_node('main', conf => "pgenvelope.key_timeout = 60s\n");
my $create = "SELECT pgenvelope.create_key('two') > 0";

$node->safe_psql('postgres', "SELECT pgenvelope.create_key('one')");
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
is(keeper_pid($node), '', 'there is no keeper');

my $message;
my $seconds = elapsed(
	sub {
		$message = is_sqlstate($node, $create, 'PE002', 'a key cannot be had');
	});
cmp_ok($seconds, '<', 15, 'which is told soon');
like($message, qr/the keeper is not running/, 'and why');
like($message, qr/max_worker_processes/, 'and what to do');

# One that is back in time has made nobody fail.
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
my $session = session($node);
set_point($node, 'loop', 'exit');
wait_until(
	sub { counter($node, 'keeper_starts') > 1 || !keeper_pid($node) },
	'the keeper has ended');
is($session->value($create), 't', 'a keeper that starts again is waited for');
$session->quit;

done_testing();
