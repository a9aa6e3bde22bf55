# 010_not_preloaded.pl: what works without the server's preload, and what a
# server does that is preloaded but not set up.
#
# A value and its key, from a vector, come into a server that does not preload
# pgenvelope, as a restore brings them.  What needs no key works there, all
# else is 55000 with a hint; single-user mode likewise.  Preloaded, with its
# root key, the server opens the value.  A setting of providers that is wrong
# neither stops a server nor replaces one that is right.
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

my $vector =
  slurp_file(source_directory() . '/test/vectors/envelope/good_text');
my ($header, $value) = split /\n\n/, $vector, 2;
my %v = map { /^(\w+): ?(.*)$/ } split /\n/, $header;
my $id = unpack 'Q>', pack 'H16', "0000$v{key_id}";
my $sealed = unpack 'H*', $v{sealed_kek};
my $plain = pack 'H*', $v{plaintext};
my $key_file = new_key_file(pack 'H*', $v{root_key});
my $file = new_directory('copy') . '/file';
my $node = new_node('main', preload => 0, extension => 0);

# ---------------------------------------------------------------------------
# Not preloaded
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', <<"END");
CREATE EXTENSION pgenvelope;
INSERT INTO pgenvelope.key (key_id, name, required_context)
VALUES ($id, 'customers', '{}');
COPY pgenvelope.key_version (key_id, version, state, provider, sealed_kek, kcv)
FROM STDIN;
$id\t$v{key_version}\tactive\tmain\t\\\\x$sealed\t\\\\x$v{kcv}
\\.
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
SELECT $id, p, current_user::regrole
FROM unnest(ARRAY['encrypt', 'decrypt', 'rewrap', 'admin']) p;
CREATE TABLE value (id integer, plain text, v envelope);
INSERT INTO value (id, v) VALUES (1, '$value'), (2, '$value');
CREATE TRIGGER seal BEFORE INSERT OR UPDATE ON value FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('plain', 'v', '\@key:customers', 'id=id');
CREATE ROLE writer LOGIN;
GRANT pg_write_all_data TO writer;
END

my %works = (
	'output' => [ $value, 'SELECT v FROM value WHERE id = 1' ],
	'binary output and input' => [
		'2',
		"COPY (SELECT v FROM value) TO '$file' (FORMAT binary);"
		  . 'CREATE TEMP TABLE copied (v envelope);'
		  . "COPY copied FROM '$file' (FORMAT binary);"
		  . "SELECT count(*) FROM copied WHERE v::text = '$value'"
	],
	'=' => [ '4', 'SELECT count(*) FROM value a JOIN value b ON a.v = b.v' ],
	'hash' => [
		'1', 'SELECT count(*) FROM (SELECT v FROM value GROUP BY v) s'
	],
	'env_key' => [ 'customers', 'SELECT env_key(v) FROM value WHERE id = 1' ],
	'env_key_version' => [
		$v{key_version}, 'SELECT env_key_version(v) FROM value WHERE id = 1'
	],
	'env_inspect' => [
		"customers|$v{key_id}|text",
		"SELECT i ->> 'key', i ->> 'key_id', i ->> 'payload'"
		  . ' FROM value, env_inspect(v) i WHERE id = 1'
	],
	'env_to_jwe and env_from_jwe' => [
		't',
		"SELECT env_from_jwe(env_to_jwe(v, '$v{context}')) = v"
		  . ' FROM value WHERE id = 1'
	],
	'pgenvelope.keys' =>
	  [ 'customers|main', 'SELECT name, provider FROM pgenvelope.keys' ],
	'ANALYZE' => [ '', 'ANALYZE value' ]);

sub look_works
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	for my $name (sort keys %works)
	{
		my ($expected, $sql) = @{ $works{$name} };

		is($node->safe_psql('postgres', $sql), $expected, "$when: $name");
	}
	return;
}

my @refused = (
	"env_encrypt('x'::text, '{}', 'customers')",
	"env_encrypt('x'::bytea, '{}', 'customers')",
	"env_decrypt(v, '{}')",
	"env_decrypt_bytea(v, '{}')",
	"env_verify(v, '{}')",
	"env_reencrypt(v, '{}')",
	"env_rebind(v, '{}', '{}')",
	"pgenvelope.create_key('other')",
	"pgenvelope.rotate_key('customers')",
	"pgenvelope.grant_key('customers', 'decrypt', 'writer')",
	"pgenvelope.revoke_key('customers', 'decrypt', 'writer')",
	'pgenvelope.evict_key()',
	"pgenvelope.evict_key('customers')");

look_works('not preloaded');
for my $call (@refused)
{
	my $message = is_sqlstate($node,
		"SELECT $call FROM value WHERE id = 1",
		'55000', "not preloaded: $call");

	like($message, qr/HINT:  .*shared_preload_libraries/,
		"not preloaded: $call hints at the setting");
}
is( $node->safe_psql('postgres',
		'SELECT component, status, pgenvelope.ready() FROM pgenvelope.health()'),
	'keeper|unavailable|f', 'pgenvelope.health says so, without an error');
is_sqlstate($node, 'TABLE pgenvelope.stat', '55000',
	'not preloaded: pgenvelope.stat');
is_sqlstate($node, "INSERT INTO value (id, plain) VALUES (3, 'x')",
	'55000', 'not preloaded: the trigger');
is_sqlstate($node, "SELECT 'plain'::envelope",
	'22P02', 'not preloaded: the type takes no plaintext');
is_sqlstate(
	$node,
	"SET ROLE writer; DELETE FROM pgenvelope.key_grant",
	'42501', 'not preloaded: the key tables are guarded');
$node->safe_psql('postgres',
	"UPDATE pgenvelope.key SET required_context = '{\"tenant\": null}'");
pass('not preloaded: a superuser may write them');

# ---------------------------------------------------------------------------
# Single-user mode
# ---------------------------------------------------------------------------

# What each line gave: a list of SQLSTATEs of errors, and the output.
sub single_user
{
	my ($sql) = @_;
	my ($stdout, $stderr);

	IPC::Run::run(
		[
			'postgres', '--single',
			'-D', $node->data_dir,
			'-c', 'log_error_verbosity=verbose',
			'postgres'
		],
		'<', \$sql, '>', \$stdout, '2>', \$stderr)
	  or die "single-user mode: $stderr";
	return ([ $stderr =~ /ERROR:  (\w{5}): /g ], $stdout, $stderr);
}

$node->stop;
my $script = "SELECT v FROM value WHERE id = 1\n"
  . join('', map { "SELECT $_ FROM value WHERE id = 1\n" } @refused);

sub single_user_refuses
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($sqlstates, $out, $err);
	my $seconds =
	  elapsed(sub { ($sqlstates, $out, $err) = single_user($script) });

	is_deeply(
		$sqlstates,
		[ map { '55000' } @refused ],
		"single-user, $when: functions are refused") or diag($err);
	like($out, qr/\Q$value\E/, "single-user, $when: a value is shown");

	# Waiting for a keeper would take key_timeout, 10 s, for each of them.
	cmp_ok($seconds, '<', 60, "single-user, $when: at once");
	return $err;
}

like(single_user_refuses('not preloaded'),
	qr/pgenvelope is not preloaded/, 'single-user, not preloaded: says so');
$node->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'pgenvelope'
pgenvelope.providers = 'main=file://$key_file'
pgenvelope.default_key = 'customers'
END
like(single_user_refuses('preloaded'),
	qr/single-user mode/, 'single-user, preloaded: says why');

# ---------------------------------------------------------------------------
# Preloaded, with the root key
# ---------------------------------------------------------------------------

sub opens
{
	my ($test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is( $node->safe_psql(
			'postgres',
			"SELECT env_decrypt(v, '$v{context}') FROM value WHERE id = 1"),
		$plain, $test);
	return;
}

$node->start;
look_works('preloaded');
opens('preloaded: what was restored without opens');
is( $node->safe_psql(
		'postgres',
		q(UPDATE pgenvelope.key SET required_context = '{}';
		  INSERT INTO value (id, plain) VALUES (3, 'x');
		  SELECT plain IS NULL, env_decrypt(v, '{"id": 3}') FROM value
		  WHERE id = 3;
		  DELETE FROM value WHERE id = 3)),
	't|x',
	'preloaded: so does the trigger');

# ---------------------------------------------------------------------------
# Preloaded, without the extension
# ---------------------------------------------------------------------------

is($node->safe_psql('template1', 'SHOW pgenvelope.default_key'),
	'customers', 'without the extension: settings are there');
is_sqlstate($node, "SELECT env_encrypt('x', '{}')",
	'42883', 'without the extension: functions are not',
	database => 'template1');
is_sqlstate($node, "SELECT NULL::envelope",
	'42704', 'without the extension: nor is the type',
	database => 'template1');
is($node->safe_psql('template1', 'CREATE TABLE t (i int); DROP TABLE t; SELECT 1'),
	'1', 'without the extension: the database works');
$node->safe_psql('postgres', 'CREATE DATABASE later');
is( $node->safe_psql(
		'later',
		q(CREATE EXTENSION pgenvelope;
		  SELECT pgenvelope.create_key('customers', NULL, '{}') IS NOT NULL;
		  SELECT env_decrypt(env_encrypt('x', '{}'), '{}');
		  DROP EXTENSION pgenvelope; SELECT 'gone')),
	"t\nx\ngone",
	'it comes and goes in the life of a server');
is( $node->safe_psql(
		'later',
		q(CREATE EXTENSION pgenvelope;
		  SELECT pgenvelope.create_key('customers', NULL, '{}') IS NOT NULL;
		  SELECT env_decrypt(env_encrypt('x', '{}'), '{}'))),
	"t\nx",
	'and comes again');

# ---------------------------------------------------------------------------
# A wrong setting
# ---------------------------------------------------------------------------

my $right = $node->safe_psql('postgres', 'SHOW pgenvelope.providers');
my %wrong = (
	'no list' => 'rubbish',
	'an unknown scheme' => 'main=other://somewhere',
	'no absolute path' => 'main=file://root.key',
	'a name twice' => "main=file://$key_file, main=file://$key_file");

for my $name (sort keys %wrong)
{
	is_sqlstate($node,
		"ALTER SYSTEM SET pgenvelope.providers = '$wrong{$name}'",
		'22023', "ALTER SYSTEM: $name");

	my $from = -s $node->logfile;

	$node->adjust_conf('postgresql.conf', 'pgenvelope.providers',
		"'$wrong{$name}'");
	$node->reload;
	wait_until(
		sub {
			slurp_file($node->logfile, $from) =~
			  /LOG:  invalid value for parameter "pgenvelope.providers"/;
		},
		'the wrong setting is logged');
	pass("reload: $name is logged");
	is($node->safe_psql('postgres', 'SHOW pgenvelope.providers'),
		$right, "reload: $name does not replace what was there");
	$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
	opens("reload: $name leaves the provider as it was");
}

for my $name (sort keys %wrong)
{
	$node->adjust_conf('postgresql.conf', 'pgenvelope.providers',
		"'$wrong{$name}'");
	my $from = -s $node->logfile;

	$node->restart;
	pass("start: $name does not stop the server");
	like(
		slurp_file($node->logfile, $from),
		qr/(WARNING|LOG):  invalid value for parameter "pgenvelope.providers"/,
		"start: $name is logged");
	is($node->safe_psql('postgres', 'SHOW pgenvelope.providers'),
		'', "start: $name leaves no provider");
	look_works("start: $name");
	is_sqlstate($node,
		"SELECT env_decrypt(v, '$v{context}') FROM value WHERE id = 1",
		'PE006', "start: $name, no value opens");
	is_sqlstate($node, "SELECT pgenvelope.create_key('other')",
		'PE006', "start: $name, no key is made");
}

# It needs no restart to be put right.
$node->adjust_conf('postgresql.conf', 'pgenvelope.providers',
	"'main=file://$key_file'");
$node->reload;
$node->poll_query_until('postgres',
	"SELECT current_setting('pgenvelope.providers') <> ''")
  or die 'the setting did not change';
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
opens('put right, the value opens');

done_testing();
