# 005_crash.pl: whatever dies or hangs, every value decrypts afterwards, and
# nobody waits longer than pgenvelope.key_timeout.
#
# First one thing at a time: the keeper errs, exits, aborts and hangs at its
# fault points, and is stopped.  Then kill -9 of the keeper, a helper, a
# backend and the postmaster under a load that encrypts and decrypts, in
# rounds: two of each, or PGENVELOPE_SOAK times as many.
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
use Time::HiRes qw(usleep);

my $double = new_double('kms');
my $node = new_node(
	'main',
	providers =>
	  "kms=${\ $double->uri }, main=file://${\ new_key_file() }",
	conf => <<'END');
restart_after_crash = on
pgenvelope.key_timeout = 3s
pgenvelope.provider_timeout = 2s
END

# work() stores a value, evicts now and then, and reads an older one; a key
# that cannot be had just now is an outcome like any other.  Everything is
# stored in the clear as well, for comparison.
$node->safe_psql('postgres', <<'END');
CREATE TABLE value (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text, plain text, v envelope);
SELECT pgenvelope.create_key(k, p, '{"tenant": null}')
FROM (VALUES ('one', 'kms'), ('two', 'main')) AS x (k, p);
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE sql STABLE AS $$
SELECT count(*) FROM value
WHERE env_decrypt(v, '{"tenant": "acme"}') IS DISTINCT FROM plain $$;
CREATE FUNCTION work(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    k text := CASE n % 2 WHEN 0 THEN 'one' ELSE 'two' END;
    p text := gen_random_uuid();
    r record;
BEGIN
    IF n % 10 = 0 THEN
        PERFORM pgenvelope.evict_key(k);
    END IF;
    INSERT INTO value (key, plain, v)
    VALUES (k, p, env_encrypt(p, '{"tenant": "acme"}', k));
    SELECT plain, env_decrypt(v, '{"tenant": "acme"}') AS opened INTO r
    FROM value WHERE id > n ORDER BY id LIMIT 1;
    IF r.plain IS DISTINCT FROM r.opened THEN
        RAISE EXCEPTION 'a value opened as another';
    END IF;
    RETURN 'done';
EXCEPTION WHEN SQLSTATE 'PE002' THEN
    RETURN 'unavailable';
END $$;
SELECT work(i) FROM generate_series(1, 20) i;
END

sub all_decrypt
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is( $node->safe_psql(
			'postgres', "SELECT wrong(), count(*) > 0 FROM value"),
		'0|t',
		"$what: every value decrypts");
	return;
}

# Polls until values can be encrypted and decrypted with both keys, from
# scratch.
sub wait_until_works
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $node->poll_query_until(
			'postgres',
			"SELECT work(0) || work(1) = 'donedone'"),
		"$what: works again");
	return;
}

# ---------------------------------------------------------------------------
# The keeper alone
# ---------------------------------------------------------------------------

my $cached = session($node);
my $starts;

for my $action (qw(error exit))
{
	for my $point (qw(loop call))
	{
		my $what = "keeper, $action at $point";

		wait_until_works("before $what");
		$cached->value('SELECT wrong()');
		$starts = counter($node, 'keeper_starts');
		set_point($node, $point, $action);
		my $seconds = elapsed(
			sub {
				is_sqlstate($node, "SELECT pgenvelope.evict_key('one'); SELECT wrong()",
					'PE002', "$what: an error to who asks")
				  if $point eq 'call';
			});
		cmp_ok($seconds, '<', 3, "$what: at once");
		is($cached->value("SELECT count(*) FROM value WHERE key = 'two'
			AND env_decrypt(v, '{\"tenant\": \"acme\"}') = plain") > 0,
			1, "$what: a key that is there can be used");
		ok( $node->poll_query_until(
				'postgres',
				"SELECT keeper_starts > $starts FROM pgenvelope.stat"),
			"$what: started again");
		wait_until_works($what);
		all_decrypt($what);
		all_wiped($node, $what);
	}
}
$cached->value('SELECT 1');
ok(1, 'no session was lost by it');

# It hangs: what is cached is served, what is not fails in time.
for my $point (qw(loop call))
{
	my $what = "keeper, hang at $point";

	wait_until_works("before $what");
	$cached->value('SELECT wrong()');
	$starts = counter($node, 'keeper_starts');
	set_point($node, $point, 'hang');
	$node->safe_psql('postgres', "SELECT pgenvelope.evict_key('one')");
	my $seconds = elapsed(
		sub {
			is_sqlstate(
				$node, "SET pgenvelope.key_timeout = '300ms'; SELECT wrong()",
				'PE002', "$what: an error to who asks");
		});
	cmp_ok($seconds, '<', 3, "$what: in time");
	is($cached->value("SELECT count(*) FROM value WHERE key = 'two'
		AND env_decrypt(v, '{\"tenant\": \"acme\"}') <> plain"),
		0, "$what: a key that is there can be used");
	set_point($node, $point, 'pass');
	wait_until_works($what);
	is(counter($node, 'keeper_starts'), $starts, "$what: the same keeper");
}

# The same from outside.
{
	my $what = 'keeper, stopped';
	my $pid = keeper_pid($node);

	kill 'STOP', $pid;
	$node->safe_psql('postgres', "SELECT pgenvelope.evict_key('one')");
	my @waiting = map { session($node) } 1 .. 5;
	$_->start("SET pgenvelope.key_timeout = '300ms'; SELECT wrong()")
	  for @waiting;
	is(($_->finish)[1], 'PE002', "$what: an error to who asks") for @waiting;
	cmp_ok($_->seconds, '<', 3, "$what: in time") for @waiting;
	is($cached->value("SELECT count(*) FROM value WHERE key = 'two'
		AND env_decrypt(v, '{\"tenant\": \"acme\"}') <> plain"),
		0, "$what: a key that is there can be used");
	kill 'CONT', $pid;
	is($_->value('RESET ALL; SELECT wrong()'), '0', "$what: goes on")
	  for @waiting;
	$_->quit for @waiting;
	all_decrypt($what);
}

# A helper that is killed while it works.
{
	my $what = 'helper, killed during a call';
	my $calls = $double->calls('unseal');
	my $waiter = session($node);

	$double->behave('hang');
	$waiter->value("SELECT pgenvelope.evict_key('one')");
	$waiter->start('SELECT wrong()');
	$double->wait_for_call('unseal', $calls + 1);
	$double->behave('ok');
	kill 'KILL', $double->pid;
	is(($waiter->finish)[1], 'PE002', "$what: an error to who asks");
	cmp_ok($waiter->seconds, '<', 3, "$what: at once");
	wait_until_works($what);
	$waiter->quit;
}
$cached->quit;

# It crashes, and the server restarts.
for my $point (qw(loop call))
{
	my $what = "keeper, abort at $point";
	my $log_end = -s $node->logfile;

	wait_until_works("before $what");
	my $sqlstate = sqlstate_of($node,
		"SELECT pgenvelope_test_point('$point', 'abort'); "
		  . "SELECT pgenvelope.evict_key(); SELECT wrong() FROM generate_series(1, 1000)");
	like($sqlstate, qr/08006|57P02|PE002|00000/, "$what: no hang");
	$node->wait_for_log(qr/all server processes terminated/, $log_end);
	wait_until_works($what);
	all_decrypt($what);
	all_wiped($node, $what);
}

# ---------------------------------------------------------------------------
# Under load
# ---------------------------------------------------------------------------

my $directory = new_directory('pgbench');
my $runs = 0;

write_file("$directory/script", <<'END');
\set n random(0, 1000)
SELECT work(:n);
END

sub start_load
{
	my ($transactions) = @_;
	my $run = ++$runs;

	return IPC::Run::start(
		[
			'pgbench', '-n', '-c', '4', '-t', $transactions, '-f',
			"$directory/script", '--log', "--log-prefix=$directory/$run",
			'-h', $node->host, '-p', $node->port, 'postgres'
		],
		'<', '/dev/null', '>', "$directory/out.$run", '2>',
		"$directory/err.$run");
}

# Waits for more values than there are now, so that there is a load.
sub wait_for_values
{
	my $count = $node->safe_psql('postgres', 'SELECT max(id) FROM value');

	$node->poll_query_until('postgres',
		"SELECT max(id) > $count + 20 FROM value");
	return;
}

# Waits for the end of the load, which the end of a server brings about too;
# returns the longest that any call of work() took, in seconds.
sub finish_load
{
	my ($load) = @_;

	$load->finish;
	my @seconds =
	  map { (split)[2] / 1e6 }
	  grep { /^\d+ \d+ \d+ / }
	  map { split /\n/, slurp_file($_) } glob "$directory/$runs.*";
	my $err = slurp_file("$directory/err.$runs");

	unlike($err, qr/opened as another/, 'no value opened as another');
	return percentile(100, 0, @seconds);
}

my %victim = (
	keeper => sub { keeper_pid($node) },
	helper => sub { $double->pid },
	backend => sub {
		$node->safe_psql('postgres',
			q(SELECT pid FROM pg_stat_activity
			WHERE query LIKE '%work%' AND pid <> pg_backend_pid() LIMIT 1));
	},
	postmaster => sub { slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/; $1; });
my $rounds = 2 * ($ENV{PGENVELOPE_SOAK} || 1);
my $longest = 0;

for my $round (1 .. $rounds)
{
	for my $who (qw(keeper helper backend postmaster))
	{
		my $what = "$who, killed under load ($round)";
		my $load = start_load($who eq 'helper' ? 250 : 1000000);
		my $helper = $double->pid;

		wait_for_values();
		usleep(rand(50_000));
		my $log_end = -s $node->logfile;
		my $pid = $victim{$who}->();
		if ($who eq 'postmaster')
		{
			$node->kill9;
		}
		else
		{
			kill 'KILL', $pid;
			$node->wait_for_log(qr/was terminated by signal 9/, $log_end)
			  if $who ne 'helper';
		}
		my $seconds = finish_load($load);
		cmp_ok($seconds, '<', 3 + 2, "$what: nobody waited for long");
		$longest = $seconds if $seconds > $longest;
		$who eq 'postmaster'
		  ? start_killed_server($node, $pid)
		  : wait_for_server($node);
		wait_until_works($what);
		all_decrypt($what);
		all_wiped($node, $what);
		wait_until(sub { !kill 0, $helper }, 'the helper has gone')
		  if $who ne 'backend';
	}
}
diag(sprintf '%d kills under load: longest wait %.0f ms, %d values',
	4 * $rounds, 1000 * $longest,
	$node->safe_psql('postgres', 'SELECT count(*) FROM value'));

done_testing();
