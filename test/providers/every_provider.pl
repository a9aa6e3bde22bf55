#!/usr/bin/perl
# every_provider.pl: a server whose root keys are in every kind of provider at
# once.
# needs: openbao.sh
# needs: cloud_servers.sh
#
# 200 connections after a restart make one call for each key version.  Whoever
# waits for a provider that hangs is free within a second, by a cancel or by
# statement_timeout, and all others do not notice.  All keys move from each to
# the next while pgbench decrypts and encrypts, of which nothing fails.  And no
# secret shows in the log, the settings or a core dump.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use EveryProvider;
use Load;
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PgEnvelope::rewrap_workers = 0;

my $clients = 200;
my $all = EveryProvider->new(conf => <<"END");
max_connections = @{[ $clients + 20 ]}
log_min_messages = debug5
END
my $node = $all->{node};
my @names = $all->names;
my $keys = @names;
my $tester = session($node);

# Evicted, so that its provider is asked.
sub opens
{
	my ($key, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is( $tester->value(
			"SELECT pgenvelope.evict_key('$key') >= 0; SELECT opened('$key')"),
		"t\nplain of $key",
		$what);
	return;
}

opens($_, "$_: a value is opened") for @names;

# ---------------------------------------------------------------------------
# Many connections
# ---------------------------------------------------------------------------

$tester->quit;
$node->restart;
my $script = write_file(new_directory('pgbench') . '/script',
	'SELECT ' . join(', ', map { "opened('$_')" } @names) . ";\n");
my %before = $all->calls;
$node->command_ok(
	[
		'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 1, '-f', $script,
		'postgres'
	],
	"$clients connections after a restart");
my %after = $all->calls;
is($after{$_} - $before{$_}, 1, "$_: one call") for $all->remote;
is(counter($node, 'unseal_calls'), $keys, 'one call for each key');
$tester = session($node);
my $keeper = keeper_pid($node);

# ---------------------------------------------------------------------------
# One hangs
# ---------------------------------------------------------------------------

for my $name ($all->remote)
{
	my ($timed, $cancelled, $canceller) = map { session($node) } 1 .. 3;

	$tester->value("SELECT pgenvelope.evict_key('$name')");
	$all->behave($name, 'hang');
	$timed->value("SET statement_timeout = '200ms'");
	$cancelled->start("SELECT opened('$name')");
	$node->poll_query_until('postgres', <<'END') or die 'nobody waits';
SELECT count(*) = 1 FROM pg_stat_activity
WHERE wait_event_type = 'Extension' AND query LIKE 'SELECT opened%'
END
	is($timed->sqlstate("SELECT opened('$name')"),
		'57014', "$name hangs: statement_timeout");
	cmp_ok($timed->seconds, '<', 1.2, "$name hangs: within a second of it");
	my $took = elapsed(
		sub {
			$canceller->value(
				"SELECT pg_cancel_backend(${\ $cancelled->pid })");
			is(($cancelled->finish)[1], '57014', "$name hangs: a cancel");
		});
	cmp_ok($took, '<', 1, "$name hangs: within a second");
	my @others = grep { $_ ne $name } @names;
	is( $tester->value(
			join '',
			map { "SELECT pgenvelope.evict_key('$_') >= 0; SELECT opened('$_');" }
			  @others),
		join("\n", map { "t\nplain of $_" } @others),
		"$name hangs: the others answer");
	is($timed->sqlstate("SELECT pgenvelope.create_key('late', '$name')"),
		'57014', "$name hangs: statement_timeout of a new key");
	cmp_ok($timed->seconds, '<', 1.2, "$name hangs: within a second of it");
	$all->behave($name, 'pass');
	advance_clock($node, 60);
	opens($name, "$name hangs no more: it opens");
	$_->quit for $timed, $cancelled, $canceller;
}

# ---------------------------------------------------------------------------
# From each to the next, under load
# ---------------------------------------------------------------------------

# Some of the load forgets keys, so that providers are asked by it as well.
$node->safe_psql('postgres',
	'CREATE TABLE written (key text, v envelope)');
my $load = Load->new(
	$node,
	clients => 4,
	scripts => {
		'SELECT '
		  . join(', ', map { "1 / (opened('$_') = 'plain of $_')::int" }
			  @names)
		  . ";\n" => 45,
		'INSERT INTO written VALUES '
		  . join(', ',
			map { "('$_', env_encrypt('x', '{\"tenant\": \"acme\"}', '$_'))" }
			  @names)
		  . ";\n" => 45,
		"\\set n random(1, 6)\nSELECT pgenvelope.evict_key((ARRAY["
		  . join(', ', map { "'$_'" } @names)
		  . "])[:n]);\n" => 10,
	});
for my $to (@names[ 1 .. $keys - 1 ], 'file')
{
	# As documented: until nothing is left.  A key that the load has just
	# evicted is left for the next time.
	wait_until(
		sub {
			$tester->run("SELECT pgenvelope.reseal_keys('$to')");
			return $tester->value(<<"END") eq '0';
SELECT (SELECT count(*) FROM pgenvelope.keys WHERE provider <> '$to')
    + (SELECT count(*) FROM pgenvelope.key_seal)
END
		},
		"all keys are in $to");
	pass("all keys move to $to");
	is( $tester->value(
			"SELECT pgenvelope.evict_key() >= 0;
			SELECT count(*) FROM value WHERE opened(key) = 'plain of ' || key"
		),
		"t\n$keys",
		"and open by $to");
}
my ($transactions, $failed, $said) = $load->stop;
is($failed, 0, 'no transaction failed meanwhile') or diag($said);
cmp_ok($transactions, '>', 100, 'of many');
note("$transactions transactions, $failed failed");
is( $node->safe_psql('postgres', <<'END'), $keys, 'what was written opens');
SELECT count(DISTINCT key) FROM written
HAVING bool_and(env_decrypt(v, '{"tenant": "acme"}') = 'x')
END

# ---------------------------------------------------------------------------
# What never shows
# ---------------------------------------------------------------------------

my $log = slurp_file($node->logfile);
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
my $settings = $node->safe_psql('postgres',
	'SET ROLE nobody; SELECT s FROM pg_settings s');
my %secrets = $all->secrets;
for my $what (sort keys %secrets)
{
	my @secrets = @{ $secrets{$what} };

	ok(!(grep { $_ eq '' } @secrets) && @secrets, "there is $what");
	is(scalar(grep { index($log, $_) >= 0 } @secrets),
		0, "the log does not have $what");
	is(scalar(grep { index($settings, $_) >= 0 } @secrets),
		0, "nor has a setting");
}
like($log, qr/DEBUG:  /, 'although the log has everything');
unlike($log, qr/(?:vault|awskms|gcpkms|azurekv):v1:/, 'nor anything sealed');
unlike($log, qr/MARKER/, 'nor what a service wrote into its errors');
unlike($log, qr/plain of/, 'nor a plaintext');
unlike($settings, qr/(?:vault|awskms|gcpkms|azurekv|pkcs11)[:+]/,
	'no setting shows a location to everybody');

# Of the programs, which hold keys and credentials, nobody gets an image.
my @helpers = split /\n/, qx(pgrep -P $keeper);
is(scalar @helpers, $keys - 1, 'each provider has a process');
for my $pid (@helpers)
{
	my ($name) = slurp_file("/proc/$pid/cmdline") =~ /\0([a-z0-9]+)[:+]/;

	my $limits = slurp_file("/proc/$pid/limits");

	like($limits, qr/^Max core file size +0 +0 /m, "$name: no core dumps");
	is( slurp_file("/proc/$pid/status") =~ /^VmLck:\s+[1-9]/m,
		$limits =~ /^Max locked memory +unlimited /m,
		"$name: its memory is locked if it may be");
	isnt((stat "/proc/$pid/mem")[4],
		$>, "$name: nobody but root reads its memory");
}
is(keeper_pid($node), $keeper, 'one keeper has lived through all of this');
all_wiped($node, 'at the end');
$tester->quit;
$all->stop;

done_testing();
