# 025_escrow.pl: second seals of KEKs, by pgenvelope.escrow_provider.
#
# Each new version is sealed once more, or not made; pgenvelope.reseal_keys does so
# for older ones.  A second seal opens nothing by itself, not even when the
# first provider is lost: then pgenvelope.reseal_keys(..., from_escrow => true) brings
# the keys back, in a restarted server, from a dump too.  Second seals that
# were altered or swapped are refused, and destroying erases them.
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

my $double = new_double('backup');
my $root_key = new_key_file();
my %uri = (
	main => "file://$root_key",
	backup => $double->uri,
	new => 'file://' . new_key_file());

sub setting
{
	return join ', ', map { "$_=$uri{$_}" } @_;
}

my $node = new_node(
	'main',
	providers => setting(qw(main backup new)),
	conf => "pgenvelope.rewrap_workers = 0\npgenvelope.key_timeout = 5s\n");

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub set_escrow
{
	my ($provider) = @_;

	set_setting($node, 'pgenvelope.escrow_provider', $provider);
	$node->poll_query_until('postgres',
		"SELECT current_setting('pgenvelope.escrow_provider') = '$provider'")
	  or die 'the setting did not change';
	return;
}

my $seals = <<'END';
SELECT string_agg(name || '/' || version || ' ' || provider || ' '
    || coalesce(escrow_provider, '-'), ', ' ORDER BY name, version)
FROM pgenvelope.keys
END
my $wrong = <<'END';
SELECT count(*) FROM value WHERE env_decrypt(v, '{}') IS DISTINCT FROM plain
END

# ---------------------------------------------------------------------------
# Sealing
# ---------------------------------------------------------------------------

query(<<'END');
CREATE TABLE value (plain text, v envelope);
CREATE PROCEDURE add(k text) LANGUAGE sql AS $$
INSERT INTO value VALUES ('of ' || k, env_encrypt('of ' || k, '{}', k)) $$;
SELECT pgenvelope.create_key('old', 'main', '{}');
CALL add('old');
END
is(query($seals), 'old/1 main -', 'without the setting there is one seal');

set_escrow('nobody');
is_sqlstate($node, q(SELECT pgenvelope.create_key('none', 'main', '{}')),
	'PE006', 'an escrow provider must be listed');
set_escrow('backup');
$double->behave('seal fail denied not you');
is_sqlstate($node, q(SELECT pgenvelope.create_key('none', 'main', '{}')),
	'PE006', 'no key is made without its second seal');
is_sqlstate($node, q(SELECT pgenvelope.rotate_key('old')), 'PE006', 'nor a version');
$double->behave();
advance_clock($node, 60);
is(query($seals), 'old/1 main -', 'and nothing is stored');

my $calls = $double->calls('unseal');
query(<<'END');
SELECT pgenvelope.create_key('young', 'main', '{}');
CALL add('young');
SELECT pgenvelope.rotate_key('young', rewrap => false);
CALL add('young');
END
is(query($seals), 'old/1 main -, young/1 main backup, young/2 main backup',
	'each new version has a second seal');
is($double->calls('unseal') - $calls, 2, 'which was unsealed again to compare');

my ($result, $out, $err) =
  $node->psql('postgres', 'SELECT pgenvelope.reseal_keys()');
is($out, '0', 'pgenvelope.reseal_keys has nothing to seal anew');
like($err, qr/NOTICE:  sealed 1 key version once more, for escrow/,
	'but an older key to seal once more');
is(query($seals),
	'old/1 main backup, young/1 main backup, young/2 main backup',
	'so all are');

# ---------------------------------------------------------------------------
# Not by itself
# ---------------------------------------------------------------------------

$calls = $double->calls('unseal');
my $lost = slurp_file($root_key);
unlink $root_key or die "$root_key: $!";
$node->restart;
is_sqlstate($node, $wrong, 'PE006',
	'a second seal opens nothing when the first does not');
is($double->calls('unseal'), $calls, 'its provider is not even asked');
is_sqlstate($node, q(SELECT pgenvelope.reseal_keys('new')),
	'PE006', 'nor is it taken without being told');
is_sqlstate($node, q(SELECT pgenvelope.reseal_keys(from_escrow => true)),
	'22023', 'who takes it says who is to seal');

# ---------------------------------------------------------------------------
# Altered
# ---------------------------------------------------------------------------

query('CREATE TABLE kept AS SELECT * FROM pgenvelope.key_escrow');
query(<<'END');
UPDATE pgenvelope.key_escrow AS e SET sealed_kek = o.sealed_kek
FROM pgenvelope.key_escrow AS o JOIN pgenvelope.key USING (key_id)
WHERE name = 'old' AND e.key_id <> o.key_id AND e.version = 1
END
($result, $out, $err) =
  $node->psql('postgres', q(SELECT pgenvelope.reseal_keys('new', 'young', true)));
is($out, '1', 'a second seal of its own serves');
like(
	$err,
	qr/WARNING:  1 key version was not sealed anew: .*"young" version 1 from provider "backup": integrity/,
	'that of another key does not');
query(<<'END');
UPDATE pgenvelope.key_escrow AS e SET sealed_kek = k.sealed_kek FROM kept k
WHERE (e.key_id, e.version) = (k.key_id, k.version);
END
is_sqlstate($node, <<'END', '42501', 'nobody writes second seals by hand');
CREATE ROLE writer; GRANT pg_write_all_data TO writer;
GRANT USAGE ON SCHEMA pgenvelope TO writer;
SET ROLE writer;
DELETE FROM pgenvelope.key_escrow;
END
is_sqlstate($node, <<'END', '42501', 'nor reads them');
SET ROLE writer; SELECT * FROM pgenvelope.key_escrow;
END

# ---------------------------------------------------------------------------
# Back
# ---------------------------------------------------------------------------

advance_clock($node, 60);
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ],
	'it is dumped');
is(query(q(SELECT pgenvelope.reseal_keys('new', from_escrow => true))),
	'2', 'from escrow all keys come back');
is(query($wrong), '0', 'and every value decrypts');
is(query($seals), 'old/1 new backup, young/1 new backup, young/2 new backup',
	'sealed by the new provider, and still by the second');
$node->restart;
is(query($wrong), '0', 'after a restart, too');
is(query(q(SELECT pgenvelope.reseal_keys('new', from_escrow => true))),
	'0', 'once is enough');

$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump,
		$node->connstr('restored') ], 'and restored');
is_sqlstate($node, $wrong, 'PE006', 'there the first provider is lost as ever',
	database => 'restored');
is( $node->safe_psql('restored', q(SELECT pgenvelope.reseal_keys('new', from_escrow => true))),
	'2', 'and the second brings the keys back');
is($node->safe_psql('restored', $wrong), '0', 'every value decrypts');

# ---------------------------------------------------------------------------
# Another escrow provider; the end
# ---------------------------------------------------------------------------

write_file($root_key, $lost);
set_escrow('main');
query(q(SELECT pgenvelope.reseal_keys()));
is(query($seals), 'old/1 new main, young/1 new main, young/2 new main',
	'another escrow provider seals them anew');
set_escrow('');
query(q(SELECT pgenvelope.rotate_key('young', rewrap => false)));
is(query(q(SELECT escrow_provider IS NULL FROM pgenvelope.keys WHERE version = 3)),
	't', 'without the setting, new versions have none');
is_sqlstate($node, q(SELECT pgenvelope.reseal_keys('main', 'none', true)),
	'PE001', 'no such key');
like(query(q(SELECT detail FROM pgenvelope.destroy_key('young', 1, 'young/1', shred => true))),
	qr/root key \S+ of provider "main" unseals any copy/,
	'destroying tells of the second seal');
is(query(q(SELECT count(*) FROM pgenvelope.key_escrow WHERE version = 1)),
	'1', 'and erases it');
done_testing();
