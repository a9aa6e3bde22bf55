# 033_monitoring.pl: what monitoring/ has, with the real exporter and promtool.
#
# Every metric that an alert or the dashboard names is in a scrape of a server
# on which values were opened, denied and moved, as a member of pg_monitor; the
# values are right; the names are good (promtool check metrics); rules and
# the dashboard's expressions are understood, and the rules' own tests pass.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

for my $tool (qw(promtool prometheus-postgres-exporter))
{
	plan(skip_all => "needs $tool")
	  unless grep { -x "$_/$tool" } split /:/, $ENV{PATH};
}

my $monitoring = source_directory() . '/monitoring';

# Runs promtool; returns what it says.
sub promtool_is_content
{
	my ($test, $in, @arguments) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $out = '';

	IPC::Run::run([ 'promtool', @arguments ], '<', \$in, '>&', \$out);
	is($?, 0, $test) or diag($out);
	return;
}

my $dashboard = decode_json(slurp_file("$monitoring/dashboard.json"));
my @exprs = map { $_->{expr} } map { @{ $_->{targets} } }
  @{ $dashboard->{panels} };
my $alerts = slurp_file("$monitoring/alerts.yml");

promtool_is_content('the alerts are understood',
	'', qw(check rules), "$monitoring/alerts.yml");
promtool_is_content('the tests of the alerts pass',
	'', qw(test rules), "$monitoring/alerts_test.yml");
promtool_is_content(
	'the expressions of the dashboard are understood',
	'',
	qw(check rules),
	write_file(
		new_directory('rules') . '/dashboard.yml',
		encode_json(
			{
				groups => [
					{
						name => 'dashboard',
						rules => [
							map { { record => "panel:$_", expr => $exprs[$_] } }
							  0 .. $#exprs
						]
					}
				]
			})));

my $node = new_node('main');
my $port = PostgreSQL::Test::Cluster::get_free_port();
$node->safe_psql('postgres', <<'END');
CREATE ROLE exporter LOGIN IN ROLE pg_monitor;
CREATE ROLE app LOGIN;
CREATE ROLE eve LOGIN;
SELECT pgenvelope.create_key('k', required_context => '{"tenant": null}');
SELECT pgenvelope.grant_key('k', 'encrypt', 'app'), pgenvelope.grant_key('k', 'decrypt', 'app');
CREATE TABLE v AS
SELECT i, env_encrypt('x', '{"tenant": "a"}', 'k') AS v
FROM generate_series(1, 100) i;
GRANT SELECT ON v TO app, eve;
SELECT pgenvelope.schedule_rotation('k', '90 days');
SELECT pgenvelope.rotate_key('k');
END
wait_for_jobs($node, 'postgres');
$node->safe_psql('postgres', <<'END');
SET ROLE app;
SELECT count(env_decrypt(v, '{"tenant": "a"}')) FROM v;
SELECT count(*) FROM v WHERE env_verify(v, '{"tenant": "b"}') = 'ok';
END
is_sqlstate($node,
	q{SET ROLE eve; SELECT env_decrypt(v, '{"tenant": "a"}') FROM v},
	'42501', 'a role is denied');

# A job that stays, so that it is seen.
$node->safe_psql('postgres', <<'END');
BEGIN;
SELECT pgenvelope.start_rewrap('k');
SELECT pgenvelope.pause_rewrap(max(job_id)) FROM pgenvelope.rewrap_job;
COMMIT;
END

# Requests that wait, that have expired and that were rejected
$node->safe_psql('postgres', <<'END');
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
GRANT EXECUTE ON FUNCTION pgenvelope.grant_key, pgenvelope.require_approval, pgenvelope.reject
    TO alice, bob;
SELECT pgenvelope.create_key('two');
SELECT pgenvelope.grant_key('two', 'admin', 'alice'), pgenvelope.grant_key('two', 'admin', 'bob');
SELECT pgenvelope.require_approval('two');
END
sub as
{
	my ($role, $sql) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}
as('alice', q{SELECT pgenvelope.grant_key('two', 'decrypt', 'eve', '{"tenant": "x"}')});
as('alice', q{SELECT pgenvelope.require_approval('two', false)});
as('alice', q{SELECT pgenvelope.grant_key('two', 'decrypt', 'app')});
as('bob', q{SELECT pgenvelope.reject(3, 'no')});
$node->safe_psql('postgres', <<'END');
UPDATE pgenvelope.request SET expires_at = now() WHERE request_id = 2
END

# A honey value, and a budget
$node->safe_psql('postgres', <<'END');
CREATE ROLE thief LOGIN;
GRANT SELECT ON v TO thief;
SELECT pgenvelope.grant_key('k', 'decrypt', 'thief');
SELECT pgenvelope.limit_grant('k', 'thief', per_transaction => 2);
SELECT pgenvelope.mark_honey(v, '{"tenant": "a"}', lock => true) FROM v WHERE i = 1;
END
is_sqlstate($node,
	q{SET ROLE thief;
	  SELECT env_decrypt(v, '{"tenant": "a"}') FROM v WHERE i > 1 LIMIT 3},
	'PE007', 'a budget is spent');
$node->safe_psql('postgres',
	q{SET ROLE thief;
	  SELECT env_decrypt(v, '{"tenant": "a"}') FROM v WHERE i = 1});
$node->poll_query_until('postgres',
	'SELECT count(locked_at) = 1 FROM pgenvelope.limits')
  or die 'the grant is not locked';

local $ENV{DATA_SOURCE_NAME} =
  'user=exporter dbname=postgres sslmode=disable host='
  . $node->host
  . ' port='
  . $node->port;
my $log = "$PostgreSQL::Test::Utils::log_path/exporter.log";
my $exporter = IPC::Run::start(
	[
		'prometheus-postgres-exporter',
		"--web.listen-address=127.0.0.1:$port",
		"--extend.query-path=$monitoring/postgres_exporter.yml"
	],
	'>&',
	$log);
my $scrape;

# It needs a moment to listen.
wait_until(
	sub {
		my $answer =
		  HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$port/metrics");

		$scrape = $answer->{content} if $answer->{success};
		return $answer->{success};
	},
	'the exporter answers');
$exporter->signal('TERM');
$exporter->finish;

# The value of a series, whatever its order of labels and constant ones.
sub value_of
{
	my ($name, %labels) = @_;
	my @found;

	for my $line (grep { /^\Q$name\E[{ ]/ } split /\n/, $scrape)
	{
		push @found, $line =~ / (\S+)$/
		  unless grep { $line !~ /[{,]\Q$_\E="\Q$labels{$_}\E"/ } keys %labels;
	}
	return join ' ', @found;
}

like($scrape, qr/^pg_exporter_last_scrape_error\S* 0$/m, 'no query fails')
  or diag(slurp_file($log));
my @ours = grep { /^# (?:HELP|TYPE) pgenvelope_|^pgenvelope_/ }
  split /^/, $scrape;
promtool_is_content('the names of the metrics are good',
	join('', @ours), qw(check metrics));

my %of = map { $_ => 1 } $scrape =~ /^(\w+)[{ ]/mg;
my %wanted = map { $_ => 1 } join("\n", $alerts, @exprs) =~ /\b(pg(?:envelope)?_\w+)/g;
is_deeply([ grep { !$of{$_} } sort keys %wanted ],
	[], 'what alerts and dashboard name is there');
cmp_ok(scalar keys %wanted, '>', 20, 'which is not little');

my %k = (datname => 'postgres', key => 'k');
is( value_of('pgenvelope_values_total',
		%k, role => 'app', operation => 'decrypt', outcome => 'ok'),
	100, 'decrypted values');
is( value_of('pgenvelope_values_total',
		%k, role => 'app', operation => 'verify',
		outcome => 'authentication_failed'),
	100, 'values that do not open');
is( value_of('pgenvelope_values_total',
		%k, role => 'eve', operation => 'decrypt', outcome => 'not_entitled'),
	1, 'a value that was denied');
is(value_of('pgenvelope_key_active_version', %k), 2, 'the version');
cmp_ok(value_of('pgenvelope_key_rotation_due_timestamp_seconds', %k),
	'>', time, 'the next rotation');
is(value_of('pgenvelope_alerts_total', alert => 'honey'), 1, 'a honey alert');
is(value_of('pgenvelope_alerts_total', alert => 'budget'), 1, 'one of a budget');
is(value_of('pgenvelope_alerts_lost_total'), 0, 'none is lost');
is(value_of('pgenvelope_grant_locked', %k, role => 'thief'), 1, 'a lock');
is(value_of('pgenvelope_grant_locked', %k, role => 'app'), 0, 'of one role');
is(value_of('pgenvelope_grant_budgets', %k, role => 'thief'), 1, 'a budget');
cmp_ok(
	value_of('pgenvelope_values_total',
		%k, role => 'thief', operation => 'decrypt', outcome => 'over_budget'),
	'>=', 1, 'a value that was refused for it');
is(value_of('pgenvelope_key_dual_control', %k), 0, 'one person is enough');
$k{key} = 'two';
is(value_of('pgenvelope_key_dual_control', %k), 1, 'a key of two persons');
$k{operation} = 'grant_key';
is(value_of('pgenvelope_approval_pending_requests', %k), 1, 'a request');
is(value_of('pgenvelope_approval_rejected_total', %k), 1, 'one was rejected');
cmp_ok(value_of('pgenvelope_approval_first_expiry_timestamp_seconds', %k),
	'>', time + 80_000, 'when it expires');
$k{operation} = 'require_approval';
is(value_of('pgenvelope_approval_expired_requests', %k), 1, 'one has expired');
is(value_of('pgenvelope_approval_first_expiry_timestamp_seconds', %k),
	0, 'so none waits');
$k{operation} = 'destroy_key';
is(value_of('pgenvelope_approval_pending_requests', %k),
	0, 'nobody has asked for that');
%k = (datname => 'postgres', key => 'k');
is(value_of('pgenvelope_rewrap_values_total'), 100, 'values moved');
is(value_of('pgenvelope_rewrap_job_paused', %k), 1, 'a job that is paused');
is(value_of('pgenvelope_health_status', component => 'keeper'), 0, 'health');
is(value_of('pgenvelope_health_status', component => 'job'), 1, 'and illness');
is(value_of('pgenvelope_database_ready'), 1, 'readiness');
cmp_ok(
	value_of('pgenvelope_provider_call_duration_seconds_count',
		provider => 'main', operation => 'seal'),
	'>=', 2, 'calls to the provider');

# Begun anew, by nobody but superusers
is_sqlstate($node, 'SET ROLE exporter; SELECT pgenvelope.reset_stat()',
	'42501', 'who watches does not reset');
is_sqlstate($node, 'SET ROLE eve; SELECT * FROM pgenvelope.stat_use',
	'42501', 'nor do others watch');
is( $node->safe_psql('postgres',
		'SELECT pgenvelope.reset_stat(); SELECT count(*) FROM pgenvelope.stat_use'),
	"\n0", 'counts begin anew');

done_testing();
