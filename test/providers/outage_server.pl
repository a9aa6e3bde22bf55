#!/usr/bin/perl
# outage_server.pl: every provider is down for a while, under load.
# needs: openbao.sh
# needs: cloud_servers.sh
#
# pgbench decrypts and encrypts under a key of each provider, before, during
# and after; each try and its outcome is written down.  Nothing fails as long
# as keys may be used (key_cache_ttl and key_cache_grace), then each try fails
# with the right category, and after the providers are back each key is found
# again by itself.  OpenBao is really stopped and started; the others are cut
# off by a proxy, the token is pulled out.
#
# PGENVELOPE_SOAK: seconds of the outage; by default 18, make soak has 300.
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
use Time::HiRes qw(time);

$PgEnvelope::rewrap_workers = 0;

# A third of the outage each: keys are fresh, are used because nothing better
# is to be had, and are too old.
my $outage = $ENV{PGENVELOPE_SOAK} || 18;
my $third = int($outage / 3);
my $all = EveryProvider->new(storage => 1, conf => <<"END");
pgenvelope.key_cache_ttl = $third
pgenvelope.key_cache_grace = $third
END
my $node = $all->{node};
my @names = $all->names;
my @remote = $all->remote;

# A try is one decryption and one encryption; a client does not end by it.
$node->safe_psql('postgres', <<'END');
CREATE UNLOGGED TABLE try (key text, at timestamptz, sqlstate text,
    message text);
CREATE FUNCTION try(k text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    code text := '00000';
    said text;
BEGIN
    BEGIN
        IF opened(k) IS DISTINCT FROM 'plain of ' || k THEN
            code := 'wrong';
        END IF;
        PERFORM env_encrypt('x', '{"tenant": "acme"}', k);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
            said = MESSAGE_TEXT;
    END;
    INSERT INTO try VALUES (k, clock_timestamp(), code, said);
END;
$$;
END

# Of a provider's tries between two moments: how many, how many failed, and
# how those did.
sub tries
{
	my ($key, $from, $to) = @_;

	return split /\|/,
	  $node->safe_psql('postgres', <<"END");
SELECT count(*), count(*) FILTER (WHERE sqlstate <> '00000'),
    coalesce(string_agg(DISTINCT sqlstate || ' ' ||
        substring(message FROM '[a-z_]+\$'), ', '), '')
FROM try WHERE key = '$key'
    AND at BETWEEN to_timestamp($from) AND to_timestamp($to)
END
}

# How long after a moment the first try was a success; '' for never.
sub first_success
{
	my ($key, $from) = @_;

	return $node->safe_psql('postgres', <<"END");
SELECT round(extract(epoch FROM min(at)) - $from, 1)
FROM try WHERE key = '$key' AND at > to_timestamp($from)
    AND sqlstate = '00000'
END
}

# One for each, since those of a provider that is down wait.
my %load = map {
	$_ => Load->new(
		$node,
		clients => 4,
		rate => 30,
		scripts => { "SELECT try('$_');\n" => 1 })
} @names;

# ---------------------------------------------------------------------------
# Down, and up again
# ---------------------------------------------------------------------------

# All keys are unsealed between these two moments, and not later.
my $opened = time;
$node->safe_psql('postgres',
	"SELECT pgenvelope.evict_key(); SELECT opened(key) FROM value");
$all->behave($_, 'refuse') for grep { $_ ne 'vault' } @remote;
$all->{bao}->halt;
my $down = time;
wait_until(sub { time > $down + $outage },
	'the outage is over', $outage + 60);
my $over = time;
$all->{bao}->start;
my %up = (vault => time);
for my $name (grep { $_ ne 'vault' } @remote)
{
	$all->behave($name, 'pass');
	$up{$name} = time;
}
wait_until(
	sub { !grep { first_success($_, $up{$_}) eq '' } @remote },
	'each key opens again');
my $end = time;
for my $name (@names)
{
	my ($transactions, $failed, $said) = $load{$name}->stop;

	is($failed, 0, "$name: each try was written down") or diag($said);
}

# ---------------------------------------------------------------------------
# What came of it
# ---------------------------------------------------------------------------

for my $name (@remote)
{
	my ($count, $failed, $how) =
	  tries($name, $down, $opened + 2 * $third);

	is($failed, 0, "$name: nothing fails while its key may be used")
	  or diag($how);
	cmp_ok($count, '>', 10, "$name: which was tried");
	note("$name: $count tries within the limit, $failed failed");

	# A second for what has begun before.
	($count, $failed, $how) = tries($name, $down + 2 * $third + 1, $over);
	is($failed, $count, "$name: then each try fails");
	is($how, 'PE002 unavailable', "$name: as it should");
	cmp_ok($count, '>', 0, "$name: which was tried");
	note("$name: $count tries after it, $failed failed: $how");

	my $back = first_success($name, $up{$name});

	cmp_ok($back, '<', 32, "$name: it is found again by itself");
	note("$name: the first success $back s after it was back");
}
my ($count, $failed) = tries('file', $down, $end);
is($failed, 0, 'a provider that is there never fails');
note("file: $count tries, $failed failed");
all_wiped($node, 'at the end');
$all->stop;

done_testing();
