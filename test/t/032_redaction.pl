# 032_redaction.pl: what the server's log holds of statements that meet
# plaintexts, at the noisiest settings, in all its formats, with auto_explain
# and pgaudit.
#
# Every statement carries a plaintext with a marker of its own, which is looked
# for in the log.  The client is told everything: only the log is redacted.
# What is not covered is tested as such, and is docs/threat-model.md's list of
# limits.
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

my $hidden = '<hidden by pgenvelope.redact_statements>';

my $has_pgaudit =
  -e qx(pg_config --pkglibdir) =~ s/\s+$//r . '/pgaudit.so';
my $preload =
  'pgenvelope, auto_explain, pg_stat_statements' . ($has_pgaudit ? ', pgaudit' : '');

my $node = new_node('main', conf => <<"END");
shared_preload_libraries = '$preload'
restart_after_crash = on
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog'
log_filename = 'server'
END

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('one', NULL, '{}');
ALTER DATABASE postgres SET pgenvelope.default_key = 'one';
CREATE TABLE customers (
    id integer PRIMARY KEY,
    plain text CHECK (plain IS NULL),
    v envelope,
    n integer NOT NULL DEFAULT 1,
    other text UNIQUE
);
CREATE TRIGGER seal BEFORE INSERT OR UPDATE ON customers FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('plain', 'v');
CREATE TABLE late (id integer, plain text, v envelope, other text UNIQUE);
CREATE TRIGGER zz_seal BEFORE INSERT OR UPDATE ON late FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('plain', 'v');
CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'about to seal %', NEW.plain;
    IF NEW.plain LIKE 'Refused%' THEN
        RAISE EXCEPTION 'this is refused: %', NEW.plain
            USING DETAIL = NEW.plain, HINT = NEW.plain, ERRCODE = '23514';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_complain BEFORE INSERT ON late FOR EACH ROW
EXECUTE FUNCTION complain();
CREATE TABLE opened (plain text UNIQUE, n integer);
CREATE FUNCTION wrapped(plain text) RETURNS envelope LANGUAGE plpgsql AS $$
DECLARE result envelope;
BEGIN
    EXECUTE format('SELECT env_encrypt(%L, ''{}'')', plain) INTO result;
    RETURN result;
END $$;
CREATE FUNCTION atomic(plain text) RETURNS envelope LANGUAGE sql
RETURN env_encrypt(plain, '{}');
CREATE VIEW readable AS SELECT id, env_decrypt(v, '{}') AS opened FROM customers;
CREATE VIEW first_ones AS SELECT id, plain FROM customers WHERE id < 100;
CREATE FUNCTION add(plain text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO customers (id, plain) VALUES ((random() * 1e8)::integer, plain);
END $$;
CREATE TABLE bystander (t text UNIQUE);
END

# From here on everything is logged.
$node->append_conf('postgresql.conf', <<'END');
log_statement = all
log_min_duration_statement = 0
log_duration = on
log_min_messages = debug5
log_min_error_statement = debug5
log_error_verbosity = verbose
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_lock_waits = on
deadlock_timeout = 10ms
debug_print_parse = on
debug_print_rewritten = on
debug_print_plan = on
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_verbose = on
auto_explain.log_nested_statements = on
END
$node->append_conf('postgresql.conf', <<'END') if $has_pgaudit;
pgaudit.log = all
pgaudit.log_parameter = on
pgaudit.log_relation = on
END
$node->restart;

# The log in its three formats; from where it was when sizes were taken.
my @files = map { $node->data_dir . "/log/server$_" } '', '.csv', '.json';

sub sizes
{
	return map { -s $_ // 0 } @files;
}

sub logged
{
	my @from = @_;

	return join '', map { slurp_file($_, shift @from // 0) } @files;
}

# Returns when the collector has written all that was logged before.
my $sentinels = 0;

sub settle
{
	my @from = sizes();
	my $sentinel = 'Sentinel' . ++$sentinels . 'x';

	$node->safe_psql('postgres', "SELECT '$sentinel'");
	wait_until(
		sub {
			my @starts = @from;

			return !grep { slurp_file($_, shift @starts) !~ /$sentinel/ } @files;
		},
		'the log is written');
	return;
}

# After a restart, statements are known by the functions and views that lead to
# us when a worker has read the catalogs.
sub await_learned
{
	wait_until(
		sub {
			my @from = sizes();

			$node->safe_psql('postgres', "SELECT 'probe' || 1 FROM readable LIMIT 0");
			settle();
			return logged(@from) !~ /'probe'/;
		},
		'the catalogs have been read');
	return;
}

await_learned();

# What a value looks like in a tree of nodes that is printed.
sub as_bytes
{
	return join ' ', unpack('c*', $_[0]);
}

# The markers of what was done, by name: not to be found.
my %markers;
my $count = 0;

sub marker
{
	my ($test) = @_;

	$markers{$test} = sprintf('Marker%04dx', ++$count);
	return $markers{$test};
}

# Runs a script with MARKER in it.
sub try
{
	my ($test, $sql, $expected, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $marker = marker($test);

	$sql =~ s/MARKER/$marker/g;
	is_sqlstate($node, $sql, $expected // '00000', $test, %params);
	return;
}

# ---------------------------------------------------------------------------
# Statements that succeed
# ---------------------------------------------------------------------------

try('encrypts a literal', "SELECT env_encrypt('MARKER', '{}')");
try('in another spelling',
	qq(SELECT envelope . "env_encrypt"('MARKER', '{}'); SELECT ENV_Encrypt /* x */ ('MARKER', '{}')));
try('in escapes', qq(SELECT U&"\\0065nv_encrypt"('MARKER', '{}')));
try('a literal before the name', "SELECT 'MARKER', env_verify(v, '{}') FROM customers");
try('several statements at once', "SELECT 'MARKER' \\; SELECT env_encrypt('x', '{}')");
try('a trigger', "INSERT INTO customers VALUES (1, 'MARKER')");
try('a trigger, by the name in quotes', qq(INSERT INTO "customers" VALUES (2, 'MARKER')));
try('COPY', "COPY customers (id, plain) FROM STDIN;\n3\tMARKER\n\\.\n");
try('an update', "UPDATE customers SET plain = 'MARKER' WHERE id = 2");
try('a function that calls ours', "SELECT wrapped('MARKER')");
try('a function in SQL', "SELECT atomic('MARKER')");
try('a view', "SELECT * FROM readable WHERE opened = 'MARKER'");
try('DO', "DO \$\$ BEGIN PERFORM env_encrypt('MARKER', '{}'); END \$\$");
try('dynamic SQL',
	"DO 'BEGIN EXECUTE ''SELECT env_encrypt(\$x\$MARKER\$x\$, \$x\${}\$x\$)''; END'");
try('PREPARE and EXECUTE',
	"PREPARE p(text) AS SELECT env_encrypt(\$1, '{}'); EXECUTE p('MARKER'); EXECUTE \"p\"('MARKER')");
try('EXECUTE of an insert',
	"PREPARE q(text) AS INSERT INTO customers VALUES (4, \$1); EXECUTE q('MARKER')");
# What cannot be interrupted has an end; doubt hides.
my $long = 'a ' x 200_000;
try('EXECUTE of more than is read',
	"PREPARE long AS SELECT 1 /* $long */;"
	  . "SELECT 'MARKER' /* EXECUTE long EXECUTE long EXECUTE long */");
try('a cursor',
	"BEGIN; DECLARE c CURSOR FOR SELECT env_encrypt('MARKER', '{}'); FETCH c; COMMIT");
try('EXPLAIN', "EXPLAIN (ANALYZE, VERBOSE) SELECT env_encrypt('MARKER', '{}')");
try('a plan with the plaintext',
	"SELECT id FROM customers WHERE env_decrypt(v, '{}') = 'MARKER'");
try('CREATE TABLE AS', "CREATE TABLE made AS SELECT env_encrypt('MARKER', '{}') AS v");
try('a function that is made',
	"CREATE FUNCTION made() RETURNS envelope LANGUAGE sql AS \$\$ SELECT env_encrypt('MARKER', '{}') \$\$");
try('NOTICE', "INSERT INTO late VALUES (1, 'MARKER')");
my $parallel = parallel_setting($node);
try('a parallel query', <<"END");
SET $parallel = on;
SELECT env_encrypt('MARKER', '{}');
SELECT count(*) FROM readable WHERE opened <> 'MARKER';
END

# ---------------------------------------------------------------------------
# Statements that fail
# ---------------------------------------------------------------------------

try('no such key', "SELECT env_encrypt('MARKER', '{}', 'nonesuch')", 'PE001');
try('a syntax error', "SELECT env_encrypt('x' 'MARKER', '{}')", '42601');
try('a value that does not parse', "SELECT env_encrypt('x', 'MARKER')", '22P02');
try('a column that is none', qq(SELECT env_encrypt("MARKER", '{}')), '42703');
try('no such function', "SELECT env_encrypt('MARKER', 1)", '42883');
try('the wrong type', "INSERT INTO customers VALUES ('MARKER', 'x')", '22P02');
try('a check', "INSERT INTO customers VALUES (5, 'MARKER', NULL, NULL)", '23502');
try('a unique constraint',
	"INSERT INTO customers (id, other) VALUES (6, 'MARKER'), (7, 'MARKER')", '23505');
try('COPY of what is malformed',
	"COPY customers (id, plain, n) FROM STDIN;\n8\tMARKER\tMARKER\n\\.\n", '22P02');
try('COPY with a column too many',
	"COPY customers (id, plain) FROM STDIN;\n8\tMARKER\tMARKER\n\\.\n", '22P04');
try('RAISE in another trigger', "INSERT INTO late VALUES (2, 'RefusedMARKER')", '23514');
try('an error in a wrapper',
	"SELECT wrapped(repeat('MARKER', 2)) || ('MARKER' || random())::integer", '42883');
try('an error in the same statement',
	"SELECT ('MARKER' || env_key_version(env_encrypt('x', '{}')))::integer", '22P02');
try('what was decrypted does not fit',
	"SELECT env_decrypt(env_encrypt('MARKER', '{}'), '{}')::integer", '22P02');
try('what was decrypted is there already',
	"INSERT INTO opened SELECT opened FROM readable, generate_series(1, 2) WHERE id = 1", '23505');
$markers{'what was decrypted is there already'} = $markers{'a trigger'};
try('a parameter of EXECUTE that does not parse',
	"PREPARE p(text, integer) AS SELECT env_encrypt(\$1, '{}'), \$2; EXECUTE p('MARKER', 'MARKER')",
	'22P02');
try('a timeout',
	"SET statement_timeout = '20ms'; SELECT env_encrypt('MARKER', '{}'), pg_sleep(10)", '57014');
try('an error in a parallel worker', <<"END", '22P02');
SET $parallel = on;
SELECT opened::integer FROM readable WHERE id = 3 OR opened = 'MARKER';
END
$markers{'an error in a parallel worker, the value'} = $markers{'COPY'};

# The client is told everything.
like(
	(error_of($node, q(SELECT env_encrypt('x' 'Visible', '{}'))))[1],
	qr/syntax error at or near "'Visible'"\nLINE 1: /,
	'the client is told what was hidden');
like(
	(error_of($node, q(INSERT INTO late VALUES (2, 'RefusedVisible'))))[1],
	qr/this is refused: RefusedVisible\nDETAIL:  RefusedVisible\nHINT:  RefusedVisible\nCONTEXT: /,
	'and all that goes with it');
unlike(logged(), qr/Visible/, 'which the log is not');

# ---------------------------------------------------------------------------
# The extended protocol: parameters
# ---------------------------------------------------------------------------

my $script = new_directory('pgbench') . '/script';

sub bench
{
	my ($test, $mode, $sql, $fails) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $marker = marker($test);

	write_file($script, $sql, 0644);
	my $result = IPC::Run::run(
		[
			'pgbench', '-n', '-M', $mode, '-t', '2', '-D', "plain=$marker",
			'-f', $script, '-h', $node->host, '-p', $node->port, 'postgres'
		],
		'>', \my $out, '2>&1');

	is(!!$result, !$fails, $test) or diag($out);
	return;
}

bench('a parameter', 'extended', "SELECT env_encrypt(:plain, '{}');\n");
bench('a prepared statement', 'prepared', "SELECT env_encrypt(:plain, '{}');\n");
bench('a parameter for a trigger', 'extended',
	"INSERT INTO customers (id, plain) VALUES ((random() * 1e8)::integer, :plain);\n");
bench('a parameter of a wrapper', 'extended', "SELECT wrapped(:plain);\n");
bench('a pipeline', 'extended', <<'END');
\startpipeline
SELECT env_encrypt(:plain, '{}');
INSERT INTO customers (id, plain) VALUES ((random() * 1e8)::integer, :plain);
\endpipeline
END
bench('a parameter that does not parse', 'extended',
	"SELECT env_encrypt('x', :plain);\n", 1);
bench('an error after the call', 'extended',
	"SELECT env_encrypt(:plain, '{}') IS NULL, (:plain || random())::integer;\n", 1);

# ---------------------------------------------------------------------------
# What other processes say
# ---------------------------------------------------------------------------

# The deadlock detector quotes the statements of all.
{
	my $marker = marker('a deadlock');
	my ($one, $two) = (session($node), session($node));

	$_->value('BEGIN') for $one, $two;
	$one->value("UPDATE customers SET plain = '$marker' WHERE id = 1");
	$two->value("UPDATE customers SET plain = '$marker' WHERE id = 2");
	$one->start("UPDATE customers SET plain = '$marker' WHERE id = 2");
	$two->start("UPDATE customers SET plain = '$marker' WHERE id = 1");
	my @sqlstates = map { ($_->finish)[1] } $one, $two;
	is(scalar(grep { $_ eq '40P01' } @sqlstates), 1, 'a deadlock');
	$_->quit for $one, $two;
	like(logged(), qr/DETAIL:  Process \d+ waits for .*\n.*Process \d+ waits/,
		'a deadlock: the processes are named');
	like(logged(), qr/process \d+ (?:still|detected deadlock while) waiting for .*\n.*DETAIL:  Process(?:es)? holding the lock: \d+/,
		'and waits for locks are logged whole');
}

# The postmaster quotes the statement of a process that has crashed.
{
	my $marker = marker('a crash');
	my $cut = marker('a crash, the name cut off');
	my $crashes = 0;

	for my $sql ("SELECT env_encrypt('$marker', '{}'), pg_sleep(100)",
		"SELECT '$cut' || repeat('" . 'x' x 2000 . "', 2), env_encrypt('x', '{}'), pg_sleep(100)")
	{
		my $victim = session($node);

		$victim->start($sql);
		$node->poll_query_until('postgres',
			"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = " . $victim->pid);
		kill 'ABRT', $victim->pid;
		$crashes++;
		wait_until(
			sub {
				my @seen = logged() =~ /LOG:.*terminated by signal 6/g;
				return @seen >= $crashes;
			},
			'the postmaster notices');
		wait_for_server($node);
	}
	like(logged(), qr/terminated by signal 6.*\n(?:.*\n)*?.*DETAIL:  \Q$hidden\E/,
		'a crash: the statement is hidden');
}

# ---------------------------------------------------------------------------
# What was learned is not lost with a restart
# ---------------------------------------------------------------------------

$node->restart;
await_learned();
try('after a restart: COPY',
	"COPY customers (id, plain, n) FROM STDIN;\n8\tMARKER\tMARKER\n\\.\n", '22P02');
try('after a restart: a function that calls ours', "SELECT wrapped('MARKER')");
try('after a restart: a function that writes to the table', "SELECT add('MARKER')");
try('after a restart: a view of the table', "INSERT INTO first_ones VALUES (90, 'MARKER')");

# ---------------------------------------------------------------------------
# The log
# ---------------------------------------------------------------------------

settle();
my $log = logged();

for my $test (sort keys %markers)
{
	my $marker = $markers{$test};

	unlike($log, qr/$marker|@{[as_bytes($marker)]}/, "$test: not in the log");
}

# It still says what happened.
for my $line (
	"statement: $hidden",
	"execute <unnamed>: $hidden",
	"bind <unnamed>: $hidden",
	"parse <unnamed>: $hidden",
	"plan:\n\t$hidden",
	'invalid input syntax for type %s: "%s"',
	'%s at or near "%s"',
	'duplicate key value violates unique constraint "customers_other_key"',
	'canceling statement due to statement timeout',
	'the key that the call names does not exist')
{
	like($log, qr/\Q$line\E/, "the log has: $line");
}

SKIP:
{
	skip 'needs pgaudit', 1 if !$has_pgaudit;
	like($log, qr/AUDIT: SESSION,\d+,\d+,WRITE,INSERT,TABLE,public\.customers,\Q$hidden\E/,
		'pgaudit: what was done to which table, without the statement');
}

# ---------------------------------------------------------------------------
# The setting
# ---------------------------------------------------------------------------

sub in_log
{
	my ($sql) = @_;
	my @from = sizes();

	$node->psql('postgres', $sql);
	settle();
	return logged(@from);
}

like(in_log("SELECT 'Nothing1x'"), qr/Nothing1x/, 'calls: other statements are logged');
like(in_log("DO ''"), qr/statement: DO ''/, 'calls: also short ones');
like(in_log(q{DO $$BEGIN RAISE LOG '1: %', 'Nothing0x'; END$$}),
	qr/LOG: .*1: Nothing0x/, 'calls: and messages without a word');
like(
	in_log("INSERT INTO bystander VALUES ('Nothing2x'), ('Nothing2x')"),
	qr/Key \(t\)=\(Nothing2x\) already exists/,
	'calls: and so are their errors');
like(
	in_log("SET log_statement = none; SELECT env_encrypt('x', '{}')"),
	qr/duration: [0-9.]+ ms  statement: \Q$hidden\E/,
	'calls: how long it took is logged');
like(
	in_log("SET pgenvelope.redact_statements = 'off'; SELECT env_encrypt('Nothing3x', '{}')"),
	qr/Nothing3x/,
	'off: as PostgreSQL logs');
unlike(
	in_log("SET pgenvelope.redact_statements = 'off'; SET log_statement = none; SET log_min_duration_statement = -1; SELECT env_encrypt('x', '{}', 'Nothing4x')"),
	qr/STATEMENT:.*Nothing4x.*\n.*ERROR/,
	'off: our own errors leave out the statement');
my $all = in_log(<<'END');
SET pgenvelope.redact_statements = 'all';
SELECT 'Nothing5x';
INSERT INTO bystander VALUES ('Nothing5x'), ('Nothing5x');
SELECT 'Nothing5x'::integer;
END
unlike($all, qr/Nothing5x/, 'all: nothing is');
like($all, qr/duplicate key value violates unique constraint "bystander_t_key"/,
	'all: but what happened');
is_sqlstate(
	$node,
	"CREATE ROLE nobody; SET ROLE nobody; SET pgenvelope.redact_statements = 'off'",
	'42501',
	'not everybody may set it');

# ---------------------------------------------------------------------------
# Documented limits
# ---------------------------------------------------------------------------

my $limit = session($node);

like(
	in_log("SELECT 'Limit1x' AS plain \\gset\n SELECT env_encrypt(:'plain', '{}')"),
	qr/Limit1x/,
	'documented limit: a plaintext in a statement that does not call us');
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION outer_one(plain text) RETURNS envelope LANGUAGE plpgsql AS
$$
DECLARE result envelope;
BEGIN
    EXECUTE 'SELECT wra' || 'pped($1)' INTO result USING plain;
    RETURN result;
END $$;
END
like(in_log("SELECT outer_one('Limit2x')"),
	qr/statement: SELECT outer_one\('Limit2x'\)/,
	'documented limit: log_statement, a function not known to lead to us, the first time');
unlike(in_log("SELECT outer_one('Limit2y')"),
	qr/Limit2y/, 'and not the second time');
$limit->value("SELECT env_encrypt('Limit3x', '{}')");
like(
	$node->safe_psql('postgres',
		'SELECT query FROM pg_stat_activity WHERE pid = ' . $limit->pid),
	qr/Limit3x/,
	'documented limit: pg_stat_activity');
$limit->quit;
like(
	in_log("SET application_name = 'Limit4x'; SELECT env_encrypt('x', '{}')"),
	qr/Limit4x LOG: .*\Q$hidden\E/,
	'documented limit: the name of the application');
$node->safe_psql('postgres', <<'END');
CREATE EXTENSION pg_stat_statements;
DO 'BEGIN PERFORM env_encrypt(''Limit5x'', ''{}''); END';
SELECT env_encrypt('Limit6x', '{}');
END
like(
	$node->safe_psql('postgres', 'SELECT query FROM pg_stat_statements'),
	qr/Limit5x/,
	'documented limit: pg_stat_statements, of utility statements');
unlike(
	$node->safe_psql('postgres', 'SELECT query FROM pg_stat_statements'),
	qr/Limit6x/,
	'but not of others');

# ---------------------------------------------------------------------------
# What pgenvelope.lint says of such a server; the rest is in test/sql/lint.sql
# ---------------------------------------------------------------------------

sub found
{
	my ($check, $before) = @_;

	return $node->safe_psql('postgres',
		($before // '') . "SELECT severity, object FROM pgenvelope.lint() WHERE \"check\" = '$check'");
}

my $providers = $node->safe_psql('postgres', 'SHOW pgenvelope.providers');
my ($key_file) = $providers =~ m{file://(\S+)};

is(found('hook_after_ours'), 'info|shared_preload_libraries',
	'pgenvelope.lint: modules after ours');
is(found('log_first_statement'), 'info|log_statement',
	'pgenvelope.lint: statements are logged before they run');
is(found('statements_kept'), 'warning|pg_stat_statements.track_utility',
	'pgenvelope.lint: pg_stat_statements keeps utility statements');
is(found('statements_kept', 'SET pg_stat_statements.track_utility = off; '),
	'', 'and not where that is off');
is(found('file_mode'), '', 'pgenvelope.lint: the file of a root key');
chmod 0644, $key_file or die "$key_file: $!";
is(found('file_mode'), 'error|provider main', 'that others may read');
rename $key_file, "$key_file.gone" or die "$key_file: $!";
is(found('file_missing'), 'error|provider main', 'that is gone');
rename "$key_file.gone", $key_file or die "$key_file: $!";
chmod 0600, $key_file or die "$key_file: $!";
is(found('file_mode') . found('file_missing'), '', 'that is right again');
is( found('anchor_in_data_directory'),
	'warning|pgenvelope.audit_anchor_directory',
	'pgenvelope.lint: the audit\'s anchor is with the data');
set_setting($node, 'pgenvelope.audit_anchor_directory',
	new_directory('anchor'));
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 0 FROM pgenvelope.lint() WHERE \"check\" = 'anchor_in_data_directory'"
	),
	'and not elsewhere');

done_testing();
