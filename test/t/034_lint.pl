# 034_lint.pl: what pgenvelope.lint says of a server's limits and of its network.
#
# What cannot be changed while a server runs: core files, memory that is not
# locked, remote clients without TLS; each is found, and no longer once it is
# remedied.  test/sql/lint.sql has the rest.
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

plan(skip_all => 'needs prlimit')
  unless grep { -x "$_/prlimit" } split /:/, $ENV{PATH};

my $checks = q{'core_dumps', 'memory_not_locked', 'not_encrypted'};

# Sets a limit of this process, which servers that it starts inherit: the soft
# one, so that it can be raised again.
sub limit
{
	my ($name, $soft) = @_;

	return IPC::Run::run([ 'prlimit', '--pid', $$, "--$name=$soft:" ],
		'>', \my $out, '2>', \my $err);
}

# The checks that find something, of those that are looked at here.
sub findings
{
	my ($node) = @_;

	return $node->safe_psql('postgres', <<"END");
SELECT severity, "check", object FROM pgenvelope.lint() WHERE "check" IN ($checks)
END
}

limit('core', 0) or die 'no limit can be set';
my $node = new_node('main');
my $locks = $node->safe_psql('postgres', 'SELECT memory_locked FROM pgenvelope.stat');

SKIP:
{
	skip('this process may lock no memory', 1) if $locks ne 't';
	is(findings($node), '', 'nothing to say');
}

my $certificate = new_directory('tls') . '/server';
system_log('openssl', 'req', '-x509', '-newkey', 'ed25519', '-nodes',
	'-subj', '/CN=localhost', '-out', "$certificate.crt", '-keyout',
	"$certificate.key") == 0 or die 'no certificate';
chmod 0600, "$certificate.key";

my $dumps = limit('core', 'unlimited');
my $locked = limit('memlock', 0) && $> != 0;
$node->append_conf('postgresql.conf', <<"END");
listen_addresses = '127.0.0.1, ::1, 0.0.0.0'
ssl_cert_file = '$certificate.crt'
ssl_key_file = '$certificate.key'
END
$node->restart;
my @found = split /\n/, findings($node);
is_deeply([ grep { /not_encrypted/ } @found ],
	['warning|not_encrypted|ssl'], 'remote clients without TLS');
SKIP:
{
	skip('core files cannot be allowed here', 1) if !$dumps;
	is_deeply([ grep { /core_dumps/ } @found ],
		['warning|core_dumps|server'], 'core files');
}
SKIP:
{
	skip('locked memory cannot be limited here', 1) if !$locked;
	is_deeply([ grep { /memory_not_locked/ } @found ],
		['warning|memory_not_locked|key cache'],
		'memory that may be swapped out');
}

$node->append_conf('postgresql.conf', 'ssl = on');
$node->reload;
$node->poll_query_until('postgres',
	q{SELECT current_setting('ssl') = 'on'})
  or die 'ssl is off';
unlike(findings($node), qr/not_encrypted/, 'with TLS');
$node->append_conf('postgresql.conf', <<'END');
ssl = off
listen_addresses = 'localhost, 127.0.0.2'
END
limit('core', 0);
$node->restart;
unlike(findings($node), qr/not_encrypted|core_dumps/,
	'nobody from elsewhere, and no core files');

done_testing();
