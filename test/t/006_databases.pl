# 006_databases.pl: a KEK is found by what it is, never by a number alone.
#
# Rows of the key tables in another database do not reach the KEK that the
# first one has cached; and a version number that a rolled-back rotation used
# leads to the KEK that was committed, in every session, with savepoints,
# prepared transactions and restarts.  What a prepared transaction changed is
# seen by sessions that are open, and by their open transactions.
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

my $key_file = new_key_file();
my $node = new_node(
	'main',
	providers => "main\@first=file://$key_file",
	conf => "max_prepared_transactions = 5\n",
	extension => 0);

$node->safe_psql('postgres', 'CREATE DATABASE first');
$node->safe_psql('first', <<'END');
CREATE EXTENSION pgenvelope;
CREATE EXTENSION pgenvelope_test;
CREATE TABLE value (key text PRIMARY KEY, v envelope);
SELECT pgenvelope.create_key('one', required_context => '{"tenant": null}');
INSERT INTO value
SELECT 'one', env_encrypt('plain', '{"tenant": "acme"}', 'one');
END
my $open = q(SELECT env_decrypt(v, '{"tenant": "acme"}') FROM value);
my $holder = session($node, 'first');

sub counts
{
	my ($expression) = @_;

	return $node->safe_psql('first', "SELECT $expression FROM pgenvelope.stat");
}

# ---------------------------------------------------------------------------
# Other databases
# ---------------------------------------------------------------------------

# A copy of the whole database.
$holder->quit;
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE first');
$holder = session($node, 'first');
is($holder->value($open), 'plain', 'the key is open in its database');
is_sqlstate($node, $open, 'PE006', 'not in a copy of the database',
	database => 'copy');

# A copy of the rows.
$node->safe_psql('postgres', 'CREATE DATABASE rows');
$node->safe_psql('rows', <<'END');
CREATE EXTENSION pgenvelope;
CREATE TABLE value (key text, v envelope);
END
for my $table (
	'pgenvelope.key', 'pgenvelope.key_version', 'pgenvelope.key_grant',
	'value')
{
	my $rows = $node->safe_psql('first', "COPY $table TO STDOUT");

	$node->safe_psql('rows', "COPY $table FROM STDIN;\n$rows\n\\.\n");
}
is_sqlstate($node, $open, 'PE006', 'not where its rows were copied to',
	database => 'rows');
is_sqlstate(
	$node,
	q(SELECT env_encrypt('x', '{"tenant": "acme"}', 'one')),
	'PE006',
	'nor can that database encrypt with it',
	database => 'rows');
is( $node->safe_psql('rows',
		q(SELECT env_verify(v, '{"tenant": "acme"}') FROM value)),
	'provider_refused', 'env_verify says so');
is(counts('cached_keys'), 1, 'the key is cached all the while');
is($holder->value($open), 'plain', 'and opens where it belongs');

# Where the provider may serve every database the copies open, each with a
# call of its own.
set_providers($node, "main=file://$key_file");
my $unseals = counts('unseal_calls');
for (qw(copy rows))
{
	$node->poll_query_until($_,
		q(SELECT env_verify(v, '{"tenant": "acme"}') = 'ok' FROM value));
	is($node->safe_psql($_, $open), 'plain',
		"$_: opens when its provider may");
	is(counts('unseal_calls'), ++$unseals, "$_: with a call of its own");
}
is(counts('cached_keys'), 3, 'and an entry of its own');
is($node->safe_psql('copy', 'SELECT pgenvelope.evict_key()'),
	1, 'each evicts its own');
is($holder->value($open), 'plain', 'the first is not concerned');
is(counts('cached_keys'), 2, 'nor its entry');

# A row altered by hand is another KEK, or none: never the cached one.
my $copy = session($node, 'copy');
is($copy->value($open), 'plain', 'the copy opens again');
$copy->value(<<'END');
CREATE TABLE kept AS SELECT * FROM pgenvelope.key_version;
UPDATE pgenvelope.key_version
SET sealed_kek = set_byte(sealed_kek, 100, get_byte(sealed_kek, 100) # 1)
END
is($copy->sqlstate($open), 'PE006', 'an altered blob does not open');
$copy->value('UPDATE pgenvelope.key_version SET sealed_kek = k.sealed_kek '
	  . 'FROM kept k');
is($copy->value($open), 'plain', 'the right one does');
$copy->value('UPDATE pgenvelope.key_version SET kcv = decode(repeat('
	  . "'00', 16), 'hex')");
is($copy->sqlstate($open), 'PE006', 'another key-check value is refused');
$copy->value('UPDATE pgenvelope.key_version SET kcv = k.kcv FROM kept k');
is($copy->value($open), 'plain', 'the right one is not');

# A blob under another version, and under another key.
$copy->value(<<'END');
INSERT INTO pgenvelope.key_version
    (key_id, version, state, provider, sealed_kek, kcv)
SELECT key_id, 2, 'deactivated', provider, sealed_kek, kcv FROM kept;
CREATE FUNCTION claim_version(v envelope, n int) RETURNS envelope
LANGUAGE plpgsql AS $$
DECLARE b bytea := envelope_send(v);
BEGIN
    b := set_byte(set_byte(b, 2, n / 256), 3, n % 256);
    RETURN ('env1.' || translate(rtrim(replace(encode(b, 'base64'), E'\n', ''),
        '='), '+/', '-_'))::envelope;
END $$
END
is( $copy->sqlstate(
		q(SELECT env_decrypt(claim_version(v, 2), '{"tenant": "acme"}')
		FROM value)),
	'PE006',
	'a blob copied to another version is refused');
is( $copy->sqlstate(
		q(SELECT env_decrypt(claim_version(v, 3), '{"tenant": "acme"}')
		FROM value)),
	'PE001',
	'a version that there is not');
$copy->quit;

# ---------------------------------------------------------------------------
# Transactions
# ---------------------------------------------------------------------------

my $second = session($node, 'first');
my $context = q('{"tenant": "acme"}');
my $encrypting =
  "SELECT env_key_version(env_encrypt('x', $context, 'one'))";

# An encrypted value, as text.
sub encrypt
{
	my ($session, $plain) = @_;

	return $session->value("SELECT env_encrypt('$plain', $context, 'one')");
}

sub decrypt
{
	my ($session, $value) = @_;

	return $session->value("SELECT env_decrypt('$value', $context)");
}

# The KEK that was rolled back opens nothing and the one that took its number
# opens what it encrypted: here, there, and after a restart.
sub check_number
{
	my ($what, $lost, $plain) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $kept = encrypt($holder, $plain);

	is( $holder->value(
			"SELECT env_key_version('$lost'), env_key_version('$kept')"),
		$holder->value(
			"SELECT version, version FROM pgenvelope.keys WHERE state = 'active'"
		),
		"$what: the number was used again");
	for my $session ($holder, $second)
	{
		is(decrypt($session, $kept), $plain, "$what: the right key");
		is( $session->sqlstate("SELECT env_decrypt('$lost', $context)"),
			'PE004', "$what: not the one that was rolled back");
	}
	return $kept;
}

my @kept;
my $lost;

# A rotation rolled back.
$holder->value("BEGIN; SELECT pgenvelope.rotate_key('one')");
$lost = encrypt($holder, 'lost');
is(decrypt($holder, $lost), 'lost', 'a rotation is used before it commits');
is($second->value("SELECT version FROM pgenvelope.keys"),
	1, 'and not seen by others');
is($second->sqlstate("SELECT env_decrypt('$lost', $context)"),
	'PE001', 'who cannot open its values');
$holder->value('ROLLBACK');
is($holder->sqlstate("SELECT env_decrypt('$lost', $context)"),
	'PE001', 'a rotation rolled back is gone');
is($holder->value($encrypting),
	1, 'the version before encrypts');
$second->value("SELECT pgenvelope.rotate_key('one')");
push @kept, check_number('rotated by another session', $lost, 'two');

# By savepoint, and again in the same transaction.
$holder->value("BEGIN; SAVEPOINT s; SELECT pgenvelope.rotate_key('one')");
$lost = encrypt($holder, 'lost');
$holder->value("ROLLBACK TO s; SELECT pgenvelope.rotate_key('one')");
is($holder->sqlstate("SAVEPOINT t; SELECT env_decrypt('$lost', $context)"),
	'PE004', 'within the transaction the second one counts');
$holder->value('ROLLBACK TO t; COMMIT');
push @kept, check_number('after a savepoint', $lost, 'three');

# A savepoint that is released within one that is not.
$holder->value(<<'END');
BEGIN; SAVEPOINT a; SAVEPOINT b; SELECT pgenvelope.rotate_key('one'); RELEASE b
END
$lost = encrypt($holder, 'lost');
$holder->value("ROLLBACK TO a; COMMIT; SELECT pgenvelope.rotate_key('one')");
push @kept, check_number('after a released savepoint', $lost, 'four');

# An exception block, which is one.
$holder->value(<<'END');
DO $$
DECLARE
    lost text;
BEGIN
    BEGIN
        PERFORM pgenvelope.rotate_key('one');
        lost := env_encrypt('lost', '{"tenant": "acme"}', 'one');
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        PERFORM set_config('test.lost', lost, false);
    END;
END$$
END
$lost = $holder->value("SELECT current_setting('test.lost')");
$holder->value("SELECT pgenvelope.rotate_key('one')");
push @kept, check_number('after an exception block', $lost, 'five');

# An error in the rotation's own transaction.
$holder->start("BEGIN; SELECT pgenvelope.rotate_key('one'); SELECT 1 / 0; COMMIT");
is(($holder->finish)[1], '22012', 'a transaction fails');
$holder->value('ROLLBACK');
is( $holder->value($encrypting),
	5,
	'and its rotation with it');

# A prepared transaction: of nobody until it is committed.
$holder->value("BEGIN; SELECT pgenvelope.rotate_key('one')");
$lost = encrypt($holder, 'lost');
$holder->value("PREPARE TRANSACTION 'p'");
is( $holder->value($encrypting),
	5,
	'a prepared rotation does not encrypt yet');
$second->value("ROLLBACK PREPARED 'p'; SELECT pgenvelope.rotate_key('one')");
push @kept, check_number('after a prepared transaction', $lost, 'six');
$holder->value("BEGIN; SELECT pgenvelope.rotate_key('one')");
my $prepared = encrypt($holder, 'seven');
$holder->value("PREPARE TRANSACTION 'p'");
$second->value("COMMIT PREPARED 'p'");
for my $session ($holder, $second)
{
	is(decrypt($session, $prepared), 'seven',
		'a prepared rotation that was committed');
	is( $session->value(
			"SELECT env_key_version(env_encrypt('x', $context, 'one'))"),
		7,
		'encrypts');
}
push @kept, $prepared;

# A key that is created in a prepared transaction, and a grant.
$node->safe_psql('first', 'CREATE ROLE reader');
my $reader = session($node, 'first');
my $create = q(SELECT pgenvelope.create_key('prepared',
	required_context => '{"tenant": null}'));
$reader->value("SET ROLE reader;\n\\set ON_ERROR_ROLLBACK on\nBEGIN");
$holder->value("BEGIN; $create");
$prepared = $holder->value("SELECT env_encrypt('p', $context, 'prepared')");
$holder->value("PREPARE TRANSACTION 'p'");
my $open_prepared = "SELECT env_decrypt('$prepared', $context)";
for my $session ($holder, $second, $reader)
{
	is($session->sqlstate($open_prepared),
		'PE001', 'a key in a prepared transaction does not exist');
}
is($second->sqlstate("SET lock_timeout = '100ms'; $create"),
	'55P03', 'but its name cannot be had');
$second->value("RESET lock_timeout; COMMIT PREPARED 'p'");
for my $session ($holder, $second)
{
	is($session->value($open_prepared), 'p', 'it exists when that commits');
}
is($reader->sqlstate($open_prepared), '42501', 'for others too, in vain');
$holder->value("BEGIN; SELECT pgenvelope.grant_key('prepared', 'decrypt', 'reader')");
$holder->value("PREPARE TRANSACTION 'p'");
is($reader->sqlstate($open_prepared),
	'42501', 'a grant in a prepared transaction grants nothing');
$second->value("COMMIT PREPARED 'p'");
is($reader->value($open_prepared),
	'p', 'until that commits: then an open transaction has it');
$holder->value("BEGIN; SELECT pgenvelope.revoke_key('prepared', 'decrypt', 'reader')");
$holder->value("PREPARE TRANSACTION 'p'");
is($reader->value($open_prepared),
	'p', 'a revocation in a prepared transaction revokes nothing');
$second->value("COMMIT PREPARED 'p'");
is($reader->sqlstate($open_prepared), '42501', 'until that commits');
$reader->quit;

# A key rolled back and created again has another id: its values name a key
# that never was.
my $sql = q(SELECT pgenvelope.create_key('new',
	required_context => '{"tenant": null}'));
my $id = $holder->value("BEGIN; $sql");
$lost = $holder->value("SELECT env_encrypt('lost', $context, 'new')");
$holder->value('ROLLBACK');
is($holder->sqlstate("SELECT env_decrypt('$lost', $context)"),
	'PE001', 'a key rolled back is gone');
is($holder->sqlstate("SELECT env_encrypt('x', $context, 'new')"),
	'PE001', 'by name too');
$holder->value("BEGIN; SAVEPOINT s; $sql");
$holder->value('ROLLBACK TO s');
isnt($holder->value("$sql; COMMIT"), $id, 'created again it is another');
my $new = $second->value("SELECT env_encrypt('new', $context, 'new')");
is(decrypt($holder, $new), 'new', 'which works');
is($holder->sqlstate("SELECT env_decrypt('$lost', $context)"),
	'PE001', 'and does not open the values of the first');

# A session with a snapshot of before: a value newer than the key rows that it
# sees opens all the same.
$holder->value('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$second->value("SELECT pgenvelope.rotate_key('one')");
my $newer = encrypt($second, 'newer');
is(decrypt($holder, $newer), 'newer',
	'a key version newer than the snapshot opens');
is( $holder->value($encrypting),
	8,
	'and encrypts');
$holder->value('COMMIT');

# Nothing of this depends on what was cached.
$_->quit for $holder, $second;
$node->restart;
my $third = session($node, 'first');
is( join(' ', map { decrypt($third, $_) } @kept, $new, $newer),
	'two three four five six seven new newer',
	'after a restart every value that was kept opens');
is($third->value($open), 'plain', 'and the first of all');
is($third->value($open_prepared), 'p', 'and that of a prepared key');
$third->quit;
is($node->safe_psql('first', 'SELECT pgenvelope_test_unwiped_slots()'),
	'0', 'at the end: key memory is wiped');

done_testing();
