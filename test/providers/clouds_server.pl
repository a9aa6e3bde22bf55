#!/usr/bin/perl
# clouds_server.pl: a server whose root keys are in AWS, Google Cloud, Azure
# and a file at once.
# needs: cloud_servers.sh
#
# Keys move from each to each while pgbench writes and reads; a root key
# rotates, is disabled and is denied inside its cloud; one cloud hangs; the
# others notice nothing; and no log has a secret.  What pgenvelope-kms itself
# does is in aws_test.py, gcp_test.py and azure_test.py.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Clouds;
use Load;
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PgEnvelope::rewrap_workers = 0;

my $clouds = Clouds->new;
my %uri = ($clouds->uris, file => 'file://' . new_key_file());
my @names = qw(file aws gcp azure);
my $node;
{
	local %ENV = (%ENV, $clouds->environment);
	$node = new_node(
		'main',
		providers => join(', ', map { "$_=$uri{$_}" } @names),
		conf => "log_min_messages = debug5\n");
}

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (key text PRIMARY KEY, v envelope);
CREATE FUNCTION opened(k text) RETURNS text LANGUAGE sql STABLE
AS $$SELECT env_decrypt(v, '{"tenant": "acme"}') FROM value WHERE key = k$$;
CREATE PROCEDURE add(k text, provider text) LANGUAGE sql AS $$
SELECT pgenvelope.create_key(k, provider, '{"tenant": null}');
INSERT INTO value
SELECT k, env_encrypt('plain of ' || k, '{"tenant": "acme"}', k);
$$;
END
my $keeper = keeper_pid($node);
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

sub fails
{
	my ($key, $category, $sqlstate, $said, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $log_end = -s $node->logfile;

	$tester->value("SELECT pgenvelope.evict_key('$key')");
	my (undef, $got, $message) = $tester->run("SELECT opened('$key')");
	is($got, $sqlstate, "$what: $sqlstate");
	like($message, qr/: $category\n/, "$what: $category");
	unlike($message, qr/127\.0\.0\.1|HTTP|localhost/,
		"$what: the client is told no more");
	like(slurp_file($node->logfile, $log_end),
		qr/did not unseal key "$key".*: $category\n.*DETAIL:.*$said/s,
		"$what: the log says why");
	opens($_, "$what: $_ opens") for grep { $_ ne $key } @names;
	return;
}

sub root_key
{
	my ($key) = @_;

	return $node->safe_psql('postgres',
		"SELECT root_key FROM pgenvelope.keys WHERE name = '$key'");
}

# ---------------------------------------------------------------------------
# Each by its own
# ---------------------------------------------------------------------------

$tester->value("CALL add('$_', '$_')") for @names;
opens($_, "$_: a value is opened") for @names;
like(root_key('aws'), qr/^[0-9a-f-]{36}$/, 'aws: the root key is named');
is(root_key('gcp'), 'app/1', 'gcp: the root key is named');
like(root_key('azure'), qr{^app/[0-9a-f]{32}$},
	'azure: the root key is named');

# Rotated inside the clouds.
my $before = root_key('azure');
$clouds->told("$_ rotate") for qw(gcp azure);
opens($_, "$_: opens after a rotation") for qw(gcp azure);
is($tester->value('SELECT pgenvelope.reseal_keys()'),
	'2', 'what an older root key has sealed is sealed anew');
is(root_key('gcp'), 'app/2', 'gcp: by the new one');
isnt(root_key('azure'), $before, 'azure: by the new one');
is($tester->value('SELECT pgenvelope.reseal_keys()'), '0', 'once is enough');
opens($_, "$_: and opens") for @names;

# ---------------------------------------------------------------------------
# What they refuse
# ---------------------------------------------------------------------------

for (
	[ 'gcp', 'deny', 'pass', 'denied', 'PERMISSION_DENIED' ],
	[ 'azure', 'deny', 'pass', 'denied', 'ForbiddenByRbac' ],
	[ 'gcp', 'disable', 'enable', 'disabled', 'FAILED_PRECONDITION' ],
	[ 'azure', 'disable', 'enable', 'disabled', 'KeyDisabled' ])
{
	my ($key, $do, $undo, $category, $said) = @$_;

	$clouds->told("$key $do");
	fails($key, $category, 'PE006', $said, "$key, $do");
	$clouds->told("$key $undo");
	advance_clock($node, 60);
	opens($key, "$key, $undo: opens again");
}

# moto says no in words that are not known beforehand.
my $refusal = '{"__type": "AccessDeniedException", "message": "MARKER"}';
$clouds->told('aws text HTTP/1.1 400 Bad Request\r\nConnection: close\r\n'
	  . 'Content-Length: '
	  . length($refusal)
	  . "\\r\\n\\r\\n$refusal");
fails('aws', 'denied', 'PE006', 'AccessDeniedException', 'aws, denied');
$clouds->told('aws pass');
advance_clock($node, 60);
opens('aws', 'aws, allowed: opens again');

$clouds->told('aws hang');
fails('aws', 'unavailable', 'PE002', 'in time', 'aws, hang');
my $patient = session($node);
$patient->value("SET statement_timeout = '200ms'");
advance_clock($node, 60);
is($patient->sqlstate("SELECT opened('aws')"),
	'57014', 'aws, hang: statement_timeout');
cmp_ok($patient->seconds, '<', 1.2, 'aws, hang: within a second of it');
$patient->quit;
$clouds->told('aws pass');
advance_clock($node, 60);
opens('aws', 'aws, pass: opens again');

# ---------------------------------------------------------------------------
# From each to each, under load
# ---------------------------------------------------------------------------

my $load = Load->new(
	$node,
	clients => 4,
	scripts => { <<'END' => 1 });
SELECT opened('aws'), opened('gcp'), opened('azure'), opened('file');
SELECT env_encrypt('x', '{"tenant": "acme"}', 'aws');
END
for my $to (qw(aws gcp azure file aws azure gcp file))
{
	my $moved = $tester->value("SELECT pgenvelope.reseal_keys('$to')");

	# One of them was there from the start.
	cmp_ok($moved, '>=', 3, "all keys move to $to");
	is( $tester->value(
			"SELECT pgenvelope.evict_key() >= 0;
			SELECT count(*) FROM value WHERE opened(key) = 'plain of ' || key"
		),
		"t\n4",
		'and open there');
	$tester->value("SELECT pgenvelope.reseal_keys('$to')");
}
is( $tester->value(
		'SELECT count(*) FROM pgenvelope.key_seal'),
	'0', 'nothing is left where they were');
my ($transactions, $failed, $said) = $load->stop;
is($failed, 0, 'pgbench did not notice') or diag($said);
note("$transactions transactions");

# ---------------------------------------------------------------------------
# What never shows
# ---------------------------------------------------------------------------

my $log = slurp_file($node->logfile);
my %secret = (
	'a credential' => [ $clouds->secrets ],
	'a token' => $clouds->told('secrets'));
for my $what (sort keys %secret)
{
	my @shown = grep { index($log, $_) >= 0 } @{ $secret{$what} };

	cmp_ok(scalar @{ $secret{$what} }, '>', 1, "there is $what");
	is(scalar @shown, 0, "the log does not have $what");
}
unlike($log, qr/(awskms|gcpkms|azurekv):v1:/, 'nor anything sealed');
unlike($log, qr/MARKER/, 'nor what a cloud wrote into its errors');
like($log, qr/DEBUG:/, 'although it has everything');
is(keeper_pid($node), $keeper, 'one keeper has lived through all of this');
all_wiped($node, 'at the end');
$tester->quit;
$node->stop;

$clouds->stop;

done_testing();
