# 041_audit_log.pl: the audit's log, as chained and anchored.
#
# What is an entry, and who may touch it.  A crash between commit and anchor, a
# dump and a restore are no findings; a tail that was cut off, an older backup
# and a forged anchor are.  Other tampering is 042_audit_tamper.pl's.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use File::Copy ();
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;

my $entries = 30;
my $anchors = new_directory('anchors');
my $node = new_node('main', conf => <<"END");
pgenvelope.audit_anchor_directory = '$anchors'
pgenvelope.audit = off
END

# What is wrong, as "finding seq", and how many entries there are.
sub verify
{
	my ($database) = @_;

	return $node->safe_psql($database // 'postgres', <<'END');
SELECT string_agg(concat_ws(' ', finding, seq), ', ' ORDER BY finding, seq)
FROM pgenvelope.verify_audit()
END
}

# Does n acts, each in a transaction of its own.
sub act
{
	my ($n, $database) = @_;

	$node->safe_psql($database // 'postgres', <<"END");
DO \$\$ BEGIN
    FOR i IN 1..$n LOOP
        PERFORM pgenvelope.schedule_rotation('app', make_interval(days => i));
        COMMIT;
    END LOOP;
END \$\$
END
	return;
}

sub anchored
{
	my ($seq) = @_;

	return wait_until(
		sub {
			for my $file (glob "$anchors/*.anchor")
			{
				return 1 if slurp_file($file) =~ /^entry $seq$/m;
			}
			return 0;
		},
		"entry $seq is anchored");
}

# The key
is_sqlstate($node, "SELECT pgenvelope.create_audit_key(name => 'x\ny')",
	'22023', 'no name of a key');
is($node->safe_psql('postgres', "SELECT count(*) FROM pgenvelope.audit_log"),
	'0', 'without an audit key no act is chained');
$node->safe_psql('postgres', <<'END');
SELECT pgenvelope.create_key('app');
SELECT pgenvelope.create_audit_key();
SELECT pgenvelope.grant_key('audit', 'encrypt', current_user::regrole);
END
is_sqlstate($node, 'SELECT pgenvelope.create_audit_key(name => $$b$$)',
	'42710', 'a second audit key');
is_sqlstate($node, q(SELECT env_encrypt('x', '{}', 'audit')),
	'PE003', 'it encrypts nothing');
is(verify(), 'checked 2', 'the first entries');
is_sqlstate($node, <<'END', '0A000', 'no act is prepared');
BEGIN;
SELECT pgenvelope.schedule_rotation('app', '1 day');
PREPARE TRANSACTION 'p';
END
$node->safe_psql('postgres', <<'END');
BEGIN;
SELECT pgenvelope.schedule_rotation('app', '1 day');
SAVEPOINT s;
SELECT pgenvelope.schedule_rotation('app', '2 days');
ROLLBACK TO s;
SELECT pgenvelope.rotate_key('audit', rewrap => false);
ROLLBACK;
END
is(verify(), 'checked 2', 'what is rolled back is no entry');
$node->safe_psql('postgres', <<'END');
BEGIN;
SELECT pgenvelope.schedule_rotation('app', '1 day');
SAVEPOINT s;
SELECT pgenvelope.schedule_rotation('app', '2 days');
ROLLBACK TO s;
SELECT pgenvelope.rotate_key('audit', rewrap => false);
COMMIT;
END
is(verify(), 'checked 4', 'but for a savepoint, and by a rotated audit key');
$node->safe_psql('postgres', 'CREATE ROLE writer IN ROLE pg_write_all_data');
for my $sql (
	'DELETE FROM pgenvelope.audit_log',
	'TRUNCATE pgenvelope.audit_log',
	q(UPDATE pgenvelope.audit_log SET role = 'x'))
{
	is_sqlstate($node, "SET ROLE writer; $sql", '42501', "refused: $sql");
}
is_sqlstate($node, 'SET ROLE writer; SELECT * FROM pgenvelope.verify_audit()',
	'42501', 'nor may it verify');

act($entries - 4);
is(verify(), "checked $entries", "$entries entries");

# A tail that is deleted, and covered by further acts
$node->safe_psql('postgres', "DELETE FROM pgenvelope.audit_log WHERE seq > 9");
is( verify(),
	"behind $entries, checked 9",
	'a tail that is cut off');
act(1);
is( verify(),
	'checked ' . ($entries + 1) . ', missing 10',
	'shows after further acts, too');
is_sqlstate($node, q(SELECT pgenvelope.accept_restore('x')), '55000',
	'which is no restore');

# The database that the rest is about
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', <<'END');
CREATE EXTENSION pgenvelope;
SELECT pgenvelope.create_audit_key(); SELECT pgenvelope.create_key('app');
END
act(8, 'other');
anchored(10);

# Killed between commit and anchor
my $launcher = counter($node, 'launcher_pid', 'other');
kill('STOP', $launcher);
act(3, 'other');
my $pid = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/ && $1;
$node->kill9;
kill_process($launcher);
start_killed_server($node, $pid);
is(verify('other'), 'checked 13', 'a crash before the anchor is written');
ok((grep { slurp_file($_) =~ /^entry 10$/m } glob "$anchors/*.anchor"),
	'which lags');
act(1, 'other');
is(verify('other'), 'checked 14', 'the chain goes on');
anchored(14);

# A dump and a restore
my $dump = "$anchors/dump.sql";
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('other') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-qXv', 'ON_ERROR_STOP=1', '-f', $dump,
		$node->connstr('restored') ],
	'restore');
is(verify('restored'), 'checked 14, no_anchor 0',
	'a dump that is restored is whole');
act(1, 'restored');
is(verify('restored'), 'checked 15', 'and has an anchor by the next act');

# The data directory of before, where the anchors are elsewhere
$node->stop;
my $backup = $node->basedir . '/earlier';
PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $backup);
$node->start;
act(5, 'other');
anchored(19);
$node->stop;
File::Path::rmtree($node->data_dir);
PostgreSQL::Test::RecursiveCopy::copypath($backup, $node->data_dir);
chmod 0700, $node->data_dir;
$node->start;
is(verify('other'), 'behind 19, checked 14',
	'a server that was set back is behind its anchor');
act(1, 'other');
is(verify('other'), 'checked 20, missing 15', 'after further acts, too');
$node->stop;
File::Path::rmtree($node->data_dir);
PostgreSQL::Test::RecursiveCopy::copypath($backup, $node->data_dir);
chmod 0700, $node->data_dir;
$node->start;
is( $node->safe_psql('other',
		"SELECT pgenvelope.accept_restore('disk lost')"),
	'6', 'the restore is accepted');
is(verify('other'), 'accepted 15, checked 21', 'and said to be');
act(1, 'other');
is(verify('other'), 'accepted 15, checked 22', 'for good');
anchored(22);

# Anchors that are forged
my ($anchor) = grep { slurp_file($_) =~ /^entry 22$/m } glob "$anchors/*.anchor";
my $text = slurp_file($anchor);
$node->safe_psql('other', 'DELETE FROM pgenvelope.audit_log WHERE seq = 22');
for my $forged ($text =~ s/entry 22/entry 21/r, 'nonsense', '')
{
	$node->stop;
	write_file($anchor, $forged);
	$node->start;
	like(verify('other'), qr/^accepted 15, anchor \d+/, 'a forged anchor');
}

done_testing();
