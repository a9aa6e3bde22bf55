# 040_audit.pl: lines of the audit in the server's log.
#
# What is counted: every use of a key is in one line of its statement, whether
# that ends, fails, is cancelled, or its session is killed; parallel workers
# report their own.  What is shown: the members that pgenvelope.audit_context
# names, and nobody's plaintext.  How: as JSON, in stderr, csvlog and jsonlog
# alike, one line each whatever names hold, and never to the client.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP ();
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# %a in log_line_prefix would be the client's to write, whatever we do.
my $node = new_node('main', conf => <<'END');
log_line_prefix = '%m [%p] '
pgenvelope.audit = decrypts
max_parallel_workers = 4
END
my $from;

# The audit's lines since $from, decoded.
sub lines
{
	my ($event) = @_;
	my @found;

	for my $line (split /\n/, slurp_file($node->logfile, $from))
	{
		next unless $line =~ /^\S+ \S+ \S+ \[\d+\] LOG:  pgenvelope audit: (.*)/;
		my $decoded = JSON::PP::decode_json($1);
		push @found, $decoded
		  if $decoded->{event} eq ($event // 'use');
	}
	return @found;
}

# Runs something, and says what was audited: "decrypt ok 3 acme".
sub audited
{
	my ($run) = @_;

	$from = -s $node->logfile;
	ref $run ? $run->() : $node->psql('postgres', $run, on_error_stop => 0);
	return join '; ', map {
		join ', ', map {
			join ' ', $_->{operation}, $_->{outcome}, $_->{count},
			  $_->{context} ? $_->{context}{tenant} : '-'
		} @{ $_->{uses} }
	} lines();
}

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('app', required_context => '{"tenant": null}');
CREATE TABLE t AS SELECT i AS id,
    jsonb_build_object('tenant', 'acme', 'id', i) AS context,
    env_encrypt('Marker-1f2e', jsonb_build_object('tenant', 'acme', 'id', i),
        'app') AS v
FROM generate_series(1, 1000) AS i;
CREATE ROLE app LOGIN;
SELECT pgenvelope.grant_key('app', 'decrypt', 'app');
GRANT SELECT ON t TO app;
END

# What is counted
is(audited('SELECT count(env_decrypt(v, context)) FROM t'),
	'decrypt ok 1000 acme', 'a statement is one line');
is( audited(<<'END'), 'decrypt ok 3 acme; decrypt ok 2 acme', 'each its own');
SELECT count(env_decrypt(v, context)) FROM t WHERE id < 4;
DO $$ BEGIN
    PERFORM env_decrypt(v, context) FROM t WHERE id = 1;
    PERFORM env_decrypt(v, context) FROM t WHERE id = 2;
END $$;
END
is( audited(<<'END'),
SELECT env_verify(v, '{"tenant": "acme"}') FROM t WHERE id < 3;
SELECT env_decrypt(v, '{"tenant": "other"}') FROM t;
SELECT env_decrypt(v, '{}') FROM t;
SELECT env_decrypt(v, context, 'other') FROM t;
END
	'verify authentication_failed 2 acme; '
	  . 'decrypt authentication_failed 1 other; '
	  . 'decrypt context_refused 1 -; decrypt key_not_allowed 1 acme',
	'what fails, too');
is( audited(<<'END'), 'decrypt ok 1 acme', 'what is rolled back, too');
BEGIN; SELECT env_decrypt(v, context) FROM t LIMIT 1; ROLLBACK;
END
is( audited(<<'END'),
BEGIN;
DECLARE c CURSOR FOR SELECT env_decrypt(v, context) FROM t;
FETCH 5 FROM c; FETCH 2 FROM c;
COMMIT;
COPY (SELECT env_decrypt(v, context) FROM t LIMIT 4) TO STDOUT;
PREPARE p AS SELECT env_decrypt(v, context) FROM t LIMIT 1;
EXECUTE p;
END
	'decrypt ok 5 acme; decrypt ok 2 acme; decrypt ok 4 acme; '
	  . 'decrypt ok 1 acme',
	'cursors, COPY and prepared statements');
is( audited(<<'END'),
DO $$ BEGIN
    FOR i IN 1..3 LOOP
        BEGIN
            PERFORM env_decrypt(v, context), 1 / (id - 2) FROM t WHERE id = i;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
END $$
END
	'decrypt ok 3 acme', 'subtransactions that fail');
my @many = split /[,;] /, audited(<<'END');
SELECT count(env_verify(v, jsonb_set(context, '{tenant}',
    to_jsonb('t' || id % 40)))) FROM t
END
my %per_tenant;
for my $use (@many)
{
	my ($count, $tenant) = $use =~ /(\d+) (t\d+)$/;
	$per_tenant{$tenant} += $count;
}
is(scalar(keys %per_tenant), 40, 'more than fit into a line: every tenant');
is((grep { $_ != 25 } values %per_tenant), 0, 'with its number');

is( audited(<<'END'),
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE t SET (parallel_workers = 2);
SELECT count(env_decrypt(v, context)) FROM t;
ALTER TABLE t RESET (parallel_workers);
END
	join('; ', map { "decrypt ok $_ acme" } map { $_->{uses}[0]{count} } lines()),
	'parallel workers report');
my $sum = 0;
$sum += $_->{uses}[0]{count} for lines();
is($sum, 1000, 'every value once');
ok(lines() > 0 && !grep({ !$_->{leader_pid} } lines()), 'and whose they are');

# However it ends
my $victim = session($node);
is( audited(
		sub {
			$victim->start(
				'SELECT env_decrypt(v, context), pg_sleep(60) FROM t');
			$node->poll_query_until('postgres', <<'END');
SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE query LIKE '%(60)%'
AND pid <> pg_backend_pid()
END
			$node->safe_psql('postgres',
				'SELECT pg_cancel_backend(' . $victim->pid . ')');
			is(($victim->finish)[1], '57014', 'cancelled');
		}),
	'decrypt ok 1 acme',
	'a cancelled statement');
is( audited(
		sub {
			$victim->start(
				'SELECT env_decrypt(v, context), pg_sleep(60) FROM t');
			$node->poll_query_until('postgres', <<'END');
SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE query LIKE '%(60)%'
AND pid <> pg_backend_pid()
END
			my $pid = $victim->pid;
			$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
			$victim->finish;
			$node->poll_query_until('postgres',
				"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
		}),
	'decrypt ok 1 acme',
	'a session that is killed');

# Who, and from where
$node->safe_psql('postgres', <<'END');
CREATE ROLE "new
LOG:  ""line" LOGIN IN ROLE app
END
my $script = <<'END';
SET application_name = E'x\nLOG:  pgenvelope audit: {"event":"forged"}';
SET pgenvelope.trace_id = '7b"c\d';
SELECT env_decrypt(v, context) FROM t WHERE id = 1
END
audited(
	sub {
		$node->psql('postgres', $script,
			extra_params => [ '-U', "new\nLOG:  \"line" ]);
	});
my ($line, @others) = lines();
is(scalar(@others), 0, 'one line, whatever the names hold');
is($line->{session_user}, "new\nLOG:  \"line", 'session user');
is($line->{uses}[0]{role}, "new\nLOG:  \"line", 'role');
is($line->{trace_id}, '7b"c\d', 'trace id');
like($line->{application}, qr/^x\?LOG:/, 'application');
is($line->{client}, '[local]', 'client');
is($line->{database}, 'postgres', 'database');
like($line->{statement_start}, qr/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$/, 'time');
is_deeply(
	[ sort keys %{ $line->{uses}[0] } ],
	[qw(context count key key_id operation outcome role version)],
	'what a use has');
is_deeply($line->{uses}[0]{context}, { tenant => 'acme' },
	'and of the context what is asked for');
is_sqlstate($node, "SET pgenvelope.trace_id = E'a\\nb'", '22023',
	'a trace id of two lines');
is_sqlstate($node, "SET pgenvelope.trace_id = '" . 'x' x 129 . "'",
	'22023', 'a long one');
is_sqlstate($node, "SET pgenvelope.trace_id = 'ö'", '22023', 'not ASCII');
is_sqlstate($node, q(SET pgenvelope.audit_context = 'a"b'),
	'22023', 'no name of a member');
is_sqlstate($node, 'SET ROLE app; SET pgenvelope.audit = off',
	'42501', 'the audited do not switch it off');
is_sqlstate($node, "SET ROLE app; SET pgenvelope.audit_context = ''",
	'42501', 'nor what it shows');

my (undef, $out, $err) = ('', '', '');
$node->psql(
	'postgres', <<'END', stdout => \$out, stderr => \$err);
SET client_min_messages = debug1;
SELECT env_verify(v, context) FROM t WHERE id = 1
END
unlike("$out$err", qr/pgenvelope audit/, 'the client sees nothing of it');

$from = -s $node->logfile;
$node->psql('postgres', <<'END');
SELECT env_verify(v, jsonb_build_object('tenant',
    E'\u00f6\n\U0001f600')) FROM t WHERE id = 1
END
is((lines())[0]{uses}[0]{context}{tenant}, "\x{f6}\n\x{1f600}",
	'a tenant beyond ASCII');
$from = -s $node->logfile;
$node->psql('postgres', q(SELECT env_verify(v,
jsonb_build_object('tenant', repeat('x', 1000))) FROM t WHERE id = 1));
is_deeply((lines())[0]{uses}[0]{context}{tenant}, { bytes => 1002 },
	'of a long one, its length');

# Levels, by role and database
sub at_level
{
	my ($level) = @_;
	my $settings = "SET pgenvelope.audit = '$level'; "
	  . "SET pgenvelope.default_key = 'app'; ";

	return audited($settings . <<'END');
SELECT env_rewrap(v) FROM t WHERE false;
SELECT env_key_version(env_encrypt('x', '{"tenant": "a"}'));
SELECT env_decrypt(v, context) FROM t WHERE id = 1;
SELECT env_decrypt(v, '{"tenant": "b"}') FROM t WHERE id = 1;
END
}
is(at_level('off'), '', 'off');
is(at_level('admin'), '', 'admin');
is(at_level('failures'), 'decrypt authentication_failed 1 b', 'failures');
is(at_level('decrypts'),
	'decrypt ok 1 acme; decrypt authentication_failed 1 b', 'decrypts');
is( at_level('all'),
	'encrypt ok 1 a; decrypt ok 1 acme; decrypt authentication_failed 1 b',
	'all');
$node->safe_psql('postgres', 'ALTER ROLE app SET pgenvelope.audit = off');
is( audited(
		sub {
			$node->safe_psql(
				'postgres',
				'SELECT env_decrypt(v, context) FROM t WHERE id = 1',
				extra_params => [ '-U', 'app' ]);
		}),
	'',
	'off for a role');

# Acts
$from = -s $node->logfile;
$node->psql('postgres', <<'END');
SELECT pgenvelope.grant_key('app', 'encrypt', 'app');
BEGIN; SELECT pgenvelope.revoke_key('app', 'encrypt', 'app'); ROLLBACK;
GRANT EXECUTE ON FUNCTION pgenvelope.grant_key TO app;
SET ROLE app;
SELECT pgenvelope.grant_key('app', 'encrypt', 'app');
END
is( join('; ',
		map { join ' ', $_->{act}, $_->{role}, $_->{outcome}, $_->{reason} // '-' }
		  lines('act')),
	'grant_key ' . $node->safe_psql('postgres', 'SELECT current_user')
	  . ' committed -; revoke_key '
	  . $node->safe_psql('postgres', 'SELECT current_user')
	  . ' rolled_back -; grant_key app refused not_entitled',
	'acts: committed, rolled back, refused');

unlike(slurp_file($node->logfile), qr/Marker-1f2e/, 'no plaintext at all');

# In csvlog and jsonlog, too
my @formats =
  $node->safe_psql('postgres', 'SHOW server_version_num') >= 150000 ?
  qw(stderr csvlog jsonlog) :
  qw(stderr csvlog);
$node->append_conf('postgresql.conf',
	"logging_collector = on\nlog_destination = '" . join(',', @formats) . "'");
$node->restart;
$node->psql('postgres', <<'END');
SET application_name = 'comma, "quote"';
SELECT env_decrypt(v, context) FROM t WHERE id = 1;
END
for my $format (@formats)
{
	my $name = $node->safe_psql('postgres',
		"SELECT pg_current_logfile('$format')");
	my $path = $node->data_dir . "/$name";
	my $line = qr/pgenvelope audit: \{[\\"]*event[\\"]*:[\\"]*use/;
	my $found;

	wait_until(sub { slurp_file($path) =~ $line }, "a line of $format");
	($found) = grep { $_ =~ $line } split /\n/, slurp_file($path);
	if ($format eq 'jsonlog')
	{
		my $record = JSON::PP::decode_json($found);
		is("$record->{error_severity} $record->{state_code}",
			'LOG PEA01', 'jsonlog has severity and SQLSTATE');
		is(exists $record->{statement} ? 1 : 0, 0, 'and no statement');
		$found = $record->{message};
	}
	$found =~ s/""/"/g if $format eq 'csvlog';
	my ($json) = $found =~ /pgenvelope audit: (\{.*\]\})/;
	is(JSON::PP::decode_json($json)->{application},
		'comma, "quote"', "$format: the same JSON");
}

done_testing();
