# 020_concurrent.pl: a key is rotated again and again while others write the
# tables, and change them.
#
# Every row has a counter inside its plaintext, and another beside it in the
# clear; whoever adds one to either notes it in a table of its own, in the same
# transaction.  So a lost update shows, by whomever.  Meanwhile rows are
# deleted and inserted, the table is vacuumed, rewritten, indexed and altered,
# and partitions come and go.  For a few seconds a method, or
# PGENVELOPE_SOAK.  Afterwards: no error, no lost update, no value of an
# old version, every value decrypts, and the tables are sound.
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

my $seconds = $ENV{PGENVELOPE_SOAK} || 2;
my $rows = 2000;
my $directory = new_directory('pgbench');
my $node = new_node('main', conf => <<'END');
pgenvelope.rewrap_rate = 0
pgenvelope.rewrap_naptime = '1s'
pgenvelope.rewrap_lock_timeout = '20ms'
pgenvelope.rewrap_batch_blocks = 8
pgenvelope.key_cache_size = 4096
END

# "stock" is where rows for new partitions are taken from, with whatever
# version they have just then.
$node->safe_psql('postgres', <<"END");
CREATE EXTENSION amcheck;
SELECT pgenvelope.create_key('key', required_context => '{"id": null}');
SET pgenvelope.default_key = 'key';
ALTER DATABASE postgres SET pgenvelope.default_key = 'key';
CREATE FUNCTION seal(id int, counter int) RETURNS envelope LANGUAGE sql AS \$\$
SELECT env_encrypt(counter::text, jsonb_build_object('id', id)) \$\$;
CREATE FUNCTION counter(id int, v envelope) RETURNS int LANGUAGE sql AS \$\$
SELECT env_decrypt(v, jsonb_build_object('id', id))::int \$\$;
CREATE TABLE value (id int PRIMARY KEY, v envelope, clear int, filler text);
CREATE TABLE noted (id int PRIMARY KEY, sealed int, clear int);
INSERT INTO value SELECT i, seal(i, 0), 0, repeat('x', 100)
FROM generate_series(1, $rows) i;
INSERT INTO noted SELECT i, 0, 0 FROM generate_series(1, $rows) i;
CREATE TABLE stock AS SELECT id, v FROM value;
CREATE TABLE part (id int, v envelope, part int) PARTITION BY LIST (part);
CREATE TABLE part_0 PARTITION OF part FOR VALUES IN (0);
INSERT INTO part SELECT id, v, 0 FROM stock;
VACUUM value;

-- A row that is not there is somebody else's affair just now.
CREATE FUNCTION add_sealed(i int) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
    UPDATE value SET v = seal(id, counter(id, v) + 1) WHERE id = i;
    IF FOUND THEN
        UPDATE noted SET sealed = sealed + 1 WHERE id = i;
    END IF;
END \$\$;
CREATE FUNCTION add_clear(i int) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
    UPDATE value SET clear = clear + 1 WHERE id = i;
    IF FOUND THEN
        UPDATE noted SET clear = clear + 1 WHERE id = i;
    END IF;
END \$\$;
CREATE FUNCTION replace(i int) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
    DELETE FROM value WHERE id = i;
    IF FOUND THEN
        INSERT INTO value VALUES (i, seal(i, 7), 7, repeat('y', 100));
        UPDATE noted SET sealed = 7, clear = 7 WHERE id = i;
    END IF;
END \$\$;
END

write_file("$directory/write", <<"END");
\\set i random(1, $rows)
\\set how random(1, 10)
\\if :how < 5
SELECT add_sealed(:i);
\\elif :how < 9
SELECT add_clear(:i);
\\else
SELECT replace(:i);
\\endif
END
write_file("$directory/read", <<"END");
\\set i random(1, $rows)
SELECT 1 / (counter(id, v) >= 0)::int FROM value WHERE id BETWEEN :i AND :i + 50;
END

# One client: each statement is alone with itself.  Columns are added rarely:
# a table has room for 1600, also of those that are dropped.
write_file("$directory/define", <<'END');
\set how random(1, 6)
\set rare random(1, 20)
\if :rare = 1
ALTER TABLE value ADD COLUMN quick int DEFAULT 1;
ALTER TABLE value DROP COLUMN quick;
\elif :rare = 2
ALTER TABLE value ADD COLUMN slow float DEFAULT random();
ALTER TABLE value DROP COLUMN slow;
\elif :how = 1
VACUUM value;
\elif :how = 2
VACUUM FULL value;
\elif :how = 3
CREATE INDEX value_clear ON value (clear);
DROP INDEX value_clear;
\elif :how = 4
CREATE INDEX value_v ON value USING hash (v);
DROP INDEX value_v;
\elif :how = 5
VACUUM (FREEZE) part;
\else
CREATE TABLE part_1 (id int, v envelope, part int DEFAULT 1);
INSERT INTO part_1 SELECT id, v FROM stock WHERE id % 7 = 0;
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES IN (1);
SELECT count(counter(id, v)) FROM part;
ALTER TABLE part DETACH PARTITION part_1;
DROP TABLE part_1;
\endif
END

sub pgbench
{
	my ($name, $clients, @arguments) = @_;

	return IPC::Run::start(
		[
			'pgbench', '-n', '-c', $clients, '-T', $seconds, @arguments,
			'-h', $node->host, '-p', $node->port, 'postgres'
		],
		'<', '/dev/null', '>', "$directory/$name.out", '2>',
		"$directory/$name.err");
}

sub wait_for_job
{
	return $node->poll_query_until('postgres',
		"SELECT state = 'complete' FROM pgenvelope.rewrap_job
		ORDER BY job_id DESC LIMIT 1");
}

for my $method (qw(update inplace))
{
	my $log_end = -s $node->logfile;
	my $end = time + $seconds;
	my $rotations = 0;

	$node->safe_psql('postgres',
		"SELECT pgenvelope.set_rewrap_method(t, '$method')
		FROM unnest('{value,stock,part_0}'::regclass[]) t");

	my %load = (
		write => pgbench('write', 2, '-f', "$directory/write\@4", '-f',
			"$directory/read\@1"),
		define => pgbench('define', 1, '-f', "$directory/define"));

	# As soon as a job is complete the next begins.
	while (time < $end)
	{
		$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('key')");
		$rotations++;
		ok(wait_for_job(), "$method: a job comes to its end");
	}
	for my $name (sort keys %load)
	{
		ok($load{$name}->finish, "$method: no session failed ($name)")
		  or diag(slurp_file("$directory/$name.err"));
		unlike(slurp_file("$directory/$name.err"),
			qr/ERROR/, "$method: no statement failed ($name)");
	}

	# The last one, of which there is nobody to be in the way.
	$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('key')");
	ok(wait_for_job(), "$method: the last job is complete");
	is( $node->safe_psql('postgres', <<'END'), '0|0|0', "$method: no update was lost");
SELECT count(*) FILTER (WHERE counter(id, v) IS DISTINCT FROM sealed),
    count(*) FILTER (WHERE value.clear IS DISTINCT FROM noted.clear),
    count(*) FILTER (WHERE v IS NULL OR sealed IS NULL)
FROM value FULL JOIN noted USING (id);
END
	is( $node->safe_psql('postgres', <<'END'), "0|0|$rows", "$method: no value is left behind");
SELECT count(*) FILTER (WHERE env_key_version(v) <> version),
    count(*) FILTER (WHERE counter(id, v) IS NULL),
    count(*) FILTER (WHERE kind = 'value')
FROM (SELECT 'value' AS kind, id, v FROM value
      UNION ALL SELECT 'stock', id, v FROM stock
      UNION ALL SELECT 'part', id, v FROM part) AS every,
    pgenvelope.keys WHERE state = 'active';
END
	is($node->safe_psql('postgres', <<'END'), 't|0', "$method: jobs counted them");
SELECT sum(rewrapped) > 0
    AND (sum(in_place) > 0) = bool_or(method = 'inplace'), sum(failed)
FROM pgenvelope.rewrap_target;
END
	is( $node->safe_psql('postgres',
			'SELECT count(*) FROM pgenvelope.rewrap_failure'),
		'0', "$method: no value failed");
	unlike(slurp_file($node->logfile, $log_end),
		qr/ERROR|FATAL|PANIC|TRAP|deadlock/,
		"$method: nothing failed in the worker");
	command_ok(
		[
			'pg_amcheck', '--heapallindexed', '-h', $node->host, '-p',
			$node->port, 'postgres'
		],
		"$method: tables and indexes are sound");
	diag(sprintf '%s: %d rotations, %s', $method, $rotations,
		join ', ', map { /number of transactions.*?: (\d+)/ ? $1 : () }
		  map { slurp_file("$directory/$_.out") } qw(write define));
}

# Nothing of it was in a cache only.
$node->restart;
is( $node->safe_psql('postgres', 'SELECT count(counter(id, v)) FROM value'),
	$rows, 'after a restart every value decrypts');

done_testing();
