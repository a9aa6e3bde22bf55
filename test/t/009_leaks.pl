# 009_leaks.pl: where plaintext and keys must not be.
#
# Marked plaintexts and the bytes of the root key and of the KEK are looked
# for in the server's log, in the data directory with its write-ahead log, in
# dumps, in the statistics, and in the core file of a backend.  The same
# search has to find what was stored in the plain, or it would prove nothing.
#
# What PostgreSQL itself logs, and what a core file holds of a backend that
# has used a key, is in docs/threat-model.md; the tests called "documented
# limit" show it.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use File::Find;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use MIME::Base64 qw(encode_base64 encode_base64url);
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $slots = 1000;
my $root = random_bytes(32);
my $other_root = random_bytes(32);
my $rubbish = new_key_file();

# Not a root key: its line has more than one.
write_file($rubbish,
	encode_base64($other_root, '') . encode_base64($other_root, "\n"));
my $node = new_node(
	'main',
	providers => 'main=file://'
	  . new_key_file($root)
	  . ", rubbish=file://$rubbish",
	conf => <<"END");
pgenvelope.key_cache_size = $slots
log_min_messages = debug1
log_error_verbosity = verbose
log_min_duration_statement = -1
log_parameter_max_length_on_error = -1
fsync = off
END

# A text that is stored out of line, as it is.
sub long_text
{
	return $_[0] . unpack('H*', random_bytes(10_000)) . $_[0];
}

# Every form in which somebody might print a key.
sub key_patterns
{
	my ($name, $key) = @_;

	return (
		"$name, raw" => $key,
		"$name, half of it" => substr($key, 0, 16),
		"$name, hexadecimal" => unpack('H*', $key),
		"$name, HEXADECIMAL" => uc unpack('H*', $key),
		"$name, base64" => encode_base64($key, '') =~ s/=+$//r,
		"$name, base64url" => encode_base64url($key));
}

my $mark = 'Marker-' . unpack('H*', random_bytes(6));
my %secret = (
	plaintext => $mark,
	key_patterns('root key', $root),
	key_patterns('rubbish root key', $other_root));

# What is stored in the plain, to show that the search finds it.
my $control_mark = 'Control-' . unpack('H*', random_bytes(6));
my $control_key = random_bytes(32);
my %control =
  (plaintext => $control_mark, key_patterns('key', $control_key));

# The names of those patterns that a text has.
sub found_in
{
	my ($text, %patterns) = @_;

	return grep { index($text, $patterns{$_}) >= 0 } sort keys %patterns;
}

# "file: pattern" for all files under a directory.
sub found_under
{
	my ($directory, %patterns) = @_;
	my @found;

	find(
		{
			no_chdir => 1,
			wanted => sub {
				my $path = $File::Find::name;

				return if !-f $path;
				push @found,
				  map { substr($path, length($directory) + 1) . ": $_" }
				  found_in(slurp_file($path), %patterns);
			}
		},
		$directory);
	return @found;
}

sub is_clean
{
	my ($text, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	cmp_ok(length($text), '>', 0, "$test: there is something");
	is_deeply([ found_in($text, %secret) ], [], "$test: holds no secret");
	return;
}

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('one', 'main', '{"type": null}');
SET pgenvelope.default_key = 'one';
ALTER DATABASE postgres SET pgenvelope.default_key = 'one';
CREATE ROLE nobody;
CREATE TABLE sealed (
    id integer PRIMARY KEY,
    plain text,
    v envelope,
    even boolean CHECK (even)
);
ALTER TABLE sealed ALTER plain SET STORAGE EXTERNAL;
CREATE INDEX ON sealed (plain);
CREATE TRIGGER seal BEFORE INSERT OR UPDATE ON sealed FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('plain', 'v', 'type:t', 'id=id');
CREATE TABLE wrong (id integer, plain text, v envelope);
CREATE TRIGGER seal BEFORE INSERT OR UPDATE ON wrong FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('plain', 'v', 'id=id');
CREATE TABLE control (t text, k bytea);
ALTER TABLE control ALTER t SET STORAGE EXTERNAL;
END

# The KEK that is in use, as the cache has it.
my $held = $node->safe_psql('postgres',
	q(SELECT env_encrypt('x', '{"type": "t"}') IS NULL;
	  SELECT pgenvelope_test_held_keys()));
my ($kek) = map { pack 'H*', $_ } $held =~ /^\\x([0-9a-f]{64})$/m;
ok(defined $kek, 'one KEK is held');
%secret = (%secret, key_patterns('KEK', $kek));

# ---------------------------------------------------------------------------
# The server's log
# ---------------------------------------------------------------------------

my $parallel = parallel_setting($node);

# Every statement has the marker, and fails in a function of ours.
my @failing = (
	[ 'PE001', "SELECT env_encrypt('$mark', '{}', 'nonesuch')" ],
	[ 'PE005', "SELECT env_encrypt('$mark', '{}')" ],
	[ 'PE005', "SELECT env_encrypt('$mark', NULL)" ],
	[ 'PE005', qq(SELECT env_encrypt('$mark', '{"type": 1.5}')) ],
	[
		'42501',
		qq(SET ROLE nobody; SELECT env_encrypt('$mark', '{"type": "t"}'))
	],
	[
		'PE004',
		qq(SELECT env_decrypt(env_encrypt('$mark', '{"type": "t"}'), '{"type": "u"}'))
	],
	[
		'PE004',
		qq(SELECT env_rebind(env_encrypt('$mark', '{"type": "t"}'), '{"type": "u"}', '{"type": "t"}'))
	],
	[
		'42804',
		qq(SELECT env_decrypt(env_encrypt('$mark'::bytea, '{"type": "t"}'), '{"type": "t"}'))
	],
	[
		'42501',
		qq(CREATE MATERIALIZED VIEW m AS SELECT env_decrypt(env_encrypt('$mark', '{"type": "t"}'), '{"type": "t"}'))
	],
	[
		'PE001',
		"SET $parallel = on;"
		  . "SELECT env_encrypt('$mark', '{}', 'nonesuch')"
	],
	[
		'22P02',
		"SET $parallel = on;"
		  . "SELECT '$mark', env_from_jwe(jsonb_build_object('a', random()))"
	],
	[ '22P02', "SELECT '$mark'::envelope" ],
	[ '22P02', "SELECT 'env1.$mark'::envelope" ],
	[ '22P02', "INSERT INTO sealed (id, v) VALUES (1, '$mark')" ],
	[ '22P02', "COPY sealed (id, v) FROM STDIN;\n1\t$mark\n\\." ],
	[ '22P02', qq(SELECT env_from_jwe('{"plaintext": "$mark"}')) ],
	[ 'PE005', "INSERT INTO wrong VALUES (1, '$mark')" ],
	[ 'PE005', "COPY wrong (id, plain) FROM STDIN;\n1\t$mark\n\\." ],
	[ 'PE005', "DO \$\$BEGIN INSERT INTO wrong VALUES (1, '$mark'); END\$\$" ],
	[
		'PE001',
		"PREPARE p AS SELECT env_encrypt(\$1, '{}', 'nonesuch');"
		  . "EXECUTE p('$mark')"
	],
	[ 'PE006', "SELECT pgenvelope.create_key('two', 'rubbish')" ],
	[ 'PE006', "SELECT pgenvelope.create_key('$mark', 'nowhere')" ]);

for my $case (@failing)
{
	my ($sqlstate, $sql) = @$case;

	my $name = $sql =~ s/\s+/ /gr =~ s/$mark/(marked)/gr;

	is_sqlstate($node, $sql, $sqlstate, "fails: $name");
}
my $log = slurp_file($node->logfile);
cmp_ok(scalar(() = $log =~ /ERROR:  /g),
	'>=', scalar(@failing), 'all of them are logged');
is_clean($log, 'the log after failing statements');

# PostgreSQL's own conversions between encodings would print the bytes.
my $tables = new_directory('tables');
my $to = sub { "COPY pgenvelope.$_[0] TO '$tables/$_[0]';" };
my $from_file = sub { "COPY pgenvelope.$_[0] FROM '$tables/$_[0]';" };
my @tables = qw(key key_version key_grant);

$node->safe_psql('postgres',
	"CREATE DATABASE $_ TEMPLATE template0 LOCALE 'C' ENCODING '$_'")
  for 'sql_ascii', 'latin1';
my $snowman = $node->safe_psql('sql_ascii',
	'CREATE EXTENSION pgenvelope;'
	  . "SELECT pgenvelope.create_key('one', 'main', '{}') IS NULL;"
	  . join('', map { $to->($_) } @tables)
	  . "SELECT env_encrypt(E'$mark\\xe2\\x98\\x83', '{}', 'one')");
$snowman =~ s/^f\n//;
$node->safe_psql('latin1',
	'CREATE EXTENSION pgenvelope;' . join('', map { $from_file->($_) } @tables));
my $from = -s $node->logfile;
is_sqlstate(
	$node, "SELECT '$mark', env_decrypt('$snowman', '{}')",
	'22P05', 'a plaintext that the encoding lacks',
	database => 'latin1');
is_sqlstate(
	$node, "SELECT env_encrypt(E'$mark\\xff', '{}', 'one')",
	'22021', 'a plaintext that is not UTF-8',
	database => 'sql_ascii');
$log = slurp_file($node->logfile, $from);
unlike($log, qr/0xff|0xe2/, 'the log has no bytes of them');
is_clean($log, 'the log after errors of encoding');

# With parameters, as drivers send them, errors of others keep quiet, too, as
# long as the log is not told to print parameters.
my $script = new_directory('pgbench') . '/script';

sub run_with_parameters
{
	my ($sql) = @_;
	my ($stdout, $stderr);

	write_file($script, $sql, 0644);
	IPC::Run::run(
		[
			'pgbench', '-n', '-M', 'prepared', '-t', '1', '-D',
			"mark=$mark", '-f', $script, '-h', $node->host, '-p',
			$node->port, 'postgres'
		],
		'>', \$stdout, '2>', \$stderr);
	return $stderr;
}

$from = -s $node->logfile;
like(
	run_with_parameters(
		q(SELECT env_encrypt(:mark::text, '{"type": "t"}', 'nonesuch');)),
	qr/does not exist/,
	'an error of ours, with parameters');
$log = slurp_file($node->logfile, $from);
like($log, qr/ERROR: /, 'is logged');
is_clean($log, 'the log after an error of ours, parameters to be logged');

$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL;'
	  . 'ALTER DATABASE postgres SET log_parameter_max_length_on_error = 0');
$from = -s $node->logfile;
like(
	run_with_parameters(
		'INSERT INTO sealed (id, plain, even) VALUES (1, :mark::text, false);'
	),
	qr/sealed_even_check/,
	'a constraint is violated, with parameters');
$log = slurp_file($node->logfile, $from);
like($log, qr/violates check constraint "sealed_even_check"/, 'is logged');
is_clean($log, 'the log after a constraint was violated');

$from = -s $node->logfile;
is_sqlstate(
	$node,
	"INSERT INTO sealed (id, plain, even) VALUES (1, '$mark', false)",
	'23514',
	'a constraint is violated, with a literal');
is_clean(slurp_file($node->logfile, $from),
	'the log after a constraint was violated, with a literal');

# ---------------------------------------------------------------------------
# The data directory
# ---------------------------------------------------------------------------

my $plain_hex = unpack 'H*', $control_key;

$node->safe_psql('postgres', "INSERT INTO sealed (id, plain) VALUES $_")
  for "(1, '$mark')", '(2, \'' . long_text($mark) . "'), (3, '$mark')";
$node->safe_psql('postgres',
	    "COPY sealed (id, plain) FROM STDIN;\n4\t$mark\n5\t"
	  . long_text($mark)
	  . "\n\\.\n");
$node->safe_psql('postgres', $_)
  for "UPDATE sealed SET plain = '$mark again' WHERE id = 1",
  "UPDATE sealed SET plain = '" . long_text($mark) . "' WHERE id = 3",
  "INSERT INTO sealed (id, plain) VALUES (4, '$mark new')"
  . " ON CONFLICT (id) DO UPDATE SET plain = '$mark newer'",
  "INSERT INTO sealed (id, plain) VALUES (6, '$mark')"
  . ' ON CONFLICT (id) DO NOTHING',
  "MERGE INTO sealed USING (VALUES (6), (7)) s (i) ON id = i"
  . " WHEN MATCHED THEN UPDATE SET plain = '$mark merged'"
  . " WHEN NOT MATCHED THEN INSERT (id, plain) VALUES (i, '$mark')",
  "BEGIN; INSERT INTO sealed (id, plain) VALUES (8, '$mark'); ROLLBACK";
$node->safe_psql('postgres',
	"INSERT INTO control SELECT '$control_mark', '\\x$plain_hex'"
	  . ' FROM generate_series(1, 3);'
	  . "INSERT INTO control VALUES ('"
	  . long_text($control_mark)
	  . "', '\\x$plain_hex')");
my $opens = <<"END";
SELECT count(*), count(plain) FROM sealed
WHERE env_decrypt(v, jsonb_build_object('type', 't', 'id', id))
    LIKE '$mark%'
END
is($node->safe_psql('postgres', $opens),
	'7|0', 'seven rows hold marked plaintext, sealed');
is( $node->safe_psql(
		'postgres', q(SELECT count(*) > 0 FROM pg_class c
		JOIN pg_class t ON t.oid = c.reltoastrelid
		WHERE c.relname = 'sealed' AND pg_relation_size(t.oid) > 0)),
	't',
	'some of them out of line');

sub data_is_clean
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @found = found_under($node->data_dir, %control);

	for my $where ('base', 'pg_wal')
	{
		for my $what ('plaintext', 'key, raw')
		{
			ok((grep { m{^$where/.*: $what$} } @found),
				"$when: the search finds the control's $what in $where");
		}
	}
	is_deeply([ found_under($node->data_dir, %secret) ],
		[], "$when: the data directory holds no secret");
	return;
}

$node->safe_psql('postgres', 'CHECKPOINT');
data_is_clean('after a checkpoint');
$node->safe_psql('postgres',
	"INSERT INTO sealed (id, plain) VALUES (9, '$mark'), (10, '"
	  . long_text($mark)
	  . "')");
$node->stop('immediate');
data_is_clean('after a crash');
$node->start;
is($node->safe_psql('postgres', $opens), '9|0', 'all rows are there');
$node->safe_psql('postgres', 'CHECKPOINT');
data_is_clean('after crash recovery');

# ---------------------------------------------------------------------------
# Statistics and dumps
# ---------------------------------------------------------------------------

$node->safe_psql('postgres',
	'ANALYZE; ANALYZE pgenvelope.key, pgenvelope.key_version');
my $statistics = $node->safe_psql('postgres', 'TABLE pg_statistic');
is_clean($statistics, 'pg_statistic');
ok((grep { $_ eq 'plaintext' } found_in($statistics, %control)),
	'pg_statistic: the search finds the control');
is( $node->safe_psql(
		'postgres', q(SELECT count(*) FROM pg_stats
		WHERE (tablename, attname) IN (('sealed', 'v'),
				('key_version', 'sealed_kek'), ('key_version', 'kcv'))
			AND (most_common_vals IS NOT NULL OR histogram_bounds IS NOT NULL))
	),
	'0',
	'no values or keys are sampled');

my $dumps = new_directory('dumps');
my %dump = (
	'pg_dump' => [ 'pg_dump', '-f', "$dumps/plain", 'postgres' ],
	'pg_dump --inserts' =>
	  [ 'pg_dump', '--inserts', '-f', "$dumps/inserts", 'postgres' ],
	'pg_dump -Fc' =>
	  [ 'pg_dump', '-Fc', '-Z0', '-f', "$dumps/custom", 'postgres' ],
	'pg_dumpall' => [ 'pg_dumpall', '-f', "$dumps/all" ]);

for my $name (sort keys %dump)
{
	my @command = @{ $dump{$name} };

	$node->command_ok(\@command, "$name runs");
	my ($path) = grep { m{^\Q$dumps\E/} } @command;
	my $dump = slurp_file($path);

	is_deeply(
		[ found_in($dump, %control) ],
		[ 'key, hexadecimal', 'plaintext' ],
		"$name: the search finds the control");
	is_clean($dump, $name);
}

# ---------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------

# The mappings of a process: [ pages as smaps names them, kB, flags ].
sub mappings
{
	my ($pid) = @_;
	my @mappings;

	open my $in, '<', "/proc/$pid/smaps" or die "/proc/$pid/smaps: $!";
	while (<$in>)
	{
		push @mappings, [ $_, 0, '' ] if /^[0-9a-f]+-[0-9a-f]+ /;
		$mappings[-1][1] = $1 if /^Size: +(\d+) kB/;
		$mappings[-1][2] = " $1 " if /^VmFlags: (.*?) *$/;
	}
	close $in;
	return @mappings;
}

# Those that are as large as the KEKs of all slots, in whole pages.
sub key_mappings
{
	my ($pid) = @_;
	my $size = int(($slots * 32 + 4095) / 4096) * 4;

	return grep { $_->[1] == $size && $_->[0] =~ m{rw-s .*/dev/zero} }
	  mappings($pid);
}

my $user = session($node);
my $idle = session($node);

$user->value($opens);
$user->value(q(SELECT env_encrypt('x', '{"type": "t"}')));
for my $case ([ 'a backend that used a key', $user->pid ],
	[ 'one that did not', $idle->pid ])
{
	my ($name, $pid) = @$case;
	my @keys = key_mappings($pid);

	is(scalar(@keys), 1, "$name: the keys have a mapping of their own");
	like($keys[0][2], qr/ dd /, "$name: which core files leave out");
}

# A lock is not inherited; the postmaster's holds for the pages, and so for
# everybody.
SKIP:
{
	skip 'memory is not locked: the limit is too low', 1
	  if counter($node, 'memory_locked') ne 't';
	my ($postmaster) =
	  slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;

	like((key_mappings($postmaster))[0][2],
		qr/ lo /, 'the keys are locked into memory');
}
ok( (   grep { $_->[2] =~ / dd / && $_->[2] =~ / wf / }
		  mappings($user->pid)),
	'the pool of DEKs is left out of core files, and wiped in a child');

SKIP:
{
	skip 'root may read everything', 3 if $> == 0;
	my $keeper = keeper_pid($node);

	ok(!open(my $memory, '<', "/proc/$keeper/mem"),
		'the keeper\'s memory cannot be read by the server\'s own user');
	ok(!eval { mappings($keeper); 1 }, 'nor can its mappings');
	is((stat "/proc/$keeper/environ")[4], 0,
		'since the keeper is not dumpable, and so belongs to root');
}

# A core file, as gdb writes it; it heeds the flags of mappings as the kernel
# does.  What a backend has of a KEK that it used is in libcrypto's memory,
# which is in the core file.
sub core_of
{
	my ($session) = @_;
	my $path = "$dumps/core";
	my $pid = $session->pid;

	system_log('gcore', '-o', $path, $pid);
	return -s "$path.$pid" ? slurp_file("$path.$pid") : undef;
}

SKIP:
{
	skip 'needs gdb', 4 if system_log('sh', '-c', 'command -v gcore') != 0;
	my %keys = (key_patterns('root key', $root), key_patterns('KEK', $kek));

	is( $node->safe_psql('postgres', 'SELECT pgenvelope_test_held_keys()'),
		'\x' . unpack('H*', $kek),
		'the KEK is held');
	$idle->value("SELECT '$control_mark'");
	my $core = core_of($idle);

	skip 'no core file can be written of another process', 3 if !defined $core;
	is_deeply([ grep { $_ eq 'plaintext' } found_in($core, %control) ],
		['plaintext'], 'a core file: the search finds the control');
	is_deeply([ found_in($core, %keys) ],
		[], 'the core file of a backend that used no key holds none');
	$core = core_of($user);
	note 'documented limit: the core file of a backend that used a key holds '
	  . (join(', ', found_in($core, %keys)) || 'no key');
	is_deeply([ grep { /^root key/ } found_in($core, %keys) ],
		[], 'the core file of a backend that used one holds no root key');
}

$_->quit for $user, $idle;
is_clean(slurp_file($node->logfile), 'the whole log');
done_testing();
