# 003_providers.pl: what goes wrong with a provider is a clear error of its
# own keys, by category, and of nobody else's.
#
# Key files that must not be used, passphrases, every misbehaviour of a helper
# program (a double, test/perl/helper_double.py), and the setting
# pgenvelope.providers itself.  After each case the same key opens again, which
# also shows that nothing was broken for good.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use MIME::Base64 qw(encode_base64);
use PgEnvelope;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PgEnvelope::rewrap_workers = 0;

my $file = new_key_file();
my $case = new_key_file();
my $passphrase = new_directory('passphrase') . '/secret';
my $double = new_double('kms');
my $helper_keys = new_directory('helper_keys');
my $helper = new_directory('helper') . '/helper.sh';
my %uri = (
	main => "file://$file",
	case => "file://$case",
	pass => "passphrase://$passphrase",
	kms => $double->uri,
	shell => "command:$helper");

sub setting
{
	return join ', ', map { "$_=$uri{$_}" } @_;
}

write_file($passphrase, "correct horse battery staple\n");
write_file($helper,
	slurp_file(source_directory() . '/docs/examples/helper.sh'), 0755);
$ENV{HELPER_KEYS} = $helper_keys;
my $node =
  new_node('main', providers => setting(qw(main case pass kms shell)));

$node->safe_psql('postgres', <<'END');
CREATE TABLE value (key text PRIMARY KEY, v envelope);
CREATE FUNCTION opened(k text) RETURNS text LANGUAGE sql STABLE
AS $$SELECT env_decrypt(v, '{"tenant": "acme"}') FROM value WHERE key = k$$;
CREATE PROCEDURE add(k text, provider text) LANGUAGE sql AS $$
SELECT pgenvelope.create_key(k, provider, '{"tenant": null}');
INSERT INTO value
SELECT k, env_encrypt('plain of ' || k, '{"tenant": "acme"}', k);
$$;
CALL add('main', 'main');
CALL add('case', 'case');
CALL add('pass', 'pass');
CALL add('kms', 'kms');
END
my $keeper = keeper_pid($node);
my $tester = session($node);

# A key of another provider opens, with a call of its own.
sub others_open
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is( $tester->value(
			"SELECT pgenvelope.evict_key('main') >= 0; SELECT opened('main')"),
		"t\nplain of main",
		"$what: another key opens");
	return;
}

# With the provider in order, the key opens once failures are forgotten.
sub opens_again
{
	my ($key, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is( $tester->value(
			"SELECT pgenvelope.evict_key('$key') >= 0; SELECT opened('$key')"),
		"t\nplain of $key",
		"$what: opens when mended");
	return;
}

# A failure: its SQLSTATE, its category in the message, the counters and the
# log, and nothing of it in the message that only the log may have.
sub fails
{
	my ($key, $category, $what, $secret) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sqlstate = $category =~ /unavailable|throttled/ ? 'PE002' : 'PE006';
	my $log_end = -s $node->logfile;
	my $counter = "SELECT failed_$category FROM pgenvelope.stat";
	my $count = $tester->value($counter);

	$tester->value("SELECT pgenvelope.evict_key('$key')");
	my (undef, $got, $message) = $tester->run("SELECT opened('$key')");
	is($got, $sqlstate, "$what: $sqlstate");
	like($message, qr/: $category\n/, "$what: $category");
	is($tester->value($counter), $count + 1, "$what: counted");
	my $log = slurp_file($node->logfile, $log_end);
	like($log,
		qr/LOG:  key provider "\w+" did not unseal key "$key" version 1: $category/,
		"$what: logged");
	$secret //= qr{/\w+/};
	like($log, $secret, "$what: the log has the detail");
	unlike($message =~ s/^LOCATION:.*//mr,
		$secret, "$what: the message does not");
	return;
}

# ---------------------------------------------------------------------------
# Key files
# ---------------------------------------------------------------------------

my $good = slurp_file($case);
my $in_data = $node->data_dir . '/root.key';
my %content = (
	'empty' => '',
	'short' => encode_base64(random_bytes(31)),
	'long' => encode_base64(random_bytes(33)),
	'raw' => random_bytes(31) . "\xff",
	'hexadecimal' => unpack('H*', random_bytes(32)) . "\n",
	'url alphabet' => ('_' x 43) . "=\n",
	'unpadded' => $good =~ s/=//r,
	'two lines' => $good . $good,
	'two newlines' => "$good\n",
	'carriage return' => $good =~ s/\n/\r\n/r,
	'blank first' => " $good",
	'PEM' => "-----BEGIN KEY-----\n$good-----END KEY-----\n");

for my $what (sort keys %content)
{
	write_file($case, $content{$what});
	fails('case', 'misconfigured', "key file, $what");
}

my @files = (
	[ 'missing', 'not_found', sub { } ],
	[
		'directory missing', 'not_found',
		sub { symlink '/nonexistent/root.key', $case }
	],
	[ 'directory', 'misconfigured', sub { mkdir $case } ],
	[ 'FIFO', 'misconfigured', sub { mkfifo($case, 0600) } ],
	[
		'readable by all', 'misconfigured',
		sub { write_file($case, $good, 0644) }
	],
	[
		'readable by the group', 'misconfigured',
		sub { write_file($case, $good, 0640) }
	],
	[ 'executable', 'misconfigured', sub { write_file($case, $good, 0700) } ],
	[
		'set-uid', 'misconfigured',
		sub {
			write_file($case, $good);
			chmod 04600, $case;
		}
	],
	[ 'not readable', 'misconfigured', sub { write_file($case, $good, 0) } ],
	[ 'link to itself', 'misconfigured', sub { symlink $case, $case } ],
	[ 'device', 'misconfigured', sub { symlink '/dev/null', $case } ],
	[
		'in the data directory',
		'misconfigured',
		sub {
			write_file($in_data, $good);
			symlink $in_data, $case;
		}
	],
	[
		'owned by another', 'misconfigured', sub { symlink '/etc/hostname', $case }
	]);

for (@files)
{
	my ($what, $category, $make) = @$_;

	-d $case ? rmdir $case : unlink $case;
	$make->();
  SKIP:
	{
		skip 'root may read everything', 6 if $what eq 'not readable' && !$<;
		fails('case', $category, "key file, $what");
	}
}
unlink $case;
symlink "$case.real", $case;
write_file("$case.real", $good =~ s/\n//r, 0400);
opens_again('case', 'key file behind a link, of mode 0400, without newline');
others_open('bad key files');

# Another root key: which is there and which is missing is in the log.
my ($root_key) = $node->safe_psql('postgres',
	"SELECT root_key FROM pgenvelope.keys WHERE name = 'case'");
like($root_key, qr/^[0-9a-f]{16}$/, 'a root key has a fingerprint');
write_file("$case.real", encode_base64(random_bytes(32)));
fails('case', 'integrity', 'another root key', qr/$root_key/);
write_file("$case.real", $good);
opens_again('case', 'another root key');

# Sealing needs the file as much as unsealing does; no key is made for want of
# one.
unlink $case;
is_sqlstate($node, "SELECT pgenvelope.create_key('new', 'case')",
	'PE006', 'no key is created without a root key');
is_sqlstate($node, "SELECT pgenvelope.rotate_key('case')",
	'PE006', 'nor rotated');
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM pgenvelope.keys WHERE provider = 'case'"),
	'1',
	'nothing is left of either');
ok(!-e $case, 'no root key was made in the place of the missing one');
symlink "$case.real", $case;
advance_clock($node, 3);
is($node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('case')"),
	'2', 'it is rotated when the file is back');

# ---------------------------------------------------------------------------
# Passphrases
# ---------------------------------------------------------------------------

write_file($passphrase, "incorrect horse battery staple\n");
fails('pass', 'integrity', 'wrong passphrase',
	qr/holds root key [0-9a-f]{16}/);
unlink $passphrase;
fails('pass', 'not_found', 'missing passphrase');
write_file($passphrase, "short\n");
is_sqlstate($node, "SELECT pgenvelope.create_key('new', 'pass')",
	'PE006', 'nothing is sealed with a short passphrase');
write_file($passphrase, "correct horse battery staple");
opens_again('pass', 'passphrase');

# ---------------------------------------------------------------------------
# Helpers that answer badly
# ---------------------------------------------------------------------------

my @bad = (
	[ 'fail unavailable no route', 'unavailable', qr/no route/ ],
	[ 'fail throttled too fast', 'throttled', qr/too fast/ ],
	[ 'fail denied no policy', 'denied', qr/no policy/ ],
	[ 'fail not_found no root', 'not_found', qr/no root/ ],
	[ 'fail disabled is off', 'disabled', qr/is off/ ],
	[ 'fail integrity bad seal', 'integrity', qr/bad seal/ ],
	[ 'fail misconfigured no file', 'misconfigured', qr/no file/ ],
	# A process that ends closes its pipes before it can be waited for.
	[ 'exit', 'unavailable', qr/exit code is 0|closed its pipes/ ],
	[ 'exit 3', 'unavailable', qr/exit code is 3|closed its pipes/ ],
	[ 'kill', 'unavailable', qr/signal 15|closed its pipes/ ],
	[ 'close', 'unavailable', qr/closed its pipes/ ],
	[ 'flood', 'unavailable', qr/broke the protocol\. \w/ ],
	[ 'long', 'unavailable', qr/too long a line/ ],
	[ 'extra', 'unavailable', qr/more than one line/ ],
	[ 'rubbish', 'unavailable', qr/another request/ ],
	[ 'nul', 'unavailable', qr/not a reply/ ],
	[ 'wrong_word', 'unavailable', qr/not a reply/ ],
	[ 'wrong_category', 'unavailable', qr/no category/ ],
	[ 'wrong_id', 'unavailable', qr/another request/ ],
	[ 'bad_base64', 'unavailable', qr/not a reply/ ],
	[ 'short', 'integrity', qr/47 bytes/ ],
	[ 'wrong_blob', 'integrity', qr/LOG:  key provider "kms"/ ]);

for (@bad)
{
	my ($behaviour, $category, $detail) = @$_;

	$double->behave("unseal $behaviour");
	fails('kms', $category, "helper, $behaviour", $detail);
	$double->behave('ok');
	opens_again('kms', "helper, $behaviour");
}
others_open('bad helpers');
unlike(slurp_file($node->logfile), qr/[\x1b\xff]|rubbish of the double/,
	'nothing that a helper printed is in the log');

# One more line than asked for, when nobody listens any more.
$double->behave('late');
opens_again('kms', 'helper, late line');
my $late = $double->pid;
wait_until(sub { !kill 0, $late },
	'a helper that spoke out of turn has gone');
$double->behave('ok');
opens_again('kms', 'after a late line');

# Sealing.
for (
	[ 'fail denied', 'PE006' ],
	[ 'fail unavailable', 'PE002' ],
	[ 'short', 'PE002' ],
	[ 'bad_base64', 'PE002' ],
	[ 'wrong_blob', 'PE006' ],
	[ 'wrong_key', 'PE006' ])
{
	my ($behaviour, $sqlstate) = @$_;

	$double->behave("seal $behaviour");
	is_sqlstate($node, "SELECT pgenvelope.create_key('new', 'kms')",
		$sqlstate, "sealing, $behaviour: $sqlstate");
	$double->behave('ok');
	opens_again('kms', "sealing, $behaviour");
}
$double->behave('unseal fail denied');
is_sqlstate($node, "SELECT pgenvelope.create_key('new', 'kms')",
	'PE006', 'a key that does not open after sealing is not created');
$double->behave('ok');
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM pgenvelope.key WHERE name = 'new'"),
	'0',
	'no key was created');
all_wiped($node, 'keys that were not created');

# ---------------------------------------------------------------------------
# Helpers that do not answer
# ---------------------------------------------------------------------------

my $waiter = session($node);
for my $behaviour (qw(hang half))
{
	my $calls = $double->calls('unseal');

	$double->behave($behaviour);
	$waiter->value("SELECT pgenvelope.evict_key('kms')");
	$waiter->start("SELECT opened('kms')");
	$double->wait_for_call('unseal', $calls + 1);
	my $pid = $double->pid;
	others_open("helper, $behaviour");
	ok($waiter->waiting, "helper, $behaviour: the one who asked waits");
	$double->behave('ok');
	advance_clock($node, 5);
	my (undef, $sqlstate, $message) = $waiter->finish;
	is($sqlstate, 'PE002', "helper, $behaviour: until the deadline");
	like($message, qr/did not answer in time/, "helper, $behaviour: says so");
	wait_until(sub { !kill 0, $pid }, 'the helper has gone');
	opens_again('kms', "helper, $behaviour");
}
$double->behave('slow 0.3');
opens_again('kms', 'helper, slow');
$double->behave('ok');
$waiter->quit;

# A helper may go when it has nothing to do, and nothing is lost by it.
for (1 .. 10)
{
	kill_process($double->pid);
	opens_again('kms', "helper that went, $_");
}

# Programs that cannot be run.
for (
	[ 'missing', 'misconfigured', sub { unlink $double->path } ],
	[
		'not executable', 'misconfigured',
		sub { write_file($double->path, "#!/bin/sh\n", 0600) }
	],
	[
		'writable by all', 'misconfigured',
		sub { write_file($double->path, "#!/bin/sh\n", 0777) }
	],
	[
		'no program', 'misconfigured',
		sub { write_file($double->path, "\0", 0700) }
	],
	[
		'without interpreter',
		'misconfigured',
		sub { write_file($double->path, "#!/nonexistent\n", 0700) }
	],
	[
		'gone at once', 'unavailable',
		sub { write_file($double->path, "#!/bin/false\n", 0700) }
	])
{
	my ($what, $category, $make) = @$_;

	my $program = slurp_file($double->path);

	# The one that runs would be asked again.
	kill_process($double->pid);
	$make->();
	fails('kms', $category, "program, $what", qr{exit code|closed its pipes|/\w+/});
	write_file($double->path, $program, 0700);
	opens_again('kms', "program, $what");
}
others_open('programs that cannot be run');

# ---------------------------------------------------------------------------
# The example in docs/examples
# ---------------------------------------------------------------------------

SKIP:
{
	skip 'needs openssl', 6
	  if system('openssl version >/dev/null 2>&1') != 0;
	my $log_end = -s $node->logfile;

	system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
		'ec_paramgen_curve:P-256', '-nodes', '-keyout',
		"$helper_keys/shell.key", '-out', "$helper_keys/shell.crt", '-days',
		'36500', '-subj', '/CN=shell');
	chmod 0600, "$helper_keys/shell.key";
	$node->safe_psql('postgres', "CALL add('shell', 'shell')");
	is( $node->safe_psql(
			'postgres', "SELECT pgenvelope.evict_key('shell'); SELECT opened('shell')"),
		"1\nplain of shell",
		'the example of a helper seals and unseals');
	like(
		$node->safe_psql(
			'postgres',
			"SELECT root_key FROM pgenvelope.keys WHERE name = 'shell'"),
		qr/^[0-9a-f]{16}$/,
		'and names its root key');
	rename "$helper_keys/shell.key", "$helper_keys/away.key";
	is_sqlstate(
		$node, "SELECT pgenvelope.evict_key('shell'); SELECT opened('shell')",
		'PE006', 'without its root key it says so');
	like(slurp_file($node->logfile, $log_end),
		qr/not_found/, 'by category');
	rename "$helper_keys/away.key", "$helper_keys/shell.key";
	opens_again('shell', 'the example');
	is( $node->safe_psql(
			'postgres',
			"SELECT pgenvelope.rotate_key('shell'); SELECT opened('shell')"),
		"2\nplain of shell",
		'and rotates');
}

# ---------------------------------------------------------------------------
# One provider keeps the keeper busy
# ---------------------------------------------------------------------------

# Passphrases are worked on in the keeper itself, one at a time, and others
# have their turn in between.
$tester->value("CALL add('pass$_', 'pass')") for 1 .. 5;
$tester->value('SELECT pgenvelope.evict_key()');
set_point($node, 'loop', 'hang');
my @slow = map { session($node) } 1 .. 5;
my $quick = session($node);
$slow[ $_ - 1 ]->start("SELECT opened('pass$_')") for 1 .. 5;
$node->poll_query_until('postgres',
	q(SELECT count(*) = 5 FROM pg_stat_activity
	  WHERE wait_event_type IN ('Extension', 'IPC') AND query LIKE 'SELECT opened%'));
$quick->start("SELECT opened('kms')");
$node->poll_query_until('postgres',
	q(SELECT count(*) = 6 FROM pg_stat_activity
	  WHERE wait_event_type IN ('Extension', 'IPC') AND query LIKE 'SELECT opened%'));
set_point($node, 'loop', 'pass');
is(($quick->finish)[0], 'plain of kms', 'a key opens beside passphrases');
my $still = $node->safe_psql('postgres',
	q(SELECT count(*) FROM pg_stat_activity
	  WHERE wait_event_type IN ('Extension', 'IPC') AND query LIKE 'SELECT opened%'));
cmp_ok($still, '>', 0, 'and does not wait for all of them');
is(($slow[ $_ - 1 ]->finish)[0], "plain of pass$_", 'which open as well')
  for 1 .. 5;
$_->quit for @slow, $quick;

# ---------------------------------------------------------------------------
# The setting
# ---------------------------------------------------------------------------

# A provider that is no longer listed opens nothing any more, in no session,
# although its keys were open when the setting changed.
$tester->value(q(SELECT opened('kms'), opened('main')));
my $cached = counter($node, 'cached_keys');
set_providers($node, setting(qw(main case pass shell)));
ok( $node->poll_query_until(
		'postgres', "SELECT cached_keys < $cached FROM pgenvelope.stat"),
	'an open key goes with its provider');
is($tester->sqlstate("SELECT opened('kms')"),
	'PE006', 'also in a session that held it');
is_sqlstate($node, "SELECT opened('kms')", 'PE006', 'and in any other');
is($tester->value("SELECT opened('main')"),
	'plain of main', 'keys of other providers stay');
all_wiped($node, 'a provider that is not listed');
is_sqlstate($node, "SELECT pgenvelope.rotate_key('kms')",
	'PE006', 'a key of an unlisted provider is not rotated');
wait_until(sub { !kill 0, $double->pid }, 'its helper has gone');
set_providers($node, setting(qw(main case pass shell kms)));
opens_again('kms', 'an unlisted provider');

# The same name with another root key.
my %saved = %uri;
$uri{case} = "file://${\ new_key_file() }";
set_providers($node, setting(qw(main case pass kms)));
fails('case', 'integrity', 'a name that leads elsewhere', qr/$root_key/);
%uri = %saved;
set_providers($node, setting(qw(main case pass kms)));
opens_again('case', 'a name that leads elsewhere');

# A call that is under way for an entry that changes.
$double->behave('hang');
my $calls = $double->calls('unseal');
$waiter = session($node);
$waiter->value("SELECT pgenvelope.evict_key('kms')");
$waiter->start("SELECT opened('kms')");
$double->wait_for_call('unseal', $calls + 1);
set_providers($node, setting(qw(main case pass)));
is(($waiter->finish)[1], 'PE002', 'a call ends with its entry');
$double->behave('ok');
set_providers($node, setting(qw(main case pass kms)));
opens_again('kms', 'an entry that went during a call');
$waiter->quit;

# One database only.
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION pgenvelope');
set_providers($node,
	setting(qw(main case)) . ", only\@second=file://${\ new_key_file() }");
is_sqlstate($node, "SELECT pgenvelope.create_key('o', 'only')",
	'PE006', 'a provider of another database');
is( $node->safe_psql(
		'second',
		q(SELECT pgenvelope.create_key('o', 'only') > 0;
		  SELECT env_decrypt(env_encrypt('x', '{"tenant": "a", "type": "b"}',
		      'o'), '{"tenant": "a", "type": "b"}'))),
	"t\nx",
	'serves its own');

# Which provider new keys get.
set_providers($node,
	"only\@second=$uri{main}, first=$uri{case}, last=$uri{main}");
is( $node->safe_psql(
		'postgres', q(SELECT pgenvelope.create_key('d1') > 0;
		SELECT provider FROM pgenvelope.keys WHERE name = 'd1')),
	"t\nfirst",
	'a new key gets the first provider that serves its database');
$node->append_conf('postgresql.conf', "pgenvelope.key_provider = 'last'");
$node->reload;
$node->poll_query_until('postgres',
	"SELECT current_setting('pgenvelope.key_provider') = 'last'");
is( $node->safe_psql(
		'postgres', q(SELECT pgenvelope.create_key('d2') > 0;
		SELECT provider FROM pgenvelope.keys WHERE name = 'd2')),
	"t\nlast",
	'or the one that pgenvelope.key_provider names');
is( $node->safe_psql(
		'postgres', q(SELECT pgenvelope.create_key('d3', 'first') > 0;
		SELECT provider FROM pgenvelope.keys WHERE name = 'd3')),
	"t\nfirst",
	'or the one given');
is_sqlstate($node, "SELECT pgenvelope.create_key('d4', 'nonesuch')",
	'PE006', 'an unknown provider');
is_sqlstate($node, "SELECT pgenvelope.create_key('d4', '')",
	'PE006', 'a provider without name');
is_sqlstate($node, "SELECT pgenvelope.create_key('d4', repeat('x', 100))",
	'PE006', 'a provider with too long a name');
set_providers($node, '');
is_sqlstate($node, "SELECT pgenvelope.create_key('d4')",
	'PE006', 'key_provider names one that is not listed');
is_sqlstate($node, "SELECT pgenvelope.evict_key(); SELECT opened('main')",
	'PE006', 'no providers, no keys');
set_providers($node, setting(qw(main case)));

# Lists that are refused as a whole; the server goes on with the one before.
for (
	'main', 'main=', '=file:///x', 'main=http://example.org/key',
	'main=file://relative', 'main=file:///a%20b', 'main=file:////x',
	'main=file:///x, main=file:///y', 'main=file:///x,', 'ma in=file:///x',
	'main@=file:///x', 'main=env:KEY', ('m' x 64) . '=file:///x')
{
	is_sqlstate(
		$node, "ALTER SYSTEM SET pgenvelope.providers = '$_'",
		'22023', "refused: $_");
}
$node->append_conf('postgresql.auto.conf', "pgenvelope.providers = 'main'");
my $log_end = -s $node->logfile;
$node->reload;
$node->wait_for_log(
	qr/invalid value for parameter "pgenvelope.providers"/, $log_end);
opens_again('case', 'a reload with a bad list');
others_open('a reload with a bad list');

# Only an administrator may see where root keys are.
is_sqlstate(
	$node, q(CREATE ROLE somebody; SET ROLE somebody;
	SHOW pgenvelope.providers),
	'42501', 'the setting is not shown to everybody');
is_sqlstate($node, "SET pgenvelope.providers = ''",
	'55P02', 'and cannot be set in a session');

$tester->quit;
is(keeper_pid($node), $keeper, 'one keeper has lived through all of this');
all_wiped($node, 'at the end');

done_testing();
