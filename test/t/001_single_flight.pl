# 001_single_flight.pl: however many connections want a key at once, the
# provider is called once per key version; and what the counters count.
#
# The double counts its calls itself, so that the counters of pgenvelope are
# not the only witness.  The waits of the connections are printed.
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

$PgEnvelope::rewrap_workers = 0;

my $clients = 100;
my $double = new_double('kms');
my $file = new_key_file();
my $node = new_node(
	'main',
	providers => "kms=${\ $double->uri }, main=file://$file",
	conf => "max_connections = @{[ $clients + 10 ]}\n");

# Two keys with the double, one of them with two versions, one with the file.
$node->safe_psql('postgres', <<'END');
CREATE TABLE value (key text, version int, v envelope);
SELECT pgenvelope.create_key(name, provider, '{"tenant": null}')
FROM (VALUES ('one', 'kms'), ('two', 'kms'), ('file', 'main'))
    AS k (name, provider);
INSERT INTO value
SELECT k, 1, env_encrypt('plain', '{"tenant": "acme"}', k)
FROM unnest(ARRAY['one', 'two', 'file']) k;
SELECT pgenvelope.rotate_key('two');
INSERT INTO value
VALUES ('two', 2, env_encrypt('plain', '{"tenant": "acme"}', 'two'));
END

is(counter($node, 'seal_calls'), 4, 'a new key version is sealed once');
is(counter($node, 'unseal_calls'), 4, 'and unsealed once, to prove it');
is($double->calls('seal'), 3, 'the double has counted its seals');
is($double->calls('unseal'), 3, 'the double has counted its unseals');
is($double->calls('start'), 1, 'in one process');

# Runs one transaction in each of many connections, which all start when the
# last is connected.  Returns the milliseconds that they took.
my $runs = 0;

sub run_clients
{
	my ($condition) = @_;
	my $directory = new_directory('pgbench' . ++$runs);

	write_file("$directory/script", <<"END");
SELECT count(env_decrypt(v, '{"tenant": "acme"}')) FROM value WHERE $condition;
END
	$node->command_ok(
		[
			'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 1,
			'-f', "$directory/script", '--log',
			"--log-prefix=$directory/log", 'postgres'
		],
		"$clients connections decrypt: $condition");
	my @waits =
	  map { (split)[2] / 1000 }
	  map { split /\n/, slurp_file($_) } glob "$directory/log*";
	is(scalar(@waits), $clients, 'each of them has got its answer');
	return @waits;
}

sub print_waits
{
	my ($what, @waits) = @_;

	diag(sprintf '%s: median %.1f ms, p99 %.1f ms, longest %.1f ms',
		$what, map { percentile($_, @waits) } 50, 99, 100);
	return;
}

# A slow provider: every connection waits for the same call.
$double->behave('slow 0.5');
$node->restart;
my ($seals, $unseals) = map { $double->calls($_) } qw(seal unseal);
print_waits("$clients connections, 3 key versions, a provider of 0.5 s a call",
	run_clients("key <> 'file'"));
is($double->calls('unseal') - $unseals,
	3, 'the provider was called once per key version');
is($double->calls('seal'), $seals, 'and for nothing else');
is(counter($node, 'unseal_calls'), 3, 'the counters say so too');
is(counter($node, 'misses + hits'),
	3 * $clients, 'each value was a hit or a miss');
cmp_ok(counter($node, 'misses'), '>=', 3, 'somebody had to wait');

# Root keys in files, as most will have them; and again with the key cached,
# which is what so many connections cost on this machine in any case.
$double->behave('ok');
$node->restart;
print_waits("$clients connections, root key in a file",
	run_clients("key = 'file'"));
is(counter($node, 'unseal_calls'), 1, 'one call for a key with one version');
print_waits('the same, key cached', run_clients("key = 'file'"));
is(counter($node, 'unseal_calls'), 1, 'no call when it is cached');

# N reads after a restart are one call, in however many sessions.
$node->safe_psql('postgres', <<'END');
CREATE TABLE many AS
SELECT i, env_encrypt(i::text, '{"tenant": "acme"}', 'one') AS v
FROM generate_series(1, 1000) i;
END
$node->restart;
$unseals = $double->calls('unseal');
my $read =
  q(SELECT count(*) FROM many WHERE env_decrypt(v, '{"tenant": "acme"}') = i::text);
is($node->safe_psql('postgres', $read), '1000', 'a thousand reads');
is(counter($node, "misses || ' ' || hits || ' ' || unseal_calls"),
	'1 999 1', 'are one miss, one call and hits');
is($node->safe_psql('postgres', $read), '1000', 'and in another session');
is(counter($node, "misses || ' ' || hits || ' ' || unseal_calls"),
	'1 1999 1', 'hits only');
is($double->calls('unseal') - $unseals, 1, 'one call of the double');

# Parallel workers are processes of their own.
my $parallel = parallel_setting($node);

is( $node->safe_psql(
		'postgres', <<"END"), '1000', 'reads in parallel workers');
SET $parallel = on;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
$read
END
is(counter($node, "misses || ' ' || unseal_calls"),
	'1 1', 'cost no further call');
is(counter($node, 'hits'), '2999', 'and are counted');

is( counter(
		$node,
		q(concat_ws(' ', keeper_starts, cached_keys, cache_size, evictions,
		    refreshes, failed_unavailable, failed_throttled, failed_denied,
		    failed_not_found, failed_disabled, failed_integrity,
		    failed_misconfigured))),
	'1 1 256 0 0 0 0 0 0 0 0 0',
	'the other counters stand still');
all_wiped($node, 'at the end');

done_testing();
