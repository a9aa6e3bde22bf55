# 021_subscriber.pl: a logical subscriber through a rotation misses no change,
# with either replica identity, whichever way the publisher's values are moved.
#
# All tables are published, the keys' too, and jobs, which the subscriber passes
# over.  By UPDATE the new wraps arrive like any change.  In place nothing
# arrives: the subscriber's values keep their wraps, and rows are found all the
# same, since a value equals itself rewrapped; the subscriber moves its values
# by a job of its own.
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

my $seconds = $ENV{PGENVELOPE_SOAK} || 1;
my $directory = new_directory('pgbench');
my $key_bytes = random_bytes(32);
my %conf = (
	init => { allows_streaming => 'logical' },
	conf => <<'END');
pgenvelope.rewrap_rate = 0
pgenvelope.rewrap_naptime = '1s'
pgenvelope.rewrap_batch_blocks = 4
END
my $node = new_node(
	'publisher',
	providers => 'main=file://' . new_key_file($key_bytes),
	%conf);
my $subscriber = new_node(
	'subscriber',
	providers => 'main=file://' . new_key_file($key_bytes),
	%conf);

# "by_row" has no key: a row is found by all of its columns, of which the value
# is one.
my @tables = qw(by_key by_row);
for my $on ($node, $subscriber)
{
	$on->safe_psql('postgres', <<'END');
CREATE TABLE by_key (id int PRIMARY KEY, note int, v envelope);
CREATE TABLE by_row (id int, note int, v envelope);
CREATE INDEX ON by_row (id);
ALTER TABLE by_row REPLICA IDENTITY FULL;
CREATE FUNCTION opened(id int, v envelope) RETURNS text LANGUAGE sql AS $$
SELECT env_decrypt(v, jsonb_build_object('id', id)) $$;
ALTER DATABASE postgres SET pgenvelope.default_key = 'key';
END
}
$node->safe_psql('postgres',
	q(SELECT pgenvelope.create_key('key', required_context => '{"id": null}')));
for my $table (@tables)
{
	$node->safe_psql('postgres', <<"END");
INSERT INTO $table
SELECT i, 0, env_encrypt('plain ' || i, jsonb_build_object('id', i))
FROM generate_series(1, 1000) i;
END
}
$node->safe_psql('postgres', 'CREATE PUBLICATION p FOR ALL TABLES');
$subscriber->safe_psql('postgres',
	    "CREATE SUBSCRIPTION s CONNECTION '"
	  . $node->connstr
	  . " dbname=postgres' PUBLICATION p");
$subscriber->wait_for_subscription_sync($node, 's');

# Both tables get the same changes, but for the last hundred rows.
write_file("$directory/write", <<'END');
\set i random(1, 900)
\set how random(1, 10)
\if :how < 6
UPDATE by_key SET note = note + 1 WHERE id = :i;
UPDATE by_row SET note = note + 1 WHERE id = :i;
\elif :how < 9
UPDATE by_key SET v = env_encrypt('plain ' || :i, jsonb_build_object('id', id))
WHERE id = :i;
UPDATE by_row SET v = env_encrypt('plain ' || :i, jsonb_build_object('id', id))
WHERE id = :i;
\else
DELETE FROM by_key WHERE id = :i;
DELETE FROM by_row WHERE id = :i;
INSERT INTO by_key
SELECT id, 0, env_encrypt('plain ' || id, jsonb_build_object('id', id))
FROM (VALUES (:i)) AS x (id);
INSERT INTO by_row SELECT id, note, v FROM by_key WHERE id = :i;
\endif
END

# No more than the subscriber keeps up with: to find a row by all of its
# columns it reads the table.
sub start_load
{
	return IPC::Run::start(
		[
			'pgbench', '-n', '-c', '1', '-R', '200', '-T', $seconds,
			'-f', "$directory/write", '-h', $node->host, '-p', $node->port,
			'postgres'
		],
		'<', '/dev/null', '>', "$directory/out", '2>', "$directory/err");
}

sub wait_for_job
{
	my ($on, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $on->poll_query_until(
			'postgres',
			"SELECT state = 'complete' FROM pgenvelope.rewrap_job
			ORDER BY job_id DESC LIMIT 1"),
		"$what: the job is complete");
	return;
}

# Both sides have the same rows: the same values, perhaps rewrapped, or
# "exactly" the same bytes.
sub is_same
{
	my ($what, $exactly) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$node->wait_for_catchup('s');
	for my $table (@tables)
	{
		my $value = $exactly ? 'envelope_send(v)' : 'opened(id, v)';
		my $rows = 'SELECT count(*), md5(string_agg(concat_ws('
		  . "'|', id, note, $value), ',' ORDER BY id)) FROM $table";

		is($subscriber->safe_psql('postgres', $rows),
			$node->safe_psql('postgres', $rows),
			"$what, $table: the same");
		is( $subscriber->safe_psql('postgres',
				"SELECT count(*) FROM $table WHERE opened(id, v) = 'plain ' || id"),
			'1000',
			"$what, $table: every value decrypts on the subscriber");
	}
	return;
}

# Values of the active version, and of others, on a side.
sub versions
{
	my ($on) = @_;

	return $on->safe_psql('postgres', <<'END');
SELECT count(*) FILTER (WHERE env_key_version(v) = version) > 0,
    count(*) FILTER (WHERE env_key_version(v) <> version) > 0
FROM (SELECT v FROM by_key UNION ALL SELECT v FROM by_row) AS every,
    pgenvelope.keys WHERE state = 'active'
END
}

is_same('first copy', 1);
my $log_end = -s $subscriber->logfile;

for my $method (qw(update inplace))
{
	my $load = start_load();

	# A WARNING says that subscribers gets nothing of it.
	my ($result, $out, $err) = $node->psql('postgres',
		"SELECT pgenvelope.set_rewrap_method(t, '$method')
		FROM unnest('{by_key,by_row}'::regclass[]) t");
	is($result, 0, "$method: the method is set");
	like($err, $method eq 'inplace' ? qr/WARNING/ : qr/^$/,
		"$method: with a warning, if it concerns subscribers");
	$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('key')");
	wait_for_job($node, $method);
	ok($load->finish, "$method: nobody failed who wrote meanwhile")
	  or diag(slurp_file("$directory/err"));
	is(versions($node), 't|f', "$method: the publisher's values are moved");
	is_same($method, $method eq 'update');
}
is(versions($subscriber), 't|t', 'in place: the subscriber keeps old wraps');

# Its own job, while changes come in.
{
	my $load = start_load();

	$subscriber->safe_psql('postgres', "SELECT pgenvelope.start_rewrap('key')");
	wait_for_job($subscriber, 'on the subscriber');
	ok($load->finish, 'nobody failed who wrote meanwhile')
	  or diag(slurp_file("$directory/err"));
	is_same('job on the subscriber', 0);
	$subscriber->safe_psql('postgres', "SELECT pgenvelope.start_rewrap('key')");
	wait_for_job($subscriber, 'on the subscriber, again');
	is(versions($subscriber), 't|f', 'it has moved its own values');
	is_same('job on the subscriber, again', 0);
}
unlike(slurp_file($subscriber->logfile, $log_end),
	qr/ERROR|FATAL|PANIC/, 'the subscriber met no error');
is( $subscriber->safe_psql('postgres',
		'SELECT count(*) FROM pg_stat_subscription_stats
		WHERE apply_error_count > 0'),
	'0',
	'and none when it applied changes');

done_testing();
