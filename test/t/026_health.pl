# 026_health.pl: env_health, on a primary and a standby.
#
# What it says of each provider is what is so at the moment: reachable or the
# category of the failure, the root key, how long it took, when its credential
# expires; the last error outlives its cause.  It costs no seal and no unseal,
# and is for members of pg_monitor.
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

	return ($on // $node)->safe_psql('postgres',
		"SELECT $columns FROM env_health() WHERE component = 'provider'");
}

$node->safe_psql('postgres', <<'END');
SELECT env_create_key('one', 'main');
SELECT env_create_key('two', 'kms');
END
my $seals = counter($node, 'seal_calls + unseal_calls');

is( $node->safe_psql('postgres', <<'END'),
SELECT component, name, status, message FROM env_health()
END
	"keeper||ok|\nprovider|main|ok|\nprovider|kms|ok|\nprovider|typed|ok|",
	'all is well; what is for another database is not listed');
is( $node->safe_psql('postgres', <<'END'),
SELECT count(*) FROM env_health() h JOIN pgenvelope.keys k
ON h.name = k.provider AND h.root_key = k.root_key AND h.latency_ms >= 0
END
	'2', 'with the root keys that keys are sealed by');
is(counter($node, 'seal_calls + unseal_calls'), $seals, 'nothing is sealed');

$double->behave('check fields - 1795600000');
is( $node->safe_psql('postgres', <<'END'),
SELECT root_key IS NULL, credential_expires = to_timestamp(1795600000)
FROM env_health() WHERE name = 'kms'
END
	't|t', 'a credential that expires');

$double->behave('check denied');
is(health('name, status, message, latency_ms IS NULL'),
	"main|ok||f\nkms|denied|The provider denied the request.|t\ntyped|ok||f",
	'one that is denied does not keep others from being told of');
$double->behave('check hang');
is(health('name, status, message'),
	"main|ok|\nkms|unavailable|The provider did not answer in time.\ntyped|ok|",
	'nor one that hangs');
$double->behave('check rubbish');
like(health('name, status'), qr/^kms\|unavailable$/m, 'nor one that is broken');
$double->behave();

my $bytes = slurp_file($root_key);
unlink $root_key or die "$root_key: $!";
like(health('name, status'), qr/^main\|not_found$/m, 'a file that is missing');
write_file($root_key, "not a key\n");
like(health('name, status'), qr/^main\|misconfigured$/m, 'or holds no key');
write_file($root_key, $bytes);
like(
	health('name, status, last_error, last_error_at <= now()'),
	qr/^main\|ok\|misconfigured: The root key's file does not hold the base64 of exactly 32 bytes\.\|t$/m,
	'the last error is known when it is mended');
like(health('name, last_error IS NULL'), qr/^typed\|t$/m,
	'who had none has none');

set_providers($node, "main=file://$root_key");
like(
	health('name, status, message'),
	qr/^kms\|misconfigured\|The setting pgenvelope\.providers lists no such provider for this database\.$/m,
	'a provider that is needed and not listed');
set_providers($node, $providers);

$node->safe_psql('postgres', <<'END');
CREATE ROLE monitor IN ROLE pg_monitor;
CREATE ROLE nobody;
END
is( $node->safe_psql('postgres', <<'END'),
SET ROLE monitor;
SELECT count(*) FROM env_health() WHERE status = 'ok';
END
	'4', 'a member of pg_monitor may ask');
is_sqlstate($node, 'SET ROLE nobody; SELECT env_health()',
	'42501', 'others may not');

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is(health('name, status', $standby),
	"main|ok\nkms|ok\ntyped|ok", 'a standby has its own');
done_testing();
