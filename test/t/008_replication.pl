# 008_replication.pl: standbys and subscribers.
#
# A standby has a keeper of its own: it decrypts, encrypts nothing that has to
# be written, knows keys that the primary has just made, says what is wrong
# when its root key is missing and recovers by itself, and goes on after its
# promotion.  Logical replication carries values byte for byte, with either
# replica identity; they open where the key's rows and the root key are.
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

my $key_bytes = random_bytes(32);
my $node = new_node(
	'primary',
	providers => 'main=file://' . new_key_file($key_bytes),
	init => { allows_streaming => 'logical' });

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('one', required_context => '{"tenant": null}');
CREATE TABLE value (id int PRIMARY KEY, v envelope);
INSERT INTO value
SELECT i, env_encrypt('plain ' || i, '{"tenant": "acme"}', 'one')
FROM generate_series(1, 100) i;
END
my $context = q('{"tenant": "acme"}');
my $open = "SELECT env_decrypt(v, $context) FROM value WHERE id = 1";
my $all = <<"END";
SELECT count(*) FROM value WHERE env_decrypt(v, $context) = 'plain ' || id
END

# ---------------------------------------------------------------------------
# A standby
# ---------------------------------------------------------------------------

my $standby_key = new_key_file($key_bytes);
my $standby = PostgreSQL::Test::Cluster->new('standby');

$node->backup('base');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf',
	"pgenvelope.providers = 'main=file://$standby_key'\n");
$standby->start;
$node->wait_for_catchup($standby);
is(counter($standby, 'unseal_calls'), 0, 'a standby begins with no key');
my $reader = session($standby);
is($reader->value($all), '100', 'a standby decrypts');
is(counter($standby, 'unseal_calls'),
	1, 'with one call of its own keeper');
isnt(keeper_pid($standby), keeper_pid($node), 'which is another process');
is($reader->value("SELECT env_decrypt(env_encrypt('x', $context, 'one'), $context)"),
	'x', 'it encrypts what nobody writes');
is(counter($standby, 'unseal_calls'), 1, 'with the same key');

is_sqlstate($standby, $_, '25006', "on a standby: $_")
  for "SELECT pgenvelope.create_key('standby')",
  "SELECT pgenvelope.rotate_key('one')",
  "SELECT pgenvelope.grant_key('one', 'decrypt', 'pg_monitor')",
  "SELECT pgenvelope.revoke_key('one', 'decrypt', 'pg_monitor')";
is(counter($standby, 'seal_calls'), 0, 'and no provider was asked');
is($standby->safe_psql('postgres', "SELECT pgenvelope.evict_key('one')"),
	'1', 'it evicts its own');
is($reader->value($all), '100', 'and decrypts again');
is(counter($standby, 'unseal_calls'), 2, 'with another call');

# What the primary does to keys, in a session that is open on the standby.
$node->safe_psql('postgres', <<"END");
SELECT pgenvelope.create_key('two', required_context => '{"tenant": null}');
INSERT INTO value VALUES (101, env_encrypt('plain 101', $context, 'two'));
END
$node->wait_for_catchup($standby);
is($reader->value($all), '101', 'a key just created opens on the standby');
$node->safe_psql('postgres', <<"END");
SELECT pgenvelope.rotate_key('two');
INSERT INTO value VALUES (102, env_encrypt('plain 102', $context, 'two'));
END
$node->wait_for_catchup($standby);
$reader->value('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($reader->value($all), '102', 'a version just made, too');
$node->safe_psql('postgres',
	"SELECT pgenvelope.revoke_key('one', 'decrypt', current_user::regrole)");
$node->wait_for_catchup($standby);
is($reader->sqlstate($open),
	'42501', 'a revocation on the primary counts in an open transaction');
$reader->value('ROLLBACK');
$node->safe_psql('postgres',
	"SELECT pgenvelope.grant_key('one', 'decrypt', current_user::regrole)");
$node->wait_for_catchup($standby);
is($reader->value($open), 'plain 1', 'and so does a grant');

# Without its root key.
$reader->quit;
rename $standby_key, "$standby_key.away" or die "rename: $!";
$standby->restart;
my $message =
  is_sqlstate($standby, $open, 'PE006', 'the root key is missing');
like($message, qr/provider "main"/, 'and the message names the provider');
is( $standby->safe_psql('postgres', 'SELECT count(v) FROM value'),
	'102', 'the standby is up');
rename "$standby_key.away", $standby_key or die "rename: $!";
advance_clock($standby, 60);
$standby->poll_query_until('postgres',
	"SELECT env_verify(v, $context) = 'ok' FROM value WHERE id = 1");
is($standby->safe_psql('postgres', $all),
	'102', 'when the file is back it opens, with nothing restarted');

# Promotion.
$reader = session($standby);
is($reader->value($open), 'plain 1', 'before the promotion');
my $unseals = counter($standby, 'unseal_calls');
my $keeper = keeper_pid($standby);
$standby->promote;
is($reader->value($all), '102', 'a promoted standby decrypts');
is(counter($standby, 'unseal_calls'), $unseals, 'with what it has cached');
is(keeper_pid($standby), $keeper, 'and the keeper it had');
is( $reader->value(
		"SELECT pgenvelope.create_key('three', required_context => '{}') > 0,"
		  . "pgenvelope.rotate_key('two')"),
	't|3',
	'it creates and rotates keys');
is($reader->value("SELECT env_decrypt(env_encrypt('x', '{}', 'three'), '{}')"),
	'x', 'and uses them');
$reader->quit;
all_wiped($standby, 'after the promotion');
$standby->stop;

# ---------------------------------------------------------------------------
# Logical replication
# ---------------------------------------------------------------------------

my $subscriber = new_node(
	'subscriber',
	providers => 'main=file://' . new_key_file($key_bytes),
	init => { allows_streaming => 'logical' });

# "by_row" has no key: a row is found by all of its columns.
for my $on ($node, $subscriber)
{
	$on->safe_psql('postgres', <<'END');
CREATE TABLE by_key (id int PRIMARY KEY, note text, v envelope);
CREATE TABLE by_row (id int, note text, v envelope);
ALTER TABLE by_row REPLICA IDENTITY FULL;
END
}
my $insert = <<"END";
INSERT INTO TABLENAME
SELECT i, 'inserted', env_encrypt('plain ' || i, $context, 'one')
FROM generate_series(FIRST, FIRST + 9) i
END

sub insert_into
{
	my ($table, $first) = @_;

	return $insert =~ s/TABLENAME/$table/r =~ s/FIRST/$first/gr;
}

my @tables = qw(by_key by_row);
$node->safe_psql('postgres', join ';', map { insert_into($_, 1) } @tables);
$node->safe_psql('postgres',
	'CREATE PUBLICATION p FOR TABLE by_key, by_row');
$subscriber->safe_psql('postgres',
	    "CREATE SUBSCRIPTION s CONNECTION '"
	  . $node->connstr
	  . " dbname=postgres' PUBLICATION p");
$subscriber->wait_for_subscription_sync($node, 's');

# Both sides have the same bytes in the same rows.
sub is_same
{
	my ($what, $count) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$node->wait_for_catchup('s');
	for my $table (@tables)
	{
		my $rows = "SELECT count(*), md5(string_agg(concat_ws('|', id, note,"
		  . " envelope_send(v)), ',' ORDER BY id)) FROM $table";
		my $here = $node->safe_psql('postgres', $rows);

		like($here, qr/^$count\|/, "$what, $table: so many rows");
		is($subscriber->safe_psql('postgres', $rows),
			$here, "$what, $table: the same, byte for byte");
	}
	return;
}

# The same statement on both tables.
sub change
{
	my ($sql) = @_;

	$node->safe_psql('postgres', join ';',
		map { $sql =~ s/TABLENAME/$_/gr } @tables);
	return;
}

is_same('first copy', 10);
change(insert_into('TABLENAME', 11));
is_same('INSERT', 20);
change("UPDATE TABLENAME SET note = 'noted' WHERE id % 2 = 0");
is_same('UPDATE of another column', 20);
change("UPDATE TABLENAME SET v = env_encrypt('plain ' || id, $context, 'one')"
	  . 'WHERE id = 3');
is_same('UPDATE of the value', 20);
$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('one')");
change("UPDATE TABLENAME SET v = env_reencrypt(v, $context) WHERE id < 6");
is_same('env_reencrypt', 20);
change("UPDATE TABLENAME SET note = 'again' WHERE id < 6");
is_same('UPDATE of a value encrypted anew', 20);
change("UPDATE TABLENAME SET v = NULL WHERE id = 4");
change("UPDATE TABLENAME SET note = 'null' WHERE id = 4");
is_same('UPDATE of a null', 20);

# A large value, out of line: unchanged it is not sent again.
change("UPDATE TABLENAME SET v = env_encrypt(repeat('long', 10000), $context,"
	  . "'one') WHERE id = 5");
change("UPDATE TABLENAME SET note = 'long' WHERE id = 5");
is_same('UPDATE beside a large value', 20);
change('DELETE FROM TABLENAME WHERE id IN (2, 3, 4, 5)');
is_same('DELETE', 16);

# The key's rows are not replicated.
my $read = "SELECT count(*) FROM by_row WHERE env_decrypt(v, $context) = "
  . "'plain ' || id";
is_sqlstate($subscriber, $read, 'PE001',
	'a subscriber without the key\'s rows does not open them');
is($node->safe_psql('postgres', $read), '16', 'the publisher does');
my ($dump) = run_command(
	[
		'pg_dump', '-a', '-t', 'pgenvelope.*', '-d',
		$node->connstr('postgres') ]);
like($dump, qr/^COPY pgenvelope\.key_version /m, 'they can be dumped');
$subscriber->safe_psql('postgres', $dump);
is($subscriber->safe_psql('postgres', $read),
	'16', 'with the key\'s rows they open');
is(counter($subscriber, 'unseal_calls'),
	2, 'with a call for each version of the key');
change(insert_into('TABLENAME', 21));
is_same('with the key', 26);
is($subscriber->safe_psql('postgres', $read), '26', 'new values open');

# The worker runs triggers of tables, whoever owns those, as the subscription's
# owner: a superuser, who could be the second person to somebody.
$subscriber->safe_psql('postgres', <<'END');
SELECT pgenvelope.require_approval('one'), pgenvelope.create_audit_key();
SELECT pgenvelope.grant_key('one', 'decrypt', 'pg_monitor');
CREATE TABLE tried (act text, outcome text);
CREATE FUNCTION try_acts() RETURNS trigger LANGUAGE plpgsql
SET search_path = public AS $$
DECLARE
	act text;
BEGIN
	FOREACH act IN ARRAY '{"pgenvelope.approve(max(request_id)) FROM pgenvelope.request",
		"pgenvelope.grant_key(''one'', ''decrypt'', ''pg_read_all_stats'')",
		"pgenvelope.grant_key(''one'', ''encrypt'', ''pg_read_all_stats'')",
		"pgenvelope.rotate_key(''one'')", "pgenvelope.create_key(''another'')"}'::text[] LOOP
		BEGIN
			EXECUTE 'SELECT ' || act;
			INSERT INTO tried VALUES (act, 'done');
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO tried VALUES (act, SQLSTATE);
		END;
	END LOOP;
	RETURN NEW;
END;
$$;
CREATE TRIGGER try_acts BEFORE INSERT ON by_row
FOR EACH ROW EXECUTE FUNCTION try_acts();
ALTER TABLE by_row ENABLE ALWAYS TRIGGER try_acts;
END
change(insert_into('TABLENAME', 31));
is_same('with a trigger that administers', 36);
is( $subscriber->safe_psql(
		'postgres', 'SELECT DISTINCT outcome, count(*) FROM tried GROUP BY 1'),
	'0A000|50', 'no act is done by what another server has done');
is( $subscriber->safe_psql(
		'postgres', 'SELECT count(*) FROM pgenvelope.verify_audit() WHERE NOT ok'),
	'0', 'and the log of acts is whole');

done_testing();
