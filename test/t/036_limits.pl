# 036_limits.pl: budgets, honey values and alerts across the cluster.
#
# A minute's budget is one for all sessions, however they come at it, and is
# never exceeded; a new minute brings a new one.  A grant that a honey value
# has locked is locked in every session at once, in statements that are under
# way too, whatever is rolled back, crashes or is restarted.  Alerts are lines
# of JSON in the server's log, and notifications that arrive although the
# transaction that caused them is rolled back; there is no flood of them, and
# nothing in them that is secret.  All of it survives dump and restore.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use JSON::PP;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PgEnvelope::rewrap_workers = 0;
my $node = new_node('main', conf => <<'END');
log_line_prefix = '%e '
pgenvelope.trace_id = ''
END
my $marker = 'marker-4711';
my $app = 'app "x\\';

$node->safe_psql('postgres', <<"SQL");
CREATE ROLE "app ""x\\" LOGIN;
CREATE ROLE other LOGIN;
SELECT pgenvelope.create_key('k', required_context => '{"id": null}');
CREATE TABLE value AS
    SELECT i AS id, env_encrypt('$marker ' || i, jsonb_build_object('id', i),
                                'k') AS v
    FROM generate_series(1, 200) i;
GRANT SELECT ON value TO PUBLIC;
SELECT pgenvelope.grant_key('k', 'decrypt', '"app ""x\\"');
SELECT pgenvelope.grant_key('k', 'decrypt', 'other');
SELECT pgenvelope.mark_honey(v, '{"id": 7}', note => 'row 7') FROM value WHERE id = 7;
SELECT pgenvelope.mark_honey(v, '{"id": 9}', true, E'row\\n"9"') FROM value WHERE id = 9;
CREATE FUNCTION opened(n int) RETURNS int LANGUAGE plpgsql AS \$\$
DECLARE
    one record;
    opened int := 0;
BEGIN
    FOR one IN SELECT * FROM value WHERE id BETWEEN 11 AND 10 + n LOOP
        BEGIN
            PERFORM env_decrypt(one.v, jsonb_build_object('id', one.id));
            opened := opened + 1;
        EXCEPTION WHEN SQLSTATE 'PE007' THEN
            NULL;
        END;
    END LOOP;
    RETURN opened;
END
\$\$;
SQL

sub app_session
{
	my $session = session($node);

	$session->value('SET SESSION AUTHORIZATION "app ""x\\"');
	return $session;
}

# The alerts in the log, [SQLSTATE, object], since the last call.
my $offset = 0;

sub alerts
{
	my $log = substr(slurp_file($node->logfile), $offset);

	$offset = -s $node->logfile;
	return map { /^(\w+) LOG:  pgenvelope alert: (.*)$/
		  ? [ $1, decode_json($2) ]
		  : () } split /\n/, $log;
}

# The notifications of a listening session, so far.
my $listener = session($node);
$listener->value('LISTEN pgenvelope_alert');
my @notified;

sub notifications
{
	my ($count) = @_;

	wait_until(
		sub {
			my $out = $listener->value('SELECT 1');
			push @notified, map { decode_json($_) } $out =~
			  /^Asynchronous notification "pgenvelope_alert" with payload "(.*)" received/mg;
			return @notified >= $count;
		},
		"there are $count notifications");
	return splice @notified;
}

sub open_value
{
	my ($id) = @_;

	return "SELECT env_decrypt(v, '{\"id\": $id}') FROM value WHERE id = $id";
}

# ---------------------------------------------------------------------------
# Budgets
# ---------------------------------------------------------------------------

my @sessions = map { app_session() } 1 .. 4;
$node->safe_psql('postgres',
	q{SELECT pgenvelope.limit_grant('k', '"app ""x\\"', per_minute => 100)});
$_->start('SELECT opened(60)') foreach @sessions;
my $sum = 0;
$sum += ($_->finish)[0] foreach @sessions;
cmp_ok($sum, '<=', 100, 'sessions together do not exceed the budget');
cmp_ok($sum, '>=', 80, 'and come near it');
$sum += $sessions[0]->value('SELECT opened(100)');
is($sum, 100, 'what they had not used was given back');
is($sessions[1]->sqlstate(open_value(1)), 'PE007', 'it is spent for all');
is(app_session()->sqlstate(open_value(1)), 'PE007', 'for new ones, too');
is($node->safe_psql('postgres', "SET ROLE other; SELECT opened(50)"),
	'50', 'not for another role');

my @alerts = alerts();
is(scalar @alerts, 1, 'one alert for all of them');
is($alerts[0][0], 'PE012', 'its SQLSTATE');
my %alert = %{ $alerts[0][1] };
is_deeply(
	{ map { $_ => $alert{$_} } qw(event alert action key limit allowed role session_user) },
	{
		event => 'alert',
		alert => 'budget',
		action => 'deny',
		key => 'k',
		limit => 'minute',
		allowed => 100,
		role => $app,
		session_user => $app
	},
	'what it says');
is_deeply([ notifications(1) ], [ \%alert ],
	'the notification says the same');

advance_clock($node, 30);
is($sessions[1]->sqlstate(open_value(1)), 'PE007', 'half a minute later');
advance_clock($node, 31);
is($sessions[2]->value('SELECT opened(99)'), '99', 'the next minute');
is($sessions[3]->value('SELECT opened(99)'), '1', 'has its own');
is(scalar alerts(), 1, 'and its own alert');
notifications(1);

# A transaction that lasts over the minute's end takes nothing along
$sessions[0]->value('BEGIN');
advance_clock($node, 61);
$sessions[0]->value('SELECT opened(70)');
advance_clock($node, 61);
is($sessions[0]->value('SELECT opened(110)'), '100', 'over the minute');
$sessions[0]->value('ROLLBACK');
is($sessions[0]->value('SELECT opened(10)'), '0', 'nothing is rolled back');
alerts();
notifications(1);
$node->safe_psql('postgres', q{SELECT pgenvelope.limit_grant('k', '"app ""x\\"')});

# ---------------------------------------------------------------------------
# Honey
# ---------------------------------------------------------------------------

my $thief = app_session();
$thief->value("SET application_name = 'thief \"x'");
$thief->value('BEGIN');
is($thief->value(open_value(7)), "$marker 7", 'honey opens');
$thief->value('ROLLBACK');
@alerts = alerts();
is(scalar @alerts, 1, 'an alert');
is($alerts[0][0], 'PE011', 'its SQLSTATE');
%alert = %{ $alerts[0][1] };
is_deeply(
	{ map { $_ => $alert{$_} } qw(alert action key version role note pid application client) },
	{
		alert => 'honey',
		action => 'none',
		key => 'k',
		version => 1,
		role => $app,
		note => 'row 7',
		pid => $thief->pid,
		application => 'thief "x',
		client => '[local]'
	},
	'what it says');
is_deeply([ notifications(1) ], [ \%alert ],
	'the notification arrives, whatever was rolled back');
$thief->value(open_value(7)) foreach 1 .. 30;
cmp_ok(scalar alerts(), '<=', 9, 'there is no flood');

# One who shares the grant, and opens honey on purpose, hides nobody else
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE readers;
CREATE ROLE accomplice LOGIN IN ROLE readers;
CREATE ROLE quiet LOGIN IN ROLE readers;
SELECT pgenvelope.grant_key('k', 'decrypt', 'readers');
SQL
$node->safe_psql('postgres', join ';',
	'SET SESSION AUTHORIZATION accomplice', (open_value(7)) x 20);
is(scalar alerts(), 10, 'ten alerts of one');
$node->safe_psql('postgres',
	'SET SESSION AUTHORIZATION quiet; ' . open_value(7));
is_deeply([ map { $_->[1]{role} } alerts() ], ['quiet'], 'and one of another');
$node->safe_psql('postgres', "SELECT pgenvelope.revoke_key('k', 'decrypt', 'readers')");

# A lock, in a transaction that is rolled back
my $running = app_session();
$running->value('BEGIN');
$running->value(
	"DECLARE c CURSOR FOR SELECT env_decrypt(v, jsonb_build_object('id', id)) FROM value WHERE id > 100");
$running->value('FETCH 10 FROM c');
$thief->value('BEGIN');
is($thief->value(open_value(9)), "$marker 9", 'honey that locks opens');
is($running->sqlstate('FETCH 1 FROM c'), '42501',
	'a statement of another session gets no further');
is($thief->sqlstate(open_value(10)), '42501', 'nor does the one that opened it');
$thief->value('ROLLBACK');
is($thief->sqlstate(open_value(10)), '42501', 'a rollback does not undo it');
is(app_session()->sqlstate(open_value(10)), '42501', 'new sessions');
is(sqlstate_of($node, 'SET ROLE other; ' . open_value(10)),
	'00000', 'not another role');
ok( $node->poll_query_until('postgres', <<'END'),
SELECT count(*) = 1 FROM pgenvelope.key_grant WHERE locked_at IS NOT NULL
END
	'it is written down');
@alerts = alerts();
is_deeply(
	[ map { "$_->[0] $_->[1]{alert} $_->[1]{action}" } @alerts ],
	[ 'PE011 honey lock', 'PE013 locked deny' ],
	'alerts of the value and of what came after');
is($alerts[0][1]{note}, qq(row\n"9"), 'a note of any characters');

$node->stop('immediate');
$node->start;
is(app_session()->sqlstate(open_value(10)), '42501', 'a crash does not undo it');
$node->restart;
is(app_session()->sqlstate(open_value(10)), '42501', 'nor does a restart');
$thief = app_session();
is( $node->safe_psql(
		'postgres', q{SELECT pgenvelope.unlock_grant('k', '"app ""x\\"')}),
	'1', 'unlocked');
is($thief->sqlstate(open_value(10)), '00000', 'by whoever administers the key');

# No worker is to be had: the lock is in force, and written when there is one
set_setting($node, 'max_worker_processes', 3);
$node->restart;
$thief = app_session();
$thief->value(open_value(9));
is($thief->sqlstate(open_value(10)), '42501', 'without a worker');
is( $node->safe_psql(
		'postgres',
		q{SELECT count(*) FROM pgenvelope.key_grant WHERE locked_at IS NOT NULL}
	),
	'0', 'it is in force before it is written');
$node->safe_psql('postgres', q{SELECT pgenvelope.unlock_grant('k', '"app ""x\\"')});
is($thief->sqlstate(open_value(10)), '00000', 'and unlocked, too');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_worker_processes');
$node->restart;

# ---------------------------------------------------------------------------
# Dump and restore
# ---------------------------------------------------------------------------

$node->safe_psql('postgres',
	q{SELECT pgenvelope.limit_grant('k', 'other', per_transaction => 5)});
my $dump = new_directory('dump') . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, 'postgres' ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'restored' ],
	'restore');
alerts();
is( $node->safe_psql(
		'restored', 'SET ROLE other; SELECT opened(9); ' . open_value(7)),
	"5\n$marker 7",
	'a budget is restored, and honey opens')
  or diag('restored');
is_deeply(
	[ map { $_->[1]{alert} . ' ' . $_->[1]{database} } alerts() ],
	[ 'budget restored', 'honey restored' ],
	'and raises its alert');

$node->stop;
unlike(slurp_file($node->logfile), qr/$marker/, 'no plaintext in the log');
done_testing();
