# 050_sec_log.pl: what goes wrong in our functions takes no plaintext into
# the server's log, whoever raises it: the statement that holds it is hidden.
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

my $marker = 'Marker-7c1f';
my $node = new_node('main');

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('one', NULL, '{}');
CREATE TABLE t (plain text, v envelope);
CREATE TRIGGER e BEFORE INSERT ON t FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('plaintext', 'v', '@key:one');
CREATE FUNCTION nested(plain text) RETURNS envelope LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT env_encrypt(%L, ''{}'', ''nonesuch'')', plain);
END $$;
END

sub is_hidden
{
	my ($sql, $sqlstate, $test, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $from = -s $node->logfile;

	is_sqlstate($node, $sql, $sqlstate, $test, %params);
	my $log = slurp_file($node->logfile, $from);
	like($log, qr/ERROR: /, "$test: is logged");
	unlike($log, qr/$marker/, "$test: without the plaintext");
	return;
}

is_hidden("SELECT env_encrypt('$marker', '{}', 'nonesuch')",
	'PE001', 'an error of ours');
is_hidden("SELECT nested('$marker')",
	'PE001', 'an error of ours in a function');
is_hidden("INSERT INTO t VALUES ('$marker')",
	'42703', 'a trigger with a wrong argument');
is_hidden("INSERT INTO t VALUES ('x', '$marker')",
	'22P02', 'a plaintext in the wrong column');

# PostgreSQL's own errors
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
set_point($node, 'loop', 'hang');
is_hidden(
	"SET statement_timeout = '200ms'; SELECT env_encrypt('$marker', '{}', 'one')",
	'57014',
	'a wait that is cancelled');
set_point($node, 'loop', 'pass');

$node->safe_psql('postgres', 'CREATE DATABASE empty');
$node->safe_psql('empty', 'CREATE EXTENSION pgenvelope');
$node->safe_psql('empty', 'ALTER TABLE pgenvelope.key RENAME TO other');
is_hidden("SELECT env_encrypt('$marker', '{}', 'one')",
	'55000', 'no tables', database => 'empty');

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
is_hidden("SELECT env_encrypt('$marker', '{}', 'one')",
	'55000', 'not preloaded');

done_testing();
