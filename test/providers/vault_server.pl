#!/usr/bin/perl
# vault_server.pl: a server whose root key is in OpenBao.
# needs: openbao.sh
#
# Keys are created, rotated and sealed anew; a provider that hangs holds up
# nobody who has had enough; many connections make one call; failures have
# their SQLSTATE and nothing else stops; and no log has a secret, at the level
# where everything is logged.  What pgenvelope-kms itself does is in vault.py.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use OpenBao;
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PgEnvelope::rewrap_workers = 0;

my $clients = 200;
my $bao = OpenBao->new('main');
$bao->do('POST', 'sys/mounts/transit', { type => 'transit' });
$bao->new_key('app');
my $token = $bao->new_token('app');
my $powerless = $bao->new_token('default');
my $token_file = new_directory('vault') . '/token';
write_file($token_file, "$token\n");
my $vault = $bao->uri('app', "token-file=$token_file");
my $node = new_node(
	'main',
	providers => "vault=$vault, file=file://${\ new_key_file() }",
	conf => "max_connections = @{[ $clients + 20 ]}\n"
	  . "log_min_messages = debug5\n");

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (key text PRIMARY KEY, v envelope);
CREATE FUNCTION opened(k text) RETURNS text LANGUAGE sql STABLE
AS $$SELECT env_decrypt(v, '{"tenant": "acme"}') FROM value WHERE key = k$$;
CREATE PROCEDURE add(k text, provider text) LANGUAGE sql AS $$
SELECT pgenvelope.create_key(k, provider, '{"tenant": null}');
INSERT INTO value
SELECT k, env_encrypt('plain of ' || k, '{"tenant": "acme"}', k);
$$;
CALL add('v', 'vault');
CALL add('f', 'file');
END
my $keeper = keeper_pid($node);
my $tester = session($node);
my $open = "SELECT pgenvelope.evict_key('v') >= 0; SELECT opened('v')";

sub root_key
{
	return $node->safe_psql('postgres',
		q(SELECT string_agg(DISTINCT root_key, ' ') FROM pgenvelope.keys
		  WHERE provider = 'vault'));
}

# The key opens by a new call, once what failed is forgotten.
sub opens
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$bao->behave('pass');
	advance_clock($node, 60);
	is($tester->value($open), "t\nplain of v", "$what: opens again");
	return;
}

sub fails
{
	my ($what, $category, $sqlstate, $said) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $log_end = -s $node->logfile;

	$tester->value("SELECT pgenvelope.evict_key('v')");
	my (undef, $got, $message) = $tester->run("SELECT opened('v')");
	is($got, $sqlstate, "$what: $sqlstate");
	like($message, qr/: $category\n/, "$what: $category");
	unlike($message, qr/127\.0\.0\.1|token|HTTP/,
		"$what: the client is told no more");
	like(slurp_file($node->logfile, $log_end),
		qr/did not unseal key "v".*: $category\n.*DETAIL:.*$said/s,
		"$what: the log says why");
	is($tester->value("SELECT pgenvelope.evict_key('f') >= 0; SELECT opened('f')"),
		"t\nplain of f", "$what: another provider's key opens");
	return;
}

# ---------------------------------------------------------------------------
# Life
# ---------------------------------------------------------------------------

is($tester->value("SELECT opened('v')"), 'plain of v', 'a value is opened');
is(root_key(), 'app:v1', 'the catalog names the root key');
is($node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('v')"),
	'2', 'the key is rotated');
$bao->do('POST', 'transit/keys/app/rotate', {});
is($tester->value("SELECT pgenvelope.reseal_keys()"),
	'2', 'the root key is rotated, and both versions are sealed anew');
is(root_key(), 'app:v2', 'by the new root key');
is($tester->value("SELECT pgenvelope.reseal_keys()"), '0', 'once is enough');
$bao->do('POST', 'transit/keys/app/config', { min_decryption_version => 2 });
opens('the old root key forbidden');
is($tester->value("SELECT pgenvelope.reseal_keys('file'); SELECT opened('v')"),
	"2\nplain of v", 'all keys move to a file');
is($tester->value("SELECT pgenvelope.reseal_keys('vault'); SELECT opened('f')"),
	"3\nplain of f", 'and all to OpenBao');
is($tester->value("SELECT count(DISTINCT provider) FROM pgenvelope.keys"),
	'1', 'where they are now');
$node->safe_psql('postgres',
	"CALL add('g', 'file'); DELETE FROM value WHERE key = 'f';
	UPDATE value SET key = 'f' WHERE key = 'g'");
$tester->value(q(CREATE OR REPLACE FUNCTION opened(k text) RETURNS text
	LANGUAGE sql STABLE AS $$SELECT replace(env_decrypt(v,
	'{"tenant": "acme"}'), 'plain of g', 'plain of f')
	FROM value WHERE key = k$$));

is_sqlstate($node, "SELECT pgenvelope.create_key('new', 'nowhere')",
	'PE006', 'an unknown provider');
my $absent = $bao->uri('absent', "token-file=$token_file");
my $full = $node->safe_psql('postgres', 'SHOW pgenvelope.providers');
set_providers($node, "$full, absent=$absent");
is_sqlstate($node, "SELECT pgenvelope.create_key('new', 'absent')",
	'PE006', 'a root key that does not exist');
is(($bao->call('GET', 'transit/keys/absent'))[0], 404, 'is not made');
set_providers($node, $full);

# ---------------------------------------------------------------------------
# Many connections
# ---------------------------------------------------------------------------

$node->restart;
my $script = new_directory('pgbench') . '/script';
write_file($script, "SELECT opened('v');\n");
my $decrypts = $bao->requests('POST /v1/transit/decrypt/app');
$node->command_ok(
	[
		'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 1, '-f', $script,
		'postgres'
	],
	"$clients connections after a restart");
is( $bao->requests('POST /v1/transit/decrypt/app') - $decrypts,
	1, 'make one call');
is(counter($node, 'unseal_calls'), 1, 'which is counted as one');
$keeper = keeper_pid($node);
$tester = session($node);

# ---------------------------------------------------------------------------
# OpenBao does not answer
# ---------------------------------------------------------------------------

# While it hangs, whoever has had enough is free within a second.
for my $mode ('hang', 'drip 1')
{
	my ($timed, $cancelled, $patient) = map { session($node) } 1 .. 3;
	my $canceller = session($node);

	$tester->value("SELECT pgenvelope.evict_key('v')");
	$bao->behave($mode);
	$timed->value("SET statement_timeout = '200ms'");
	$_->start("SELECT opened('v')") for $cancelled, $patient;
	$node->poll_query_until('postgres', <<'END') or die 'nobody waits';
SELECT count(*) = 2 FROM pg_stat_activity
WHERE wait_event_type = 'Extension' AND query LIKE 'SELECT opened%'
END
	is($timed->sqlstate("SELECT opened('v')"),
		'57014', "$mode: statement_timeout");
	cmp_ok($timed->seconds, '<', 1.2, "$mode: within a second of it");
	my $took = elapsed(
		sub {
			$canceller->value(
				"SELECT pg_cancel_backend(${\ $cancelled->pid })");
			is(($cancelled->finish)[1], '57014', "$mode: a cancel");
		});
	cmp_ok($took, '<', 1, "$mode: within a second");
	is($tester->value("SELECT pgenvelope.evict_key('f') >= 0; SELECT opened('f')"),
		"t\nplain of f", "$mode: another provider answers");
	my (undef, $sqlstate, $message) = $patient->finish;
	is($sqlstate, 'PE002', "$mode: the patient one is told in the end");
	cmp_ok($patient->seconds, '<', 10, "$mode: by the deadline");
	opens($mode);

	# The same for a seal.
	$bao->behave($mode);
	is($timed->sqlstate("SELECT pgenvelope.create_key('late', 'vault')"),
		'57014', "$mode: statement_timeout of a new key");
	cmp_ok($timed->seconds, '<', 1.2, "$mode: within a second of it");
	opens("$mode, sealing");
	$_->quit for $timed, $cancelled, $patient, $canceller;
}

for (
	[ 'refuse', 'unavailable', 'PE002', 'libcurl' ],
	[ 'reset', 'unavailable', 'PE002', 'libcurl' ],
	[ 'cut 40', 'unavailable', 'PE002', 'not JSON' ],
	[ 'garbage', 'unavailable', 'PE002', 'broken' ],
	[ 'flood', 'unavailable', 'PE002', 'too long' ],
	[
		'text HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n',
		'throttled', 'PE002', 'quota'
	],
	[
		'text HTTP/1.1 503 Sealed\r\nContent-Length: 31\r\n\r\n'
		  . '{"errors": ["Vault is sealed"]}',
		'unavailable', 'PE002', 'sealed'
	])
{
	my ($mode, $category, $sqlstate, $said) = @$_;

	$bao->behave($mode);
	fails($mode, $category, $sqlstate, $said);
	opens($mode);
}

sub helper_pid
{
	my @pids = grep { $_ ne '' } split /\n/, qx(pgrep -P $keeper -f pgenvelope-kms);

	return $pids[0];
}
# It gives up by itself, before it would be killed, whatever the deadline is.
set_setting($node, 'pgenvelope.provider_timeout', '500ms');
opens('another deadline');
my $told = helper_pid();
$bao->behave('hang');
fails('another deadline', 'unavailable', 'PE002',
	'The service did not answer in time');
is(helper_pid(), $told, 'another deadline: the program lives on');
set_setting($node, 'pgenvelope.provider_timeout', '5s');
opens('the usual deadline');
isnt(helper_pid(), $told, 'the usual deadline: of which another is told');

# ---------------------------------------------------------------------------
# It says no
# ---------------------------------------------------------------------------

write_file($token_file, $powerless);
fails('a token without a policy', 'denied', 'PE006', 'policies');
write_file($token_file, $token);
opens('the right token');
unlink $token_file;
fails('no token', 'misconfigured', 'PE006', 'token');
write_file($token_file, $token);
opens('the token back');
$bao->do('POST', 'transit/keys/app/config',
	{ min_decryption_version => 2, deletion_allowed => \1 });
$bao->do('POST', 'transit/keys/app/rotate', {});
$bao->do('POST', 'transit/keys/app/config', { min_decryption_version => 3 });
fails('a version that may not decrypt', 'disabled', 'PE006',
	'min_decryption_version');
$bao->do('POST', 'transit/keys/app/config', { min_decryption_version => 2 });
opens('a version that may decrypt');

# ---------------------------------------------------------------------------
# Down for a while
# ---------------------------------------------------------------------------

# A key that is open goes on to be until its time is up, then it fails, and
# is back by itself.
my ($ttl, $grace) = map {
	$node->safe_psql('postgres',
		"SELECT setting FROM pg_settings WHERE name = 'pgenvelope.$_'")
} qw(key_cache_ttl key_cache_grace);
$bao->behave('refuse');
advance_clock($node, $ttl - 100);
is($tester->value("SELECT opened('v')"), 'plain of v', 'down: still open');
advance_clock($node, 101);
is($tester->value("SELECT opened('v')"),
	'plain of v', 'down: open in the time of grace');
advance_clock($node, $grace + 1);
is($tester->sqlstate("SELECT opened('v')"), 'PE002', 'down: and no longer');
$bao->behave('pass');
advance_clock($node, 60);
is($tester->value("SELECT opened('v')"), 'plain of v', 'up: open again');

# The program may be killed at any time.
my $helper = helper_pid();
ok($helper, 'the keeper runs pgenvelope-kms');
my $arguments = slurp_file("/proc/$helper/cmdline");
like($arguments, qr{/pgenvelope-kms\0\Q$vault\E\0$}, 'with the URI');
kill_process($helper);
opens('the program killed');
isnt(helper_pid(), $helper, 'by another process');

# ---------------------------------------------------------------------------
# What never shows
# ---------------------------------------------------------------------------

my $log = slurp_file($node->logfile);
for (
	[ 'the token', $token ], [ 'another token', $powerless ],
	[ 'the root token', $bao->{token} ], [ 'an answer', 'error occurred' ],
	[ 'a plaintext', 'plain of v' ], [ 'a sealed key', 'vault:v[0-9]:' ])
{
	my ($what, $secret) = @$_;

	# Statements of the test itself are not logged.
	unlike($log, qr/$secret/, "the log does not have $what");
}
like($log, qr/DEBUG:/, 'although it has everything');
is_sqlstate(
	$node, q(CREATE ROLE somebody; SET ROLE somebody;
	SHOW pgenvelope.providers),
	'42501', 'the URI is not shown to everybody');
is( $node->safe_psql(
		'postgres', q(SET ROLE somebody;
		SELECT count(*) FROM pg_settings WHERE setting LIKE '%transit%')),
	'0',
	'in no setting');
is(keeper_pid($node), $keeper, 'one keeper has lived through all of this');
all_wiped($node, 'at the end');
$tester->quit;
$node->stop;
$bao->stop;

done_testing();
