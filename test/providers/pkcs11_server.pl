#!/usr/bin/perl
# pkcs11_server.pl: keys of a PostgreSQL server under root keys in PKCS#11
# tokens.
#
# Several tokens, of two vendors where openCryptoki can be had, beside a key
# file; keys move between them.  A module that crashes or hangs (a double,
# pkcs11_double.c) costs its own requests and nothing else.  A wrong PIN is
# sent once, and no PIN is ever in a log.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use Pkcs11;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = softhsm_missing();
plan(skip_all => "needs $missing") if $missing;

$PgEnvelope::rewrap_workers = 0;

my $pin = 'p1n7q3x9';
my $wrong_pin = 'p1nwr0ng';
my $servers = softhsm_version();

new_softhsm();
softhsm_init('hsm', $pin);
softhsm_tool('hsm', $pin, '--keygen', '--sensitive', @$_)
  for (
	[qw(--key-type AES:32 --label gcm --id 01)],
	[qw(--key-type AES:32 --label wrap --id 02)],
	[qw(--key-type AES:32 --label case --id 03)]);
softhsm_tool('hsm', $pin,
	qw(--keypairgen --key-type RSA:2048 --label rsa --id 04));

my $double = new_module_double();
my $pin_file = write_file(new_directory('pin') . '/pin', "$pin\n");
my %uri = (
	file => 'file://' . new_key_file(),
	gcm => hsm_uri('gcm'),
	wrap => hsm_uri('wrap', mechanism => 'aes-kw'),
	rsa => hsm_uri('rsa', mechanism => 'rsa-oaep-sha1'),
	case => hsm_uri('case', 'module-path' => $double->path));

sub hsm_uri
{
	my ($object, %words) = @_;

	return pkcs11_uri(
		"token=hsm;object=$object",
		'module-path' => softhsm_module(),
		'pin-source' => "file:$pin_file", %words);
}

# A provider of the second vendor, by a script that takes it into its
# namespaces.
my $second = opencryptoki_missing();
my $token;
if (!$second)
{
	$token = new_opencryptoki($pin);
	$servers .= ', ' . $token->version;
	$token->tool($pin, qw(--keypairgen --key-type RSA:2048 --label rsa));
	my $uri = pkcs11_uri(
		'token=ock;object=rsa',
		'module-path' => $token->module,
		'pin-source' => "file:$pin_file");
	my $command = join ' ', $token->inside(helper_program());
	$uri{second} = 'command:'
	  . write_file(new_directory('second') . '/helper',
		"#!/bin/sh\nexec $command '$uri'\n", 0700);
}
note("servers: $servers");

my @names = sort keys %uri;

sub setting
{
	return join ', ', map { "$_=$uri{$_}" } @names;
}

my $node = new_node(
	'main',
	providers => setting(),
	conf => "log_min_messages = debug5\n");

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

sub opens
{
	my ($key, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is( $tester->value(
			"SELECT pgenvelope.evict_key('$key') >= 0; SELECT opened('$key')"),
		"t\nplain of $key",
		$test);
	return;
}

# The next try fails by category; returns what the log has of it.
sub fails
{
	my ($key, $category, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $log_end = -s $node->logfile;

	$tester->value("SELECT pgenvelope.evict_key('$key')");
	my (undef, $sqlstate, $message) = $tester->run("SELECT opened('$key')");
	is( $sqlstate,
		$category eq 'unavailable' ? 'PE002' : 'PE006',
		"$test: SQLSTATE");
	like($message, qr/: $category\n/, "$test: $category");
	unlike($message, qr{/|CKR_}, "$test: no location, no code");
	my $log = slurp_file($node->logfile, $log_end);
	like($log, qr/LOG:  key provider "\w+" did not unseal key "$key"/,
		"$test: logged");
	return $log;
}

# The arguments of each process, by its number.
sub arguments
{
	my %found;

	for my $pid (map { m{/(\d+)$} } glob '/proc/[0-9]*')
	{
		# It may have gone meanwhile.
		open my $in, '<', "/proc/$pid/cmdline" or next;
		sysread($in, my $line, 65536) or next;
		$found{$pid} = $line;
	}
	return %found;
}

# Failures are remembered for two seconds.
sub forget_failures
{
	advance_clock($node, 3);
	return;
}

# ---------------------------------------------------------------------------
# Several at once
# ---------------------------------------------------------------------------

for (@names)
{
	is(sqlstate_of($node, "CALL add('$_', '$_')"), '00000', "a key by $_");
	opens($_, "$_: opens");
}
is( $node->safe_psql(
		'postgres', <<'END'),
SELECT string_agg(name || ' ' || root_key, ', ' ORDER BY name)
FROM pgenvelope.keys WHERE name IN ('gcm', 'wrap', 'rsa')
END
	'gcm gcm/01, rsa rsa/04, wrap wrap/02',
	'each has the name of its root key');
$node->restart;
$tester->quit;
$tester = session($node);
opens($_, "$_: opens after a restart") for @names;
$keeper = keeper_pid($node);

# From each to the next, with the values where they are.
for (@names, $names[0])
{
	like(
		$node->safe_psql('postgres', "SELECT pgenvelope.reseal_keys('$_')"),
		qr/^\d+$/, "all keys move to $_");
	is( $node->safe_psql(
			'postgres', 'SELECT DISTINCT provider FROM pgenvelope.keys'),
		$_,
		"all are there");
	my @wrong = grep {
		$tester->value("SELECT pgenvelope.evict_key('$_') >= 0; SELECT opened('$_')") ne
		  "t\nplain of $_"
	} @names;
	is("@wrong", '', "all open by $_");
}

# Back to where they were.
for (@names)
{
	is(sqlstate_of($node, "CALL add('$_ again', '$_')"),
		'00000', "another key by $_");
}

# ---------------------------------------------------------------------------
# What is altered in the catalog
# ---------------------------------------------------------------------------

for my $name (grep { $_ ne 'file' } @names)
{
	my $key = "$name again";
	my $version = <<"END";
pgenvelope.key_version
WHERE key_id = (SELECT key_id FROM pgenvelope.key WHERE name = '$key')
END
	my $sealed =
	  $node->safe_psql('postgres', "SELECT sealed_kek FROM $version");

	$node->safe_psql('postgres', <<"END");
UPDATE pgenvelope.key_version
SET sealed_kek = set_byte(sealed_kek, length(sealed_kek) - 1,
    get_byte(sealed_kek, length(sealed_kek) - 1) # 1)
WHERE key_id = (SELECT key_id FROM pgenvelope.key WHERE name = '$key')
END
	fails($key, 'integrity', "$name, an altered seal");

	# Of another key under the same root key: its AAD, or what the KEK is
	# bound to, is another.
	$node->safe_psql('postgres', <<"END");
SELECT pgenvelope.create_key('$name other', '$name', '{"tenant": null}');
UPDATE pgenvelope.key_version
SET sealed_kek = (SELECT sealed_kek FROM pgenvelope.key_version
    WHERE key_id = (SELECT key_id FROM pgenvelope.key
        WHERE name = '$name other'))
WHERE key_id = (SELECT key_id FROM pgenvelope.key WHERE name = '$key')
END
	fails($key, 'integrity', "$name, the seal of another key");
	$node->safe_psql('postgres', <<"END");
UPDATE pgenvelope.key_version SET sealed_kek = '$sealed'
WHERE key_id = (SELECT key_id FROM pgenvelope.key WHERE name = '$key')
END
	opens($key, "$name: opens as it was");
}

# ---------------------------------------------------------------------------
# A module that misbehaves (double)
# ---------------------------------------------------------------------------

my $key = 'case again';
my $waiter = session($node);

for my $function (qw(C_Decrypt C_FindObjectsInit))
{
	$double->behave("$function crash");
	my $log = fails($key, 'unavailable', "double, $function crashes");
	like($log, qr/signal 11|closed its pipes/,
		"double, $function crashes: the log says how");
	opens('gcm again', "double, $function crashes: others open");
	$double->behave();
	forget_failures();
	opens($key, "double, $function crashes: opens when mended");
}

for my $function (qw(C_Decrypt C_GetSessionInfo))
{
	$double->behave("$function hang");
	$waiter->value("SELECT pgenvelope.evict_key('$key'); SET statement_timeout = '400ms'");
	my (undef, $sqlstate) = $waiter->run("SELECT opened('$key')");
	is($sqlstate, '57014', "double, $function hangs: statement_timeout");
	cmp_ok($waiter->seconds, '<', 1.4,
		"double, $function hangs: it ends in time");
	opens('gcm again', "double, $function hangs: others open");
	$waiter->value('RESET statement_timeout');
	$waiter->start("SELECT opened('$key')");
	ok($waiter->waiting, "double, $function hangs: who has no timeout waits");
	$double->behave();
	advance_clock($node, 6);
	(undef, $sqlstate) = $waiter->finish;
	is($sqlstate, 'PE002',
		"double, $function hangs: until the keeper's deadline");
	forget_failures();
	opens($key, "double, $function hangs: opens when mended");
}
$waiter->quit;
is(keeper_pid($node), $keeper, 'it is the same keeper');

# ---------------------------------------------------------------------------
# PINs
# ---------------------------------------------------------------------------

# The provider's process is new, and so has to log in.
write_file($pin_file, "$wrong_pin\n");
$double->behave('C_GetSessionInfo once 0xb3');
$double->forget_calls;
my $log = fails($key, 'denied', 'a wrong PIN');
like($log, qr/CKR_PIN_INCORRECT/, 'a wrong PIN: the log has the reason');
for (1 .. 3)
{
	forget_failures();
	fails($key, 'denied', "a wrong PIN, time $_ again");
}
is($double->calls('C_Login'), 1, 'it was sent once');
opens('gcm again', 'others have their sessions');

# An administrator may have it tried again.
my %arguments = arguments();
my ($process) = grep {
	$arguments{$_} =~ /pgenvelope-pkcs11\0pkcs11:.*double\.so/
} keys %arguments;
kill_process($process);
forget_failures();
fails($key, 'denied', 'a wrong PIN, to another process');
is($double->calls('C_Login'), 2, 'it was sent once more');
write_file($pin_file, "$pin\n");
forget_failures();
opens($key, 'the right PIN is found without a restart');
is($double->calls('C_Login'), 3, 'and sent once');
chmod 0644, $pin_file;
$double->behave('C_GetSessionInfo once 0xb3');
fails($key, 'misconfigured', 'a PIN for everybody to read');
chmod 0600, $pin_file;
forget_failures();
opens($key, 'the PIN is mended');

# ---------------------------------------------------------------------------
# Root keys that change, or go
# ---------------------------------------------------------------------------

# Rotated under one name: the former one is named as long as it is needed.
softhsm_tool('hsm', $pin,
	qw(--keygen --key-type AES:32 --label gcm --id 11 --sensitive));
fails('gcm again', 'misconfigured', 'two root keys of one label');
$uri{gcm} = pkcs11_uri(
	'token=hsm;object=gcm;id=%11',
	'module-path' => softhsm_module(),
	'pin-source' => "file:$pin_file",
	'previous-id' => '01');
set_providers($node, setting());
forget_failures();
opens('gcm again', 'a key sealed by the former root key');
is( $node->safe_psql('postgres', <<'END'), 'gcm/01', 'which is in its row');
SELECT root_key FROM pgenvelope.keys WHERE name = 'gcm again'
END
cmp_ok($node->safe_psql('postgres', 'SELECT pgenvelope.reseal_keys()'),
	'>', 0, 'it is sealed anew');
is( $node->safe_psql('postgres', <<'END'), 'gcm/11', 'by the new root key');
SELECT root_key FROM pgenvelope.keys WHERE name = 'gcm again'
END
$uri{gcm} =~ s/&previous-id=01//;
set_providers($node, setting());
opens('gcm again', 'the former root key is not needed any more');

# Destroyed while it is in use.
softhsm_tool('hsm', $pin, '--delete-object', '--type', 'secrkey', '--label',
	'case');
$log = fails($key, 'not_found', 'a root key that was destroyed');
like($log, qr/no such key/, 'the log says so');
is_sqlstate($node, q{SELECT pgenvelope.create_key('new', 'case')},
	'PE006', 'no key is made without it');

# The whole token.
softhsm_init('hsm', $pin, 1);
fails("$_ again", 'not_found', "$_: a token that was initialised anew")
  for qw(gcm wrap rsa);
opens("$_ again", "$_: others open")
  for grep { /file|second/ } @names;

# ---------------------------------------------------------------------------
# Secrets
# ---------------------------------------------------------------------------

$log = slurp_file($node->logfile);
ok($log =~ /^.*DEBUG/m, 'the log has all there is');
unlike($log, qr/\Q$pin\E|\Q$wrong_pin\E/, 'no PIN is in it');
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
for ('postgres', 'nobody')
{
	my $role = $_ eq 'postgres' ? '' : "SET ROLE $_;";

	unlike(
		$node->safe_psql(
			'postgres', "$role SELECT s FROM pg_settings s"),
		qr/\Q$pin\E|\Q$wrong_pin\E/,
		"nor in pg_settings, for $_");
}
%arguments = arguments();
is( scalar(
		grep { /pgenvelope/ && /\Q$pin\E|\Q$wrong_pin\E/ } values %arguments),
	0,
	'nor in the arguments of a process');
is_sqlstate($node,
	q{ALTER SYSTEM SET pgenvelope.providers =
	  'a=pkcs11:object=o?module-path=/m&pin-value=1'},
	'22023', 'a PIN in the setting is refused');

$tester->quit;
$node->stop;
$token->stop if $token;

SKIP:
{
	skip "needs $second", 1 if $second;
	pass('with two vendors');
}
done_testing();
