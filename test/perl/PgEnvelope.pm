# PgEnvelope.pm: what the tests in test/t share.
#
# A node with root keys outside its data directory, a double of a helper
# program (test/perl/helper_double.py), sessions that report SQLSTATEs, and
# the levers of test/modules/pgenvelope_test.  Nothing in here sleeps for a
# fixed time: what depends on the clock of pgenvelope moves that clock, and
# what depends on another process is polled for.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

package PgEnvelope;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP ();
use MIME::Base64 qw(encode_base64 encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(new_node new_directory new_key_file write_file new_double
  session error_of sqlstate_of is_sqlstate counter advance_clock
  set_point wait_until all_wiped set_providers elapsed random_bytes
  percentile keeper_pid kill_process source_directory new_values
  wait_for_jobs hold_job worker_pid set_setting parallel_setting
  start_killed_server wait_for_server
  new_session_key session_jwk write_session_keys session_token);

# Set by tests that rotate keys and are about something else: 0 leaves the
# stored values as they are.
our $rewrap_workers;

# Into a schema of its own, as the documents have it; the servers' search_path
# has it last.  Tests that want the default schema say CREATE EXTENSION alone.
our $create_extension = 'CREATE SCHEMA IF NOT EXISTS envelope; '
  . 'GRANT USAGE ON SCHEMA envelope TO PUBLIC; '
  . 'CREATE EXTENSION pgenvelope SCHEMA envelope';

# Directory for root keys and helpers: where no base backup goes.
my $directory;

# The top of the source tree.
sub source_directory
{
	return dirname(dirname(dirname(abs_path(__FILE__))));
}

sub new_directory
{
	my ($name) = @_;

	$directory //= PostgreSQL::Test::Utils::tempdir_short();
	mkdir "$directory/$name" or die "mkdir $directory/$name: $!";
	return "$directory/$name";
}

sub random_bytes
{
	my ($length) = @_;

	open my $in, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
	read($in, my $bytes, $length) == $length or die "/dev/urandom: $!";
	close $in;
	return $bytes;
}

# Writes a file anew, so that no reader sees half of it.
sub write_file
{
	my ($path, $content, $mode) = @_;

	open my $out, '>:raw', "$path.new" or die "$path.new: $!";
	chmod $mode // 0600, "$path.new" or die "$path.new: $!";
	print $out $content;
	close $out or die "$path.new: $!";
	rename "$path.new", $path or die "$path: $!";
	return $path;
}

# A root key file, as "openssl rand -base64 32" makes it; returns its path.
my $key_files = 0;

sub new_key_file
{
	my ($bytes) = @_;
	my $path = new_directory('key' . ++$key_files) . '/root.key';

	return write_file($path, encode_base64($bytes // random_bytes(32), "\n"));
}

# A node that preloads the library, with the extension and the test levers.
#
# providers: the setting, by default one root key file "main"
# conf:      more lines of postgresql.conf
# init:      arguments of PostgreSQL::Test::Cluster->init
# preload, start, extension: 0 leaves that out
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $providers = $options{providers} // 'main=file://' . new_key_file();

	$node->init(%{ $options{init} // {} });
	$node->append_conf('postgresql.conf', <<"END");
autovacuum = off
log_statement = none
log_replication_commands = off
search_path = '"\$user", public, envelope'
END
	# Or a standby that starts late finds its WAL recycled.
	$node->append_conf('postgresql.conf', "wal_keep_size = 1GB\n")
	  if $options{init} && $options{init}{allows_streaming};
	$node->append_conf('postgresql.conf', <<"END")
shared_preload_libraries = 'pgenvelope'
pgenvelope.providers = '$providers'
END
	  if $options{preload} // 1;
	$node->append_conf('postgresql.conf',
		"pgenvelope.rewrap_workers = $rewrap_workers\n")
	  if defined $rewrap_workers && ($options{preload} // 1);
	$node->append_conf('postgresql.conf', $options{conf})
	  if defined $options{conf};
	return $node if exists $options{start} && !$options{start};
	$node->start;
	$node->safe_psql('postgres',
		"$create_extension; CREATE EXTENSION pgenvelope_test;")
	  if $options{extension} // 1;
	return $node;
}

# Changes the setting for good.  Who connects after this has it, and the
# keeper has been signalled, which it heeds before it does anything else.
sub set_providers
{
	my ($node, $providers) = @_;

	$node->safe_psql('postgres',
		"ALTER SYSTEM SET pgenvelope.providers = '$providers'");
	$node->reload;
	$node->poll_query_until('postgres',
		"SELECT current_setting('pgenvelope.providers') = '$providers'")
	  or die 'the setting did not change';
	return;
}

sub counter
{
	my ($node, $name, $database) = @_;

	return $node->safe_psql($database // 'postgres',
		"SELECT $name FROM pgenvelope.stat");
}

sub keeper_pid
{
	my ($node) = @_;

	return counter($node, 'keeper_pid');
}

# Moves the clock of the node's pgenvelope forward.
sub advance_clock
{
	my ($node, $seconds) = @_;

	$node->safe_psql('postgres',
		'SELECT pgenvelope_test_advance_clock('
		  . int($seconds * 1000)
		  . ')');
	return;
}

# Makes the keeper err, exit, abort or hang at 'loop' or 'call', or whoever
# comes there at another point of pgenvelope_test.c; 'pass' ends a hang.
sub set_point
{
	my ($node, $point, $action) = @_;

	$node->safe_psql('postgres',
		"SELECT pgenvelope_test_point('$point', '$action')");
	return;
}

# No memory of a slot without a key may hold one.
sub all_wiped
{
	my ($node, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is( $node->safe_psql('postgres', 'SELECT pgenvelope_test_unwiped_slots()'),
		'0',
		"$test: key memory is wiped");
	return;
}

# Polls until the code returns true, for the usual time or so many seconds.
sub wait_until
{
	my ($code, $what, $seconds) = @_;
	my $deadline =
	  time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);

	until ($code->())
	{
		die "timed out waiting until $what" if time > $deadline;
		usleep(20_000);
	}
	return;
}

# Polls until somebody can connect.  psql gets no script on its input: one that
# cannot connect has gone before it could be written.
sub wait_for_server
{
	my ($node) = @_;

	wait_until(
		sub {
			my ($out) = run_command(
				[
					'psql', '-XAtq', '-d', $node->connstr('postgres'),
					'-c', 'SELECT 1'
				]);
			return $out eq '1';
		},
		'the server accepts connections');
	return;
}

# Starts a node whose postmaster, of this pid, was killed.  The old server's
# processes go when they notice; until then its shared memory is in use.
sub start_killed_server
{
	my ($node, $pid) = @_;

	wait_until(sub { !kill 0, $pid }, 'the postmaster has gone');
	wait_until(
		sub {
			return 1 if $node->start(fail_ok => 1);
			$node->stop('fast', fail_ok => 1);
			return 0;
		},
		'the server starts');
	return;
}

# Kills a process and waits until it is dead, if perhaps not yet buried.
sub kill_process
{
	my ($pid) = @_;

	kill 'KILL', $pid;
	wait_until(
		sub {
			open my $in, '<', "/proc/$pid/stat" or return 1;
			return (<$in> // ') Z') =~ /\) [ZX]/;
		},
		"process $pid is dead");
	return;
}

# Seconds that the code took.
sub elapsed
{
	my ($code) = @_;
	my $start = time;

	$code->();
	return time - $start;
}

# The p-th percentile (nearest rank) of some numbers.
sub percentile
{
	my ($p, @numbers) = @_;
	my @sorted = sort { $a <=> $b } @numbers;
	my $rank = int($p / 100 * @sorted + 0.999999);

	return $sorted[ ($rank || 1) - 1 ];
}

# ---------------------------------------------------------------------------
# Rewrap jobs
# ---------------------------------------------------------------------------

# A key, and a table "value" of values under it with their plaintexts.
sub new_values
{
	my ($node, $database, $key, $rows) = @_;

	$node->safe_psql($database, <<"END");
SELECT pgenvelope.create_key('$key', required_context => '{"tenant": null}');
CREATE TABLE value (id int PRIMARY KEY, plain text, v envelope)
WITH (fillfactor = 50);
INSERT INTO value
SELECT i, 'plain ' || i, env_encrypt('plain ' || i, '{"tenant": "acme"}', '$key')
FROM generate_series(1, $rows) i;
END
	return;
}

# Polls until no job of a database is to be done any more.
sub wait_for_jobs
{
	my ($node, $database) = @_;

	$node->poll_query_until($database, <<'END')
SELECT NOT EXISTS (SELECT FROM pgenvelope.rewrap_job
    WHERE state NOT IN ('complete', 'cancelled'))
END
	  or die 'a job was not completed: '
	  . $node->safe_psql($database,
		'SELECT j FROM pgenvelope.rewrap_job j ORDER BY job_id DESC LIMIT 1');
	return;
}

# Changes a setting for good, and tells every process.
sub set_setting
{
	my ($node, $name, $value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$node->reload;
	return;
}

# What makes every plan parallel that can be; 16 renamed it.
sub parallel_setting
{
	my ($node) = @_;

	return $node->safe_psql('postgres', <<'END');
SELECT name FROM pg_settings
WHERE name IN ('force_parallel_mode', 'debug_parallel_query')
END
}

# The worker that is doing a job of a database; waits for one.
sub worker_pid
{
	my ($node, $database) = @_;
	my $pid;

	wait_until(
		sub {
			$pid = $node->safe_psql('postgres', <<"END");
SELECT a.pid FROM pgenvelope.rewrap_activity() a
JOIN pg_database d ON d.oid = a.database
WHERE d.datname = '$database' AND a.job_id IS NOT NULL
END
			return $pid ne '';
		},
		"a worker is busy in $database");
	return $pid;
}

# Rotates a key at a rate so low that the job lasts as long as the test wants
# it to; returns the pid of the worker, which has done one batch and waits.
# Ended by setting the rate to 0 and advancing the clock.
sub hold_job
{
	my ($node, $database, $key) = @_;

	set_setting($node, 'pgenvelope.rewrap_batch_blocks', 1);
	set_setting($node, 'pgenvelope.rewrap_rate', 1);
	my $paced = counter($node, 'rewrap_paced_ms');
	$node->safe_psql($database, "SELECT pgenvelope.rotate_key('$key')");
	wait_until(sub { counter($node, 'rewrap_paced_ms') > $paced },
		'the job is held by its rate');
	return worker_pid($node, $database);
}

# ---------------------------------------------------------------------------
# Tokens of sessions
# ---------------------------------------------------------------------------

# A key that signs tokens by HS256: { kid, secret }.
sub new_session_key
{
	my ($kid) = @_;

	return { kid => $kid, secret => random_bytes(32) };
}

# Its JWK.
sub session_jwk
{
	my ($key) = @_;

	return {
		kty => 'oct',
		alg => 'HS256',
		kid => $key->{kid},
		k => encode_base64url($key->{secret}) };
}

# Writes the file of keys anew; returns its path.
sub write_session_keys
{
	my ($path, @keys) = @_;

	return write_file($path,
		JSON::PP->new->canonical->encode(
			{ keys => [ map { session_jwk($_) } @keys ] }));
}

# A token for a minute, with these claims beside or in the place of exp, iat
# and jti.
sub session_token
{
	my ($key, %claims) = @_;
	my $json = JSON::PP->new->canonical;
	my $signed = join '.', map { encode_base64url($json->encode($_)) } (
		{ alg => 'HS256', kid => $key->{kid} },
		{
			exp => int(time) + 60,
			iat => int(time),
			jti => unpack('H*', random_bytes(8)),
			%claims });

	return
	  "$signed." . encode_base64url(hmac_sha256($signed, $key->{secret}));
}

# ---------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------

# (SQLSTATE, message with detail and hint) of what psql wrote to its standard
# error; ('00000', '') if that holds no error.
sub _parse_error
{
	my ($text) = @_;

	return ($1, $2)
	  if $text =~ /(?:ERROR|FATAL|PANIC):  ([0-9A-Z]{5}): (.*)/s;
	return ('08006', $text)
	  if $text =~ /server closed the connection|connection to server/;
	return ('00000', '');
}

# (SQLSTATE, message) of the first error of a script.
sub error_of
{
	my ($node, $sql, %params) = @_;
	my ($result, $out, $err) = $node->psql(
		$params{database} // 'postgres', $sql,
		extra_params => [ '-v', 'VERBOSITY=verbose' ],
		%params);

	return _parse_error($err);
}

sub sqlstate_of
{
	return (error_of(@_))[0];
}

# Runs a script that is to fail so; returns the message.
sub is_sqlstate
{
	my ($node, $sql, $expected, $test, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($sqlstate, $message) = error_of($node, $sql, %params);

	is($sqlstate, $expected, $test) or diag($message);
	return $message;
}

# ---------------------------------------------------------------------------
# Sessions
# ---------------------------------------------------------------------------

# A connection that stays open, and can wait for an answer in the background;
# psql may be given other options, such as where to connect to.
sub session
{
	my ($node, $database, @options) = @_;

	return PgEnvelope::Session->new($node, $database // 'postgres', @options);
}

package PgEnvelope::Session;

use IPC::Run ();
use Time::HiRes qw(time);

sub new
{
	my ($class, $node, $database, @options) = @_;
	my $psql = $node->background_psql(
		$database,
		on_error_stop => 0,
		wait => 0,
		extra_params => [ '-v', 'VERBOSITY=verbose', @options ]);
	my $self = bless { psql => $psql, count => 0 }, $class;

	$self->{pid} = $self->value('SELECT pg_backend_pid()');
	return $self;
}

sub pid
{
	my ($self) = @_;

	return $self->{pid};
}

# Sends a script without waiting.
sub start
{
	my ($self, $sql) = @_;
	my $psql = $self->{psql};
	my $count = ++$self->{count};

	$psql->{stdout} = $psql->{stderr} = '';
	$psql->{stdin} .=
	  "$sql\n;\n\\echo 'answer $count'\n\\warn 'answer $count'\n";
	$psql->{run}->pump_nb;
	$self->{started} = time;
	return;
}

# Whether the answer is still awaited.
sub waiting
{
	my ($self) = @_;

	eval { $self->{psql}{run}->pump_nb; };
	return 0 if $@;
	return !$self->_answered;
}

sub _answered
{
	my ($self) = @_;
	my $end = qr/^answer $self->{count}\r?\n/m;

	return $self->{psql}{stdout} =~ $end && $self->{psql}{stderr} =~ $end;
}

# Waits for what was started; returns (output, SQLSTATE, message).  A lost
# connection is 08006.
sub finish
{
	my ($self) = @_;
	my $psql = $self->{psql};
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	# The pump dies when psql has gone.
	eval {
		until ($self->_answered)
		{
			die "no answer\n" if time > $deadline;
			last unless $psql->{run}->pumpable;
			$psql->{run}->pump;
		}
	};
	die "a session got no answer" if $@ && $@ eq "no answer\n";
	$self->{seconds} = time - $self->{started};
	my ($out, $err) = ($psql->{stdout}, $psql->{stderr});
	s/^answer $self->{count}\r?\n//m for $out, $err;
	chomp $out;
	return ($out, PgEnvelope::_parse_error($err));
}

# Seconds from start to finish.
sub seconds
{
	my ($self) = @_;

	return $self->{seconds};
}

sub run
{
	my ($self, $sql) = @_;

	$self->start($sql);
	return $self->finish;
}

# The output of a script that is not to fail.
sub value
{
	my ($self, $sql) = @_;
	my ($out, $sqlstate, $message) = $self->run($sql);

	die "$sqlstate: $message in: $sql" if $sqlstate ne '00000';
	return $out;
}

sub sqlstate
{
	my ($self, $sql) = @_;

	return ($self->run($sql))[1];
}

sub quit
{
	my ($self) = @_;

	eval { $self->{psql}->quit; };
	return;
}

# ---------------------------------------------------------------------------
# The double of a helper program
# ---------------------------------------------------------------------------

package PgEnvelope;

sub new_double
{
	my ($name) = @_;

	return PgEnvelope::Double->new($name);
}

package PgEnvelope::Double;

sub new
{
	my ($class, $name) = @_;
	my $path = PgEnvelope::new_directory("double_$name") . '/helper';

	PgEnvelope::write_file(
		$path,
		PostgreSQL::Test::Utils::slurp_file(
			PgEnvelope::source_directory() . '/test/perl/helper_double.py'),
		0700);
	return bless { path => $path }, $class;
}

sub path
{
	my ($self) = @_;

	return $self->{path};
}

# What pgenvelope.providers has for it.
sub uri
{
	my ($self) = @_;

	return "command:$self->{path}";
}

# Lines of its control file, which says how to misbehave; none: not at all.
sub behave
{
	my ($self, @lines) = @_;

	PgEnvelope::write_file("$self->{path}.control",
		join('', map { "$_\n" } @lines));
	return;
}

# The lines of its record that match: ('seal', 'unseal', 'check', 'start').
sub lines
{
	my ($self, $verb) = @_;

	return () unless -e "$self->{path}.calls";
	return grep { /^$verb / }
	  split(/\n/, PostgreSQL::Test::Utils::slurp_file("$self->{path}.calls"));
}

# How many requests of a verb it has had.
sub calls
{
	my ($self, $verb) = @_;

	return scalar(my @lines = $self->lines($verb));
}

# The process that it runs in, as far as it has said.
sub pid
{
	my ($self) = @_;
	my @starts = $self->lines('start');

	return @starts && $starts[-1] =~ /^start (\d+)/ ? $1 : undef;
}

sub wait_for_call
{
	my ($self, $verb, $count) = @_;

	PgEnvelope::wait_until(sub { $self->calls($verb) >= $count },
		"the double has had $count requests to $verb");
	return;
}

1;
