# 013_reseal.pl: pgenvelope.reseal_keys, interrupted and beside everything else.
#
# A provider that fails in the middle, and the call that goes on from there;
# kill -9 of the backend, the helper, the keeper and the postmaster in the
# middle, after which every value decrypts; the old provider taken out of the
# setting; readers and writers meanwhile; former seals, read back by the
# provider and not from the cache; and rows copied into another database.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run ();
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $double = new_double('kms');
my $other = new_double('other');
my %uri = (
	main => 'file://' . new_key_file(),
	kms => $double->uri,
	other => $other->uri);

sub setting
{
	return join ', ', map { "$_=$uri{$_}" } @_;
}

my $node = new_node(
	'main',
	providers => setting(qw(main kms other)),
	conf => <<'END');
restart_after_crash = on
pgenvelope.key_timeout = 5s
pgenvelope.provider_timeout = 3s
pgenvelope.rewrap_workers = 0
END
my $keys = 6;

$node->safe_psql('postgres', <<"END");
CREATE TABLE value (id bigint GENERATED ALWAYS AS IDENTITY, key text,
    plain text, v envelope);
CREATE PROCEDURE add(k text) LANGUAGE sql AS \$\$
INSERT INTO value (key, plain, v)
SELECT k, 'plain of ' || k, env_encrypt('plain of ' || k, '{"tenant": "a"}', k)
\$\$;
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE sql STABLE AS \$\$
SELECT count(*) FROM value
WHERE env_decrypt(v, '{"tenant": "a"}') IS DISTINCT FROM plain \$\$;
SELECT pgenvelope.create_key('k' || i, 'main', '{"tenant": null}')
FROM generate_series(1, $keys) i;
CALL add('k1'); CALL add('k2'); CALL add('k3');
CALL add('k4'); CALL add('k5'); CALL add('k6');
SELECT pgenvelope.rotate_key('k1');
CALL add('k1');
END
my $versions = $keys + 1;

# How many versions are sealed by each provider, and how many seals are kept.
sub seals
{
	return $node->safe_psql('postgres', <<'END');
SELECT string_agg(provider || ' ' || n, ', ' ORDER BY provider)
FROM (SELECT provider, count(*) AS n FROM pgenvelope.key_version
    GROUP BY 1) AS p;
END
}

sub kept
{
	return $node->safe_psql('postgres',
		'SELECT count(*) FROM pgenvelope.key_seal');
}

sub all_decrypt
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $node->poll_query_until(
			'postgres', 'SELECT pgenvelope.evict_key() >= 0 AND wrong() = 0'),
		"$what: every value decrypts");
	return;
}

sub reseal
{
	my ($provider) = @_;

	return $node->safe_psql('postgres', "SELECT pgenvelope.reseal_keys('$provider')");
}

# A call that has sealed two keys and is busy with the third.
sub start_slowly
{
	my ($session, $provider, $to) = @_;
	my $calls = $to->calls('seal');

	$to->behave('seal slow 0.5');
	$session->start("SELECT pgenvelope.reseal_keys('$provider')");
	$to->wait_for_call('seal', $calls + 3);
	return;
}

# ---------------------------------------------------------------------------
# A provider that fails in the middle
# ---------------------------------------------------------------------------

my $session = session($node);
start_slowly($session, 'kms', $double);
$double->behave('seal fail throttled come back later');
my ($out, $sqlstate, $message) = $session->finish;
is($out, 3, 'three versions were sealed before the provider failed');
is($sqlstate, '00000', 'that is no error');
is(seals(), 'kms 3, main 4', 'and they stay sealed by it');
is(kept(), 3, 'their former seals are kept');
all_decrypt('in the middle');
like(
	slurp_file($node->logfile),
	qr/WARNING: .*4 key versions were not sealed anew/,
	'a warning tells how many are left');
unlike(
	slurp_file($node->logfile),
	qr/WARNING: .*come back later/,
	'but not in the provider\'s words');

my ($state, $error) =
  error_of($node, q(SELECT pgenvelope.evict_key(); SELECT pgenvelope.reseal_keys('kms', 'k6')));
is($state, 'PE002', 'where nothing was done it is an error');
$double->behave('seal denied');
advance_clock($node, 60);
is_sqlstate($node, q(SELECT pgenvelope.reseal_keys('kms', 'k6')),
	'PE006', 'by the category of the failure');

$double->behave('ok');
advance_clock($node, 60);
my $seals = $double->calls('seal');
is(reseal('kms'), 4, 'called again it does the rest');
is($double->calls('seal') - $seals,
	5, 'and only that, but for one that shows the root key in use');
is(seals(), "kms $versions", 'all are sealed by the new provider');
all_decrypt('when it is done');

# The former seals go when the provider has opened the new ones.
$double->behave('unseal fail unavailable');
is_sqlstate($node, q(SELECT pgenvelope.reseal_keys('kms', 'k6')),
	'PE002', 'new seals are read back from the provider, cached or not');
cmp_ok(kept(), '>=', 4, 'and former seals are kept until then');
$double->behave('ok');
advance_clock($node, 60);
is(reseal('kms'), 0, 'called once more there is nothing to seal');
is(kept(), 0, 'and the former seals are erased');

# The old provider is not needed any more.
set_providers($node, setting(qw(kms other)));
$session->quit;
$node->restart;
all_decrypt('without the old provider');
all_wiped($node, 'without the old provider');

# The provider's root key is rotated: the double names it, so what is sealed
# by the new one is known.
write_file($double->path . '.key', random_bytes(32));
kill 'KILL', $double->pid;
is( $node->safe_psql('postgres', q(SELECT count(*) FROM value WHERE
	env_verify(v, '{"tenant": "a"}') = 'ok')),
	$versions, 'keys that are open outlive their root key');
is($node->safe_psql('postgres', q(SELECT pgenvelope.reseal_keys())),
	$versions, 'and can be sealed by the next one while they are');
is($node->safe_psql('postgres', q(SELECT pgenvelope.reseal_keys())),
	0, 'which is done once');
all_decrypt('with another root key');

# ---------------------------------------------------------------------------
# Killed in the middle
# ---------------------------------------------------------------------------

my ($from, $to) = ([ kms => $double ], [ other => $other ]);

for my $who (qw(backend helper keeper postmaster))
{
	my $what = "$who killed in the middle";
	my ($provider, $helper) = @$to;

	$session = session($node);
	start_slowly($session, $provider, $helper);
	my $pid = {
		backend => sub { $session->pid },
		helper => sub { $helper->pid },
		keeper => sub { keeper_pid($node) },
		postmaster => sub {
			slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
			$1;
		}
	}->{$who}->();
	$who eq 'postmaster' ? $node->kill9 : kill_process($pid);
	($out, $sqlstate) = $session->finish;
	like($sqlstate, $who eq 'helper' ? qr/00000|PE002/ : qr/08006|57P0/,
		"$what: no hang");
	$session->quit;
	$helper->behave('ok');
	$who eq 'postmaster'
	  ? start_killed_server($node, $pid)
	  : wait_for_server($node);
	all_decrypt($what);
	is(seals(), "$from->[0] $versions", "$what: nothing was done")
	  if $who ne 'helper';
	ok( $node->poll_query_until(
			'postgres',
			"SELECT pgenvelope.reseal_keys('$provider') >= 0 AND NOT EXISTS"
			  . " (SELECT FROM pgenvelope.key_version WHERE provider <> '$provider')"
		),
		"$what: called again it is done");
	all_decrypt("$what, when it is done");
	reseal($provider);
	is(kept(), 0, "$what: no former seal is left");
	all_wiped($node, $what);
	($from, $to) = ($to, $from);
}

# ---------------------------------------------------------------------------
# Beside readers and writers
# ---------------------------------------------------------------------------

my $directory = new_directory('pgbench');
write_file("$directory/script", <<'END');
\set k random(1, 6)
SELECT env_decrypt(v, '{"tenant": "a"}') FROM value WHERE key = 'k' || :k LIMIT 1;
INSERT INTO value (key, plain, v)
SELECT 'k' || :k, 'new', env_encrypt('new', '{"tenant": "a"}', 'k' || :k);
END
my $load = IPC::Run::start(
	[
		'pgbench', '-n', '-c', '4', '-T', '5', '-f', "$directory/script",
		'-h', $node->host, '-p', $node->port, 'postgres'
	],
	'<', '/dev/null', '>', "$directory/out", '2>', "$directory/err");
set_providers($node, setting(qw(main kms other)));
my $rounds = 0;
while ($load->pumpable && $rounds < 12)
{
	reseal((qw(main kms other))[ $rounds++ % 3 ]);
}
$load->finish;
is($load->result(0), 0, "readers and writers do not fail ($rounds moves)")
  or diag(slurp_file("$directory/err"));
unlike(slurp_file("$directory/err"), qr/ERROR|aborted/, 'not once');
all_decrypt('after that');

# Two calls at once, with a rotation between them: one after the other.
reseal('main');
my @both = map { session($node) } 1 .. 3;
$both[0]->start("SELECT pgenvelope.reseal_keys('kms')");
$both[1]->start("SELECT pgenvelope.reseal_keys('other')");
$both[2]->start("SELECT pgenvelope.rotate_key('k3')");
is(($_->finish)[1], '00000', 'calls at once do not fail') for @both;
$_->quit for @both;
all_decrypt('after calls at once');

# An old snapshot does not write over what others have sealed since.
$session = session($node);
reseal('main');
reseal('main');
$session->value('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
reseal('kms');
is($session->sqlstate("SELECT pgenvelope.reseal_keys('other')"),
	'40001', 'an old snapshot is told so');
$session->value('ROLLBACK');
is($session->value("SELECT pgenvelope.reseal_keys('other') > 0"),
	't', 'a new one has its way');
$session->quit;

# A worker reads new seals back as well.
cmp_ok(kept(), '>', 0, 'former seals are kept');
$node->safe_psql('postgres', 'ALTER SYSTEM SET pgenvelope.rewrap_workers = 1;'
	  . "ALTER SYSTEM SET pgenvelope.rewrap_naptime = '100ms'");
$node->reload;
ok( $node->poll_query_until(
		'postgres', 'SELECT count(*) = 0 FROM pgenvelope.key_seal'),
	'until a worker has had the new ones opened');
$node->safe_psql('postgres',
	'ALTER SYSTEM SET pgenvelope.rewrap_workers = 0');
$node->reload;

# ---------------------------------------------------------------------------
# Other databases
# ---------------------------------------------------------------------------

set_providers($node,
	"main\@postgres=$uri{main}, other\@postgres=$uri{other}, free=$uri{kms}");
all_decrypt('with providers of this database only');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->safe_psql('copy', 'CREATE EXTENSION pgenvelope');
for my $table (qw(key key_version key_grant))
{
	my $rows =
	  $node->safe_psql('postgres', "COPY pgenvelope.$table TO STDOUT");

	$node->safe_psql('copy',
		"COPY pgenvelope.$table FROM STDIN;\n$rows\n\\.\n");
}
is($node->safe_psql('postgres', 'SELECT wrong()'),
	0, 'the keys are cached for this database');
is_sqlstate($node, q(SELECT pgenvelope.reseal_keys('free')),
	'PE006', 'rows copied into another database are not sealed anew there',
	database => 'copy');
is($node->safe_psql('copy', q(SELECT count(*) FROM pgenvelope.key_version
	WHERE provider = 'free')), 0, 'none of them');
is_sqlstate($node, q(SELECT pgenvelope.reseal_keys('main')),
	'PE006', 'nor by a provider that is not its own',
	database => 'copy');
all_decrypt('at the end');
all_wiped($node, 'at the end');

done_testing();
