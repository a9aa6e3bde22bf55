# 015_inplace.pl: values are rewrapped where they are, while they are read.
#
# A table of one page is rewrapped to and fro, by the code of the in-place
# method, as fast as it can be, while it is read on the primary and on a
# standby in every way that hands on tuples after the page's lock was given
# up.  No reader may ever meet half of a wrap.  The control does the same
# under an exclusive lock instead of a cleanup lock, logged as an ordinary
# image of a page: readers of both servers must then fail, or the test proves
# nothing.
#
# PGENVELOPE_SOAK: seconds of each part, instead of 5.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{PGENVELOPE_SOAK} || 5;
my $primary = new_node(
	'primary',
	init => { allows_streaming => 1, extra => ['--data-checksums'] },
	conf => "max_standby_streaming_delay = -1\nautovacuum = off\n");

$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# It has no use for the library, and replays all the same.
my $bare = PostgreSQL::Test::Cluster->new('bare');
$bare->init_from_backup($primary, 'base', has_streaming => 1);
$bare->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$bare->start;

my @nodes = ($primary, $standby, $bare);

# ---------------------------------------------------------------------------
# Something to read, and ways to read it
# ---------------------------------------------------------------------------

my $parallel = parallel_setting($primary);

$primary->safe_psql('postgres', <<'END' =~ s/PARALLEL/$parallel/gr);
CREATE EXTENSION amcheck;
SELECT pgenvelope.create_key('k', required_context => '{}');
CREATE TABLE page (id int PRIMARY KEY, note text, value envelope,
    other envelope);
INSERT INTO page SELECT i, repeat('n', i % 7),
    env_encrypt('plain ' || i, '{"id": 1}', 'k'), NULL
FROM generate_series(1, 50) AS i;
ANALYZE page;
SELECT pgenvelope.rotate_key('k', rewrap => false);

-- The same values, wrapped by either version.
CREATE TABLE wraps AS
SELECT id, envelope_send(value) AS one, envelope_send(env_rewrap(value)) AS other
FROM page;

CREATE FUNCTION read_page(seconds int, OUT reads bigint, OUT failed bigint)
LANGUAGE plpgsql AS $$
DECLARE
    stop timestamptz := clock_timestamp() + make_interval(secs => seconds);
    rows bigint;
    bad bigint;
    outcome text;
    scroll refcursor;
BEGIN
    reads := 0;
    failed := 0;
    WHILE clock_timestamp() < stop LOOP
        -- A scan, and one that sorts copies.
        SELECT count(*), count(*) FILTER (WHERE env_verify(value, '{"id": 1}') <> 'ok')
        INTO rows, bad FROM page;
        reads := reads + rows;
        failed := failed + bad;
        SELECT count(*), count(*) FILTER (WHERE env_verify(value, '{"id": 1}') <> 'ok')
        INTO rows, bad
        FROM (SELECT value FROM page ORDER BY note, id DESC OFFSET 0) AS sorted;
        reads := reads + rows;
        failed := failed + bad;

        -- By index, which pins the page for each row.
        SET LOCAL enable_seqscan = off;
        SET LOCAL enable_bitmapscan = off;
        SELECT count(*), count(*) FILTER (WHERE env_verify(value, '{"id": 1}') <> 'ok')
        INTO rows, bad FROM page WHERE id BETWEEN 10 AND 40;
        reads := reads + rows;
        failed := failed + bad;
        RESET enable_seqscan;
        RESET enable_bitmapscan;

        -- By other processes.
        SET LOCAL PARALLEL = on;
        SET LOCAL parallel_setup_cost = 0;
        SET LOCAL parallel_tuple_cost = 0;
        SET LOCAL min_parallel_table_scan_size = 0;
        SELECT count(*), count(*) FILTER (WHERE env_verify(value, '{"id": 1}') <> 'ok')
        INTO rows, bad FROM page;
        reads := reads + rows;
        failed := failed + bad;
        RESET PARALLEL;
        RESET parallel_setup_cost;
        RESET parallel_tuple_cost;
        RESET min_parallel_table_scan_size;

        -- A cursor, which rests between rows.
        OPEN scroll FOR SELECT env_verify(value, '{"id": 1}') FROM page;
        LOOP
            FETCH scroll INTO outcome;
            EXIT WHEN NOT FOUND;
            reads := reads + 1;
            failed := failed + (outcome <> 'ok')::int;
        END LOOP;
        CLOSE scroll;
    END LOOP;
END $$;

CREATE FUNCTION swap(seconds int, careless boolean) RETURNS bigint
LANGUAGE sql AS $$
    SELECT pgenvelope_test_swap('page', 3::smallint,
        array_agg(one ORDER BY id), array_agg(other ORDER BY id),
        seconds * 1000, careless) FROM wraps
$$;

-- The same by jobs and the method that updates, from version to version.
SELECT pgenvelope.create_key('u', required_context => '{}');
CREATE SCHEMA by_update;
CREATE TABLE by_update.page (LIKE page INCLUDING ALL);
INSERT INTO by_update.page SELECT id, note,
    env_encrypt('plain ' || id, '{"id": 1}', 'u'), NULL FROM page;
CREATE PROCEDURE rewrap_by_jobs(seconds int, INOUT moved bigint = 0)
LANGUAGE plpgsql AS $$
DECLARE
    stop timestamptz := clock_timestamp() + make_interval(secs => seconds);
    job bigint;
    one record;
BEGIN
    WHILE clock_timestamp() < stop LOOP
        PERFORM pgenvelope.rotate_key('u', rewrap => false);
        job := pgenvelope.start_rewrap('u');
        COMMIT;
        LOOP
            SELECT * INTO one FROM pgenvelope.step_rewrap(job);
            COMMIT;
            moved := moved + one.rewrapped;
            EXIT WHEN one.step <> 'more' OR one.state = 'proving';
        END LOOP;
        PERFORM pgenvelope.cancel_rewrap(job);
        COMMIT;
    END LOOP;
END $$;
END

my %known = map { $_ => 1 } split /\n/, $primary->safe_psql('postgres', <<'END');
COPY (SELECT '\x' || encode(one, 'hex') FROM wraps
      UNION ALL SELECT '\x' || encode(other, 'hex') FROM wraps) TO STDOUT (FORMAT csv)
END
is(scalar(keys %known), 100, 'two wraps of each value');

sub catch_up
{
	$primary->wait_for_catchup($_, 'replay', $primary->lsn('flush'))
	  for $standby, $bare;
	return;
}

# Writes for so long while both servers are read; returns
# (values written, reads and failures there, reads and failures here).
sub write_and_read
{
	my ($statement, $schema, $time) = @_;
	my $writer = session($primary);
	my @readers = map { session($_) } $primary, $standby;

	catch_up();
	$_->run("SET search_path = $schema, public, envelope") for @readers;
	$writer->start($statement);
	$_->start("SELECT reads || ' ' || failed FROM read_page($time)")
	  for @readers;
	my @result = map {
		my ($out, $sqlstate, $message) = $_->finish;
		is($sqlstate, '00000', 'no error') or diag($message);
		split / /, $out;
	} $writer, @readers;
	$_->quit for $writer, @readers;
	catch_up();
	return @result;
}

sub swap_and_read
{
	my ($careless, $time) = @_;

	return write_and_read("SELECT swap($time, $careless)", 'public', $time);
}

# ---------------------------------------------------------------------------
# The method, and the control
# ---------------------------------------------------------------------------

my ($written, @reads) = swap_and_read('false', $seconds);
note("written: $written; reads and failures: @reads");
cmp_ok($written, '>', 1000, 'the page was written');
cmp_ok($reads[0], '>', 1000, 'the primary was read');
cmp_ok($reads[2], '>', 1000, 'the standby was read');
is($reads[1], '0', 'no read failed on the primary');
is($reads[3], '0', 'no read failed on the standby');

($written, @reads) = write_and_read("CALL rewrap_by_jobs($seconds)",
	'by_update', $seconds);
note("updated: $written; reads and failures: @reads");
cmp_ok($written, '>', 1000, 'the page was updated');
cmp_ok($reads[0], '>', 1000, 'the primary was read');
cmp_ok($reads[2], '>', 1000, 'the standby was read');
is($reads[1], '0', 'no read failed on the primary beside updates');
is($reads[3], '0', 'no read failed on the standby beside updates');

# COPY hands on what the page says without a copy in between.
my $writer = session($primary);
my @copied;
$writer->start("SELECT swap(" . int($seconds / 2 + 1) . ", false)");
while ($writer->waiting)
{
	for my $node ($primary, $standby)
	{
		push @copied, split /\n/,
		  $node->safe_psql('postgres',
			join(';', ('COPY page (value) TO STDOUT') x 20));
	}
}
$writer->finish;
$writer->quit;
my %copied = map { $_ => 1 } @copied;
note(scalar(@copied) . ' values copied, ' . keys(%copied) . ' different');
my $wrong = $primary->safe_psql('postgres',
	"SELECT count(*) FROM (VALUES "
	  . join(', ', map { "('$_'::envelope)" } sort keys %copied)
	  . ") AS copied (value) WHERE envelope_send(value) NOT IN"
	  . ' (SELECT one FROM wraps UNION ALL SELECT other FROM wraps)');
cmp_ok(scalar(@copied), '>', 100, 'values were copied');
is($wrong, '0', 'each copied value is one of those that were written');

# The same pages everywhere.
catch_up();
my $content = 'SELECT md5(string_agg(envelope_send(value)::text, $$,$$'
  . ' ORDER BY id)) FROM page';
my ($here, $there, $without) =
  map { $_->safe_psql('postgres', $content) } @nodes;
is($there, $here, 'the standby has the same bytes');
is($without, $here, 'so has the standby that does not have the library');
is( $primary->safe_psql('postgres', "SELECT count(*) FROM verify_heapam('page')"),
	'0', 'the heap is sound');

my @control = (0, 0, 0, 0);
for (1 .. 12)
{
	my ($values, @now) = swap_and_read('true', 5);
	$control[$_] += $now[$_] for 0 .. 3;
	note("control: written $values; reads and failures: @now");
	last if $control[1] > 0 && $control[3] > 0;
}
cmp_ok($control[1], '>', 0, 'under the wrong lock reads fail on the primary');
cmp_ok($control[3], '>', 0, 'and on the standby');

$_->stop for @nodes;
command_ok([ 'pg_checksums', '--check', '-D', $_->data_dir ],
	'checksums of ' . $_->name)
  for @nodes;

done_testing();
