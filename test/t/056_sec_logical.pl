# 056_sec_logical.pl: key tables that arrive by logical replication.  What it
# applies fires no statement triggers; sessions hear of it all the same, and
# nobody writes by way of it who may not.
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

$PgEnvelope::rewrap_workers = 0;

my $node = new_node('main', init => { allows_streaming => 'logical' });

# Both ends are in one server, so the slot is made apart.
$node->safe_psql('postgres', <<'END');
CREATE ROLE app LOGIN;
CREATE DATABASE subscriber;
SELECT pgenvelope.create_key('one', NULL, '{}');
CREATE PUBLICATION keys FOR ALL TABLES;
SELECT pg_create_logical_replication_slot('keys', 'pgoutput');
END
$node->safe_psql('subscriber', 'CREATE EXTENSION pgenvelope');
my $connection = $node->connstr('postgres') =~ s/'/''/gr;
$node->safe_psql('subscriber', <<"END");
CREATE SUBSCRIPTION keys CONNECTION '$connection' PUBLICATION keys
    WITH (create_slot = false);
END
$node->wait_for_subscription_sync($node, 'keys', 'subscriber');

my $app = session($node, 'subscriber');
$app->value('SET ROLE app');
my $seal = q(SELECT env_encrypt('x', '{}', 'one') IS NOT NULL);

is($app->sqlstate($seal), '42501', 'no grant');
$node->safe_psql('postgres', q(SELECT pgenvelope.grant_key('one', 'encrypt', 'app')));
$node->wait_for_catchup('keys');
is($app->value($seal), 't', 'a grant has come');
$node->safe_psql('postgres', q(SELECT pgenvelope.revoke_key('one', 'encrypt', 'app')));
$node->wait_for_catchup('keys');
is($app->sqlstate($seal), '42501', 'a session hears that it was revoked');
my $version = $app->value(
	q(RESET ROLE; SELECT env_key_version(env_encrypt('x', '{}', 'one'))));
is($version, 1, 'version 1');
$node->safe_psql('postgres', q(SELECT pgenvelope.rotate_key('one')));
$node->wait_for_catchup('keys');
is( $app->value(q(SELECT env_key_version(env_encrypt('x', '{}', 'one')))),
	2, 'a session hears of a rotation');

# Jobs and proofs of the publisher are no business of the subscriber's.
$node->safe_psql('postgres', <<'END');
INSERT INTO pgenvelope.rewrap_job (kind, key_id, target_version, state)
SELECT 'rewrap', key_id, 1, 'cancelled' FROM pgenvelope.key;
INSERT INTO pgenvelope.key_proof
SELECT key_id, 1, now(), '0/1', 0, 0 FROM pgenvelope.key
ON CONFLICT DO NOTHING;
END
$node->wait_for_catchup('keys');
is( $node->safe_psql(
		'subscriber',
		'SELECT (SELECT count(*) FROM pgenvelope.rewrap_job),
			(SELECT count(*) FROM pgenvelope.key_proof)'),
	'0|0', 'jobs and proofs of another server are passed over');

# Who applies must own the tables, as everybody else who writes.  Only row
# triggers that fire always are left, as if an apply worker wrote.
$node->safe_psql('subscriber', 'ALTER SUBSCRIPTION keys DISABLE');
$node->safe_psql('subscriber', <<'END');
ALTER TABLE pgenvelope.key_grant DISABLE TRIGGER guard;
GRANT pg_write_all_data TO app;
END
my $id = $node->safe_psql('subscriber', 'SELECT key_id FROM pgenvelope.key');
is_sqlstate(
	$node, qq(SET ROLE app;
	INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
	VALUES ($id, 'decrypt', 'app')),
	'42501', 'refused by the row trigger', database => 'subscriber');

$node->safe_psql('subscriber',
	'ALTER SUBSCRIPTION keys SET (slot_name = NONE); DROP SUBSCRIPTION keys');

done_testing();
