# 030_pgbouncer.pl: tenants share server connections, and see their own values.
#
# A real pgbouncer in transaction mode, one role, fewer server connections than
# clients.  Clients of two tenants bind each transaction by a token of theirs.
# None ever opens, reads or inherits what is the other's: not after errors,
# aborted and abandoned transactions, rolled back savepoints, with prepared
# statements, or where it forgets to bind.
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

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}),
  '/usr/sbin';
plan skip_all => 'needs pgbouncer' unless defined $pgbouncer;

my $rows = 20;
my $directory = new_directory('pgbouncer');
my $key = new_session_key('app');
my $node = new_node('main',
	conf => "pgenvelope.session_key_file = '"
	  . write_session_keys("$directory/session.jwks", $key)
	  . "'\n");

sub token
{
	my ($tenant) = @_;

	return session_token(
		$key,
		aud => 'postgres',
		ctx => { tenant => $tenant });
}

# The table own is of tenants that the database keeps apart by rows, too.
$node->safe_psql('postgres', <<"SQL");
CREATE ROLE app LOGIN;
SELECT pgenvelope.create_key('app', required_context => '{"tenant": null, "id": null}');
SELECT pgenvelope.grant_key('app', 'encrypt', 'app', '{"tenant": {"session": "tenant"}}');
SELECT pgenvelope.grant_key('app', 'decrypt', 'app', '{"tenant": {"session": "tenant"}}');
CREATE TABLE note (tenant text, id int, note envelope, PRIMARY KEY (tenant, id));
INSERT INTO note
SELECT tenant, id, env_encrypt(tenant || ' note ' || id,
    jsonb_build_object('tenant', tenant, 'id', id), 'app')
FROM generate_series(1, $rows) AS id, unnest('{acme,other}'::text[]) AS tenant;
CREATE TABLE own (LIKE note INCLUDING ALL);
INSERT INTO own SELECT * FROM note;
ALTER TABLE own ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON own USING (tenant = (nullif(current_setting(
    'pgenvelope.session_context'), '')::jsonb->>'tenant'));
GRANT SELECT, INSERT, UPDATE ON note, own TO app;

CREATE FUNCTION opened(tenant text, id int) RETURNS text
LANGUAGE sql AS \$\$
    SELECT env_decrypt(note, jsonb_build_object('tenant', tenant, 'id', id))
    FROM note WHERE tenant = \$1 AND id = \$2
\$\$;
CREATE FUNCTION outcome(tenant text, id int) RETURNS text
LANGUAGE plpgsql AS \$\$
BEGIN
    RETURN opened(tenant, id);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
\$\$;
SQL

# ---------------------------------------------------------------------------
# The pooler
# ---------------------------------------------------------------------------

my $port = $node->port;
my $host = $node->host;

write_file("$directory/users", qq("app" ""\n));
write_file("$directory/pgbouncer.ini", <<"END");
[databases]
postgres = host=$host port=$port
[pgbouncer]
listen_port = $port
unix_socket_dir = $directory
auth_type = trust
auth_file = $directory/users
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
logfile = $directory/pgbouncer.log
pidfile = $directory/pgbouncer.pid
END
system_or_bail($pgbouncer, '-q', '-d', "$directory/pgbouncer.ini");
wait_until(sub { -s "$directory/pgbouncer.pid" }, 'pgbouncer has started');
my ($pooler) = slurp_file("$directory/pgbouncer.pid") =~ /(\d+)/;

END
{
	# END blocks keep the exit code, if nothing in them runs a command.
	kill 'INT', $pooler if defined $pooler;
}

sub client
{
	return session($node, 'postgres', '-d',
		"host=$directory port=$port user=app dbname=postgres");
}

# What the client sees of note, and of own.
my $seen = <<'END';
SELECT outcome('acme', 1), outcome('other', 1),
    (SELECT string_agg(DISTINCT tenant, ',') FROM own);
END

my $acme = client();
my $other = client();

# Runs a script that binds to a tenant where it says BIND.
sub run_as
{
	my ($client, $tenant, $script) = @_;

	my $token = token($tenant);

	# A DO prints nothing.
	$script =~
	  s/\bBIND\b/DO 'BEGIN PERFORM env_bind_session(''$token''); END'/;
	return $client->run($script);
}

# Nobody is bound, on the server connection that the last transaction had.
sub nobody_is_bound
{
	my ($test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($other->value($seen), '42501|42501|', "$test: another is not bound");
	is( (run_as($other, 'other', "BEGIN; BIND; $seen COMMIT"))[0],
		'42501|other note 1|other',
		"$test: and is itself once it is");
	return;
}

# ---------------------------------------------------------------------------
# One after the other, on one server connection
# ---------------------------------------------------------------------------

is($acme->value($seen), '42501|42501|', 'who forgets to bind sees nothing');
is( (run_as($acme, 'acme', "BEGIN; BIND; $seen COMMIT"))[0],
	'acme note 1|42501|acme',
	'a tenant sees what is its own');
is( $acme->value('SELECT pg_backend_pid()'),
	$other->value('SELECT pg_backend_pid()'),
	'the next one has the same server connection');
nobody_is_bound('after a commit');

run_as($acme, 'acme', 'BEGIN; BIND; SELECT 1/0');
is($acme->sqlstate('SELECT 1'), '25P02', 'a transaction is aborted');
$acme->run('ROLLBACK');
nobody_is_bound('after an error');

run_as($acme, 'acme', "BEGIN; SAVEPOINT s; BIND; ROLLBACK TO s; COMMIT");
nobody_is_bound('after a savepoint');

run_as($acme, 'acme', 'BEGIN; BIND; SELECT pg_terminate_backend(pg_backend_pid())');
$acme->quit;
nobody_is_bound('after a lost server connection');

$acme = client();
my ($out) = run_as($acme, 'acme', "BEGIN; BIND; $seen");
is($out, 'acme note 1|42501|acme', 'a client is in the middle');
$acme->quit;
nobody_is_bound('after it has gone');

$acme = client();
is( (run_as($acme, 'acme',
		"BEGIN; BIND; PREPARE opened AS SELECT opened('acme', 1); EXECUTE opened; COMMIT"
	))[0],
	'acme note 1',
	'a statement is prepared');
is( (run_as($other, 'other', 'BEGIN; BIND; EXECUTE opened'))[1],
	'42501', 'which is of no use to another');
$other->run('ROLLBACK');
is($other->sqlstate('EXECUTE opened'), '42501', 'and to nobody');
is( (run_as($other, 'other', "BEGIN; BIND; SELECT env_encrypt('x',
			'{\"tenant\": \"acme\", \"id\": 1}', 'app')"))[1],
	'42501', 'nobody encrypts for another');
$other->run('ROLLBACK');
$_->quit for $acme, $other;

# ---------------------------------------------------------------------------
# All at once
# ---------------------------------------------------------------------------

# Each check divides by zero where it fails, which ends the client.
sub script
{
	my ($name, $text) = @_;

	return write_file("$directory/$name.sql", $text);
}

my $bound = script('bound', <<'END');
\set id random(1, 20)
\set end random(1, 4)
BEGIN;
SELECT 1 / (outcome(:me::text, :id::int) = '42501')::int;
\if :end = 1
SAVEPOINT s;
SELECT FROM env_bind_session(:theirs);
SELECT 1 / (outcome(:them::text, :id::int) = :them::text || ' note ' || :id::text)::int;
ROLLBACK TO s;
SELECT 1 / (outcome(:them::text, :id::int) = '42501')::int;
\endif
SELECT FROM env_bind_session(:mine);
SELECT 1 / (opened(:me::text, :id::int) = :me::text || ' note ' || :id::text)::int;
SELECT 1 / (outcome(:them::text, :id::int) = '42501')::int;
SELECT 1 / (count(*) = 20 AND min(tenant) = :me::text AND max(tenant) = :me::text)::int FROM own;
UPDATE own SET note = env_encrypt(:me::text || ' note ' || :id::text,
    jsonb_build_object('tenant', :me::text, 'id', :id::int), 'app')
WHERE id = :id;
\if :end = 2
ROLLBACK;
\else
COMMIT;
\endif
END
my $unbound = script('unbound', <<'END');
\set id random(1, 20)
SELECT 1 / (outcome('acme', :id::int) = '42501' AND outcome('other', :id::int) = '42501')::int;
SELECT 1 / (count(*) = 0)::int FROM own;
END

sub pgbench
{
	my ($script, $clients, $transactions, %variables) = @_;
	my %run = (out => '');

	$run{harness} = IPC::Run::start(
		[
			'pgbench', '-n', '-M', 'extended', '-c', $clients, '-t',
			$transactions, '-f', $script, '-h', $directory, '-p', $port,
			'-U', 'app', (map { ('-D', "$_=$variables{$_}") } keys %variables),
			'postgres' ],
		'<', \undef, '>&', \$run{out});
	return \%run;
}

my %tokens = map { $_ => token($_) } qw(acme other);
my @runs = (
	pgbench($bound, 10, 40, me => 'acme', them => 'other',
		mine => $tokens{acme}, theirs => $tokens{other}),
	pgbench($bound, 10, 40, me => 'other', them => 'acme',
		mine => $tokens{other}, theirs => $tokens{acme}),
	pgbench($unbound, 5, 100));
for my $run (@runs)
{
	ok(IPC::Run::finish($run->{harness}), 'nobody sees what is not theirs')
	  or diag($run->{out});
}
is( $node->safe_psql('postgres',
		"SELECT count(DISTINCT pid) <= 2 FROM pg_stat_activity WHERE usename = 'app'"),
	't',
	'they shared two server connections');

done_testing();
