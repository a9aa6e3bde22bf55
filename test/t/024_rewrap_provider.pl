# 024_rewrap_provider.pl: a job whose provider does not answer waits for it
# without keeping a table locked, and goes on when it does.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# More patience than the test has: nothing may depend on its end.
my $double = new_double('main');
my $node = new_node(
	'main',
	providers => 'main=' . $double->uri,
	conf => <<'END');
pgenvelope.key_timeout = 10min
pgenvelope.provider_timeout = 10min
pgenvelope.rewrap_workers = 0
END

foreach my $method ('update', 'inplace')
{
	new_values($node, 'postgres', $method, 100);
	$node->safe_psql('postgres', "SELECT pgenvelope.set_rewrap_method('value', '$method')");
	$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('$method', rewrap => false)");
	my $job =
	  $node->safe_psql('postgres', "SELECT pgenvelope.start_rewrap('$method')");
	my $session = session($node);

	is($session->value("SELECT step FROM pgenvelope.step_rewrap($job)"),
		'more', "$method: the job has begun");
	$session->value('SELECT pgenvelope.evict_key()');
	$double->behave('hang');
	like(
		$session->value("SELECT step, state, message FROM pgenvelope.step_rewrap($job)"),
		qr/^wait\|running\|key "$method" version \d was not unsealed within 100 ms$/,
		"$method: it does not wait in a batch");
	is( $node->safe_psql('postgres', <<'END'),
SELECT count(*) FROM pg_locks WHERE relation = 'value'::regclass
END
		'0', "$method: nobody locks the table");
	$double->behave();
	kill 'KILL', $double->pid;
	wait_until(
		sub {
			advance_clock($node, 60);
			$node->safe_psql('postgres', <<"END");
UPDATE pgenvelope.rewrap_job SET not_before = now() WHERE job_id = $job
END
			return $session->value(
				"SELECT state FROM pgenvelope.step_rewrap($job)") eq 'complete';
		},
		'the job is complete');
	is( $node->safe_psql('postgres', <<'END'),
SELECT count(*) FROM value
WHERE env_key_version(v) = 2 AND env_decrypt(v, '{"tenant": "acme"}') = plain
END
		'100', "$method: it goes on when the provider does");
	$session->quit;
	$node->safe_psql('postgres', 'DROP TABLE value');
}
done_testing();
