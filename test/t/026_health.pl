# 026_health.pl: pgenvelope.health and pgenvelope.ready, on a primary and a standby.
#
# What pgenvelope.health says of each provider is what is so at the moment, give or
# take five seconds: reachable or the category of the failure, the root key,
# how long it took, when its credential expires; the last error outlives its
# cause.  Providers are asked at once, so that no two that hang are waited for
# one after the other, and not again for who asks in a loop.  It costs no seal
# and no unseal, and is for members of pg_monitor.  What it says of the cache,
# jobs, rotations and second seals is looked up.
#
# What cannot be told of is no error and is not waited for: an anchor that cannot
# be read, keys that somebody has locked.
#
# pgenvelope.ready is for everybody: no while keys cannot be had, yes where they are
# cached, and yes again by itself.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $double = new_double('kms');
my $root_key = new_key_file();
my $providers = "main=file://$root_key, kms=" . $double->uri
  . ', typed=passphrase://'
  . write_file(new_directory('phrase') . '/phrase', "correct horse battery\n")
  . ', elsewhere@other=file://' . new_key_file();
my $node = new_node(
	'main',
	init => { allows_streaming => 1 },
	providers => $providers,
	conf => <<'END');
pgenvelope.rewrap_workers = 0
pgenvelope.provider_timeout = 2s
END

sub health
{
	my ($columns, $on) = @_;

	# What was found before counts no longer.
	advance_clock($node, 6);
	return ($on // $node)->safe_psql('postgres',
		"SELECT $columns FROM pgenvelope.health() WHERE component = 'provider'");
}

# What is said of a component that is no provider.
sub state_of
{
	my ($component) = @_;

	return $node->safe_psql('postgres', <<"END");
SELECT concat_ws(': ', name, status, message) FROM pgenvelope.health()
WHERE component = '$component'
END
}

$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('one', 'main');
SELECT pgenvelope.create_key('two', 'kms');
END
my $seals = counter($node, 'seal_calls + unseal_calls');

is( $node->safe_psql('postgres', <<'END'),
SELECT component, name, status, message FROM pgenvelope.health()
END
	"keeper||ok|\nlauncher||ok|pgenvelope.rewrap_workers is 0: jobs are done by hand.\ncache||ok|\nprovider|main|ok|\nprovider|kms|ok|\nprovider|typed|ok|",
	'all is well; what is for another database is not listed');
is( $node->safe_psql('postgres', <<'END'),
SELECT count(*) FROM pgenvelope.health() h JOIN pgenvelope.keys k
ON h.name = k.provider AND h.root_key = k.root_key AND h.latency_ms >= 0
END
	'2', 'with the root keys that keys are sealed by');
is(counter($node, 'seal_calls + unseal_calls'), $seals, 'nothing is sealed');

$double->behave('check fields - 1795600000');
advance_clock($node, 6);
is( $node->safe_psql('postgres', <<'END'),
SELECT root_key IS NULL, credential_expires = to_timestamp(1795600000)
FROM pgenvelope.health() WHERE name = 'kms'
END
	't|t', 'a credential that expires');

$double->behave('check denied');
is( health('name, status, category, message, latency_ms IS NULL'),
	"main|ok|||f\nkms|degraded|denied|The provider denied the request.|t\ntyped|ok|||f",
	'one that is denied does not keep others from being told of');
$double->behave('check hang');
is(health('name, status, message'),
	"main|ok|\nkms|degraded|The provider did not answer in time.\ntyped|ok|",
	'nor one that hangs; its key is cached');
$double->behave('check rubbish');
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
like(health('name, status'), qr/^kms\|unavailable$/m,
	'nor one that is broken; no key of it is cached any more');
$double->behave();

my $bytes = slurp_file($root_key);
unlink $root_key or die "$root_key: $!";
like(
	health('name, status, category'),
	qr/^main\|unavailable\|not_found$/m,
	'a file that is missing');
write_file($root_key, "not a key\n");
like(health('name, category'), qr/^main\|misconfigured$/m, 'or holds no key');
write_file($root_key, $bytes);
like(
	health('name, status, last_error, last_error_at <= now()'),
	qr/^main\|ok\|misconfigured: The root key's file does not hold the base64 of exactly 32 bytes\.\|t$/m,
	'the last error is known when it is mended');
like(health('name, last_error IS NULL'), qr/^typed\|t$/m,
	'who had none has none');

set_providers($node, "main=file://$root_key");
like(
	health('name, category, message'),
	qr/^kms\|misconfigured\|The setting pgenvelope\.providers lists no such provider for this database\.$/m,
	'a provider that is needed and not listed');
set_providers($node, $providers);

$node->safe_psql('postgres', <<'END');
CREATE ROLE monitor IN ROLE pg_monitor;
CREATE ROLE nobody;
END
is( $node->safe_psql('postgres', <<'END'),
SET ROLE monitor;
SELECT count(*) FROM pgenvelope.health() WHERE status = 'ok';
END
	'6', 'a member of pg_monitor may ask');
is_sqlstate($node, 'SET ROLE nobody; SELECT pgenvelope.health()',
	'42501', 'others may not');

# All at once, and once for all who ask in a while
my $other = new_double('other');
set_providers($node, "$providers, other=" . $other->uri);
$_->behave('check hang') for $double, $other;
my $checks = $double->calls('check');
my $took = elapsed(
	sub {
		is(health('name, category'),
			"main|\nkms|unavailable\ntyped|\nother|unavailable",
			'two that hang');
	});
cmp_ok($took, '<', 3.9, 'are waited for at once');
$node->safe_psql('postgres', <<'END');
DO $$
BEGIN
    FOR i IN 1 .. 50 LOOP
        PERFORM FROM pgenvelope.health();
    END LOOP;
END $$
END
is($double->calls('check'), $checks + 1, 'and not asked again at once');
is( $node->safe_psql('postgres', <<'END'),
SELECT operation, calls > 0, failed_unavailable > 0, longest_ms >= 2000,
    counts[12] <= calls, last_failure IS NOT NULL
FROM pgenvelope.stat_providers WHERE provider = 'kms' AND operation = 'check'
END
	'check|t|t|t|t|t', 'which is counted');
$_->behave() for $double, $other;
set_providers($node, $providers);

# What is not asked but looked up
$node->safe_psql('postgres', <<'END');
CREATE TABLE v AS
SELECT env_encrypt('x', '{"tenant": "a", "type": "t"}', 'one') AS v;
SELECT pgenvelope.rotate_key('one');
SELECT pgenvelope.schedule_rotation('two', '90 days');
END
is(state_of('job'), 'one: ok: Job 1 is waiting.', 'a job');
like(state_of('rotation'), qr/^two: ok: It is due at /, 'a rotation to come');
$node->safe_psql('postgres', <<'END');
UPDATE pgenvelope.rewrap_job SET created_at = created_at - interval '1 hour';
UPDATE pgenvelope.key_version SET activated_at = now() - interval '91 days'
WHERE key_id = (SELECT key_id FROM pgenvelope.key WHERE name = 'two');
END
is( state_of('job'),
	'one: degraded: Job 1 has stood still for ten minutes.',
	'one that nobody does');
like(
	state_of('rotation'),
	qr/^two: degraded: It has been due since /,
	'a rotation that is overdue');
$node->safe_psql('postgres', 'SELECT pgenvelope.pause_rewrap(1)');
like(
	state_of('job'),
	qr/^one: degraded: Job 1 is paused\. \(paused by /,
	'a job that is paused');
$node->safe_psql('postgres',
	q{SELECT pgenvelope.cancel_rewrap(1); SELECT pgenvelope.schedule_rotation('two', NULL)});
is(state_of('job') . state_of('rotation'), '', 'nothing to say');

set_setting($node, 'pgenvelope.escrow_provider', 'typed');
$node->poll_query_until('postgres', 'SHOW pgenvelope.escrow_provider',
	'typed');
is( state_of('escrow'),
	'typed: degraded: 3 key versions have no second seal; pgenvelope.reseal_keys() makes it.',
	'keys without a second seal');
set_setting($node, 'pgenvelope.escrow_provider', '');

is(state_of('audit'), '', 'no audit key, no anchor');
$node->safe_psql('postgres', 'SELECT pgenvelope.create_audit_key()');
$node->poll_query_until('postgres', <<'END') or die 'no anchor';
SELECT status = 'ok' FROM pgenvelope.health() WHERE component = 'audit'
END
$node->safe_psql('postgres', <<'END');
DELETE FROM pgenvelope.audit_log
WHERE seq = (SELECT max(seq) FROM pgenvelope.audit_log)
END
is( state_of('audit'),
	'degraded: The log ends before its anchor; see pgenvelope.verify_audit().',
	'a log that was cut off');

# An anchor that is no file, or of which nothing may be read or written
sub anchor
{
	return (glob $node->data_dir . '/pgenvelope_audit/*.anchor')[0];
}
my $anchor = anchor();
$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
rename($anchor, "$anchor.away") or die "$anchor: $!";
mkdir($anchor) or die "$anchor: $!";
is(state_of('audit'),
	"degraded: The anchor's file is damaged; see pgenvelope.verify_audit().",
	'a directory in place of the anchor');
rmdir($anchor) or die "$anchor: $!";
system_or_bail('mkfifo', $anchor);
is(state_of('audit'),
	"degraded: The anchor's file is damaged; see pgenvelope.verify_audit().",
	'or a pipe');
unlink($anchor) or die "$anchor: $!";
symlink($anchor, $anchor) or die "$anchor: $!";
is( state_of('audit'),
	"degraded: The anchor's file cannot be read; see pgenvelope.audit_anchor_directory.",
	'or what cannot be opened');
unlink($anchor) or die "$anchor: $!";
SKIP:
{
	skip('root may read anything', 2) if $> == 0;
	rename("$anchor.away", $anchor) or die "$anchor: $!";
	chmod(0000, dirname($anchor)) or die "$anchor: $!";
	is( state_of('audit'),
		"degraded: The anchor's file cannot be read; see pgenvelope.audit_anchor_directory.",
		'a directory without rights');
	chmod(0500, dirname($anchor)) or die "$anchor: $!";
	$node->safe_psql('postgres',
		q{SELECT pgenvelope.schedule_rotation('two', '90 days');
		  SELECT pgenvelope.schedule_rotation('two', NULL)});
	$node->poll_query_until('postgres', <<'END') or die 'the anchor is written';
SELECT message ~ 'cannot be written' FROM pgenvelope.health()
WHERE component = 'audit'
END
	pass('one that the keeper cannot write to');
	chmod(0700, dirname($anchor)) or die "$anchor: $!";
}

# Who may do nothing but ask; and locks of others
$node->safe_psql('postgres', <<'END');
CREATE ROLE probe LOGIN;
GRANT EXECUTE ON FUNCTION pgenvelope.health TO probe;
END
my $ask = <<'END';
SET ROLE probe;
SELECT string_agg(concat_ws(' ', component, name, status), ', ') FROM pgenvelope.health()
WHERE component <> 'audit';
SELECT pgenvelope.ready();
END
my $all_is_well = 'keeper ok, launcher ok, cache ok, provider main ok, '
  . "provider kms ok, provider typed ok\nt";
is($node->safe_psql('postgres', $ask), $all_is_well,
	'a role that has no other right');
my $locker = session($node, 'postgres');
$locker->run('BEGIN; SELECT FROM pgenvelope.key FOR UPDATE');
$locker->run('SELECT FROM pgenvelope.key_version FOR UPDATE');
is($node->safe_psql('postgres', $ask), $all_is_well,
	'rows of keys that are locked are read');
$locker->run('LOCK TABLE pgenvelope.key_version, pgenvelope.audit_log');
$took = elapsed(
	sub {
		is( $node->safe_psql('postgres', <<'END'),
SET ROLE probe;
SELECT component, name, status, message FROM pgenvelope.health()
WHERE status <> 'ok' OR component = 'provider';
SELECT pgenvelope.ready();
END
			"catalog||degraded|Its tables are locked by another session.\n"
			  . "audit||degraded|Its tables are locked by another session.\n"
			  . "provider|main|ok|\nprovider|kms|ok|\nprovider|typed|ok|\nf",
			'tables that are locked are told of');
	});
cmp_ok($took, '<', 5, 'and waited for a moment only');
$locker->run('ROLLBACK');
$locker->quit;
$node->safe_psql('postgres', <<'END');
ALTER TABLE pgenvelope.rewrap_job RENAME state TO lost;
END
like(
	state_of('catalog'),
	qr/^degraded: Its tables cannot be read: SQLSTATE 42703\.$/,
	'nor is a catalog that is not as it was an error');
$node->safe_psql('postgres', <<'END');
ALTER TABLE pgenvelope.rewrap_job RENAME lost TO state;
END
is($node->safe_psql('postgres', $ask), $all_is_well, 'all is well again');

# Whether the server is to be sent work, for a role that may do nothing
my $nobody = 'SET ROLE nobody; SELECT pgenvelope.ready()';
my $encrypt =
  q{SELECT env_encrypt('x', '{"tenant": "a", "type": "t"}', 'two')};

$node->safe_psql('postgres', 'SELECT pgenvelope.evict_key()');
my $calls = counter($node, 'seal_calls + unseal_calls');
$checks = $double->calls('check');
is($node->safe_psql('postgres', $nobody), 't', 'ready, as far as is known');
is(counter($node, 'seal_calls + unseal_calls'), $calls, 'nobody was asked');
$double->behave('unseal hang', 'check hang');
is_sqlstate($node, $encrypt, 'PE002', 'a key cannot be had');
is($node->safe_psql('postgres', $nobody), 'f', 'not ready');
is($double->calls('check'), $checks, 'nobody was asked for that');
$double->behave();
advance_clock($node, 16);
$node->poll_query_until('postgres', 'SELECT pgenvelope.ready()')
  or die 'the server is not ready again';
is($double->calls('check'), $checks + 1,
	'a provider that is back is noticed');
$node->safe_psql('postgres', $encrypt);
$double->behave('check denied', 'unseal denied');
like(health('name, status'), qr/^kms\|degraded$/m, 'a provider that fails');
is($node->safe_psql('postgres', $nobody), 't', 'with all its keys cached');

# A key that is in use and not refreshed when it should be
advance_clock($node, 260);
$node->safe_psql('postgres', $encrypt);
advance_clock($node, 60);
$node->poll_query_until('postgres',
	q{SELECT status = 'degraded' FROM pgenvelope.health() WHERE component = 'cache'})
  or die 'the cache is not degraded';
like(
	state_of('cache'),
	qr/^degraded: 1 keys could not be refreshed; the first can be used for \d+ s more\.$/,
	'a key that the provider no longer gives');
$double->behave();

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is(health('name, status', $standby),
	"main|ok\nkms|ok\ntyped|ok", 'a standby has its own');
done_testing();
