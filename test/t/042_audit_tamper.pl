# 042_audit_tamper.pl: whoever may do everything with the audit's tables is
# found out, and where.
#
# A superuser drops the constraints and disables the triggers, and then edits,
# deletes, moves, cuts off, repeats and forges entries, each time another way;
# also with entries that another database has signed.  After each,
# pgenvelope.verify_audit must find what was done, at the entries where it was done
# and at no others: that is worked out here by comparing the table with a copy
# of it.  Then the table is restored, and nothing is found.
#
# PGENVELOPE_SOAK: that many tamperings, with 10,000 entries.  PGENVELOPE_SEED
# repeats a run.
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

my $entries = $ENV{PGENVELOPE_SOAK} ? 10_000 : 300;
my $rounds = $ENV{PGENVELOPE_SOAK} || 0;
my $seed = $ENV{PGENVELOPE_SEED} || time % 1_000_000;
my $foreign = 40;    # entries of another audit key
my $log = 'pgenvelope.audit_log';
my $node = new_node('main', conf => "pgenvelope.audit = off\n");

srand $seed;
note("PGENVELOPE_SEED=$seed");

# A number from $first, or 1, to $last.
sub any
{
	my ($last, $first) = @_;

	$first //= 1;
	return $first + int rand($last - $first + 1);
}

# Acts of several kinds, each in a transaction of its own, until the log of a
# database has so many entries.
sub act_until
{
	my ($last, $database) = @_;

	$node->safe_psql($database // 'postgres', <<"END");
DO \$\$
DECLARE
    n bigint := $last - coalesce(max(seq), 0) FROM $log;
BEGIN
    FOR i IN 1..n LOOP
        PERFORM set_config('pgenvelope.trace_id',
            CASE i % 4 WHEN 0 THEN 'trace ' || i ELSE '' END, false);
        CASE i % 3
        WHEN 0 THEN PERFORM pgenvelope.schedule_rotation('app',
            make_interval(days => i));
        WHEN 1 THEN PERFORM pgenvelope.grant_key('app', 'decrypt', 'clerk',
            jsonb_build_object('tenant', format('of %s, %s', $last, i)));
        WHEN 2 THEN PERFORM pgenvelope.revoke_key('app', 'decrypt', 'clerk',
            jsonb_build_object('tenant', format('of %s, %s', $last, i - 1)));
        END CASE;
        COMMIT;
    END LOOP;
END \$\$
END
	return;
}

# ---------------------------------------------------------------------------
# The log, and others that another database signs
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', <<'END');
CREATE ROLE clerk;
SELECT pgenvelope.create_key('app', required_context => '{"tenant": null}');
SELECT pgenvelope.create_audit_key();
END

# Who holds "audit" on the audit key may verify.
$node->safe_psql('postgres', <<'END');
CREATE ROLE auditor;
GRANT EXECUTE ON FUNCTION pgenvelope.verify_audit() TO auditor;
END
my $verify = 'SET ROLE auditor; SELECT finding, seq FROM pgenvelope.verify_audit()';
is_sqlstate($node, $verify, '42501', 'who holds nothing verifies nothing');
$node->safe_psql('postgres', "SELECT pgenvelope.grant_key('audit', 'audit', 'auditor')");
is($node->safe_psql('postgres', $verify), 'checked|2', 'an auditor does');
act_until($entries / 2);
$node->safe_psql('postgres', "SELECT pgenvelope.rotate_key('audit', rewrap => false)");
act_until($entries);
is($node->safe_psql('postgres', "SELECT max(seq), count(*) FROM $log"),
	"$entries|$entries", "$entries entries");

# Copies of the database that go their own ways, from an entry in the middle
# and from the last, signed by the same audit key; and a database with an audit
# key of its own.
my $fork = any($entries - 20, 10);
$node->safe_psql('postgres', 'CREATE DATABASE middle TEMPLATE postgres');
$node->safe_psql('middle', "DELETE FROM $log WHERE seq > $fork");
act_until($fork + 3, 'middle');
$node->safe_psql('postgres', 'CREATE DATABASE longer TEMPLATE postgres');
act_until($entries + 2, 'longer');
$node->safe_psql('postgres', 'CREATE DATABASE theirs');
$node->safe_psql('theirs', <<'END');
CREATE EXTENSION pgenvelope;
SELECT pgenvelope.create_key('app', required_context => '{"tenant": null}');
SELECT pgenvelope.create_audit_key(name => 'theirs');
END
act_until($foreign, 'theirs');

# From here on everything is allowed.
$node->safe_psql('postgres', <<"END");
CREATE TABLE original AS TABLE $log;
CREATE TABLE tampered (kind text, expected text, found text, clean text);
ALTER TABLE $log DISABLE TRIGGER ALL,
    DROP CONSTRAINT audit_log_pkey, DROP CONSTRAINT audit_log_seq_check,
    ALTER seq DROP NOT NULL, ALTER at DROP NOT NULL,
    ALTER detail DROP NOT NULL, ALTER mac DROP NOT NULL;
DROP INDEX pgenvelope.key_audit;
CREATE INDEX key_audit ON pgenvelope.key (purpose) WHERE purpose = 'audit';
ALTER TABLE pgenvelope.key DISABLE TRIGGER ALL;
ALTER TABLE pgenvelope.key_version DISABLE TRIGGER ALL;
END
my $copies = new_directory('copies');
for my $database ('middle', 'longer', 'theirs')
{
	for my $table ('key', 'key_version', 'audit_log')
	{
		$node->safe_psql($database,
			"COPY pgenvelope.$table TO '$copies/$database.$table'");
		$node->safe_psql('postgres', <<"END");
CREATE TABLE ${database}_$table (LIKE pgenvelope.$table);
COPY ${database}_$table FROM '$copies/$database.$table';
END
	}
}

# What ought to be found, and what is: "wrong" is an entry that does not have
# its MAC, for whatever reason.
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION expected() RETURNS text LANGUAGE sql AS $$
WITH mac(none) AS (SELECT decode(repeat('00', 32), 'hex')),
t AS (
    SELECT seq, CASE octet_length(mac) WHEN 32 THEN mac ELSE none END AS mac,
        CASE octet_length(previous) WHEN 32 THEN previous ELSE none END
            AS previous, count(*) OVER (PARTITION BY seq) > 1 AS repeated
    FROM pgenvelope.audit_log, mac WHERE seq > 0
), s AS (
    SELECT t.*, lag(seq, 1, 0::bigint) OVER w AS prior_seq,
        lag(mac, 1, none) OVER w AS prior_mac,
        lag(repeated, 1, false) OVER w AS prior_repeated
    FROM t, mac WINDOW w AS (ORDER BY seq)
), last AS (SELECT seq, mac FROM original ORDER BY seq DESC LIMIT 1),
finding(what, seq) AS (
    SELECT 'wrong', coalesce(seq, 0) FROM (
        TABLE pgenvelope.audit_log EXCEPT TABLE original) AS other
    UNION SELECT 'missing', prior_seq + 1 FROM s WHERE seq > prior_seq + 1
    UNION SELECT 'broken', seq FROM s WHERE seq = prior_seq + 1
        AND previous <> prior_mac AND NOT prior_repeated
    UNION SELECT 'repeated', seq FROM s WHERE repeated
    UNION SELECT 'replaced', seq FROM s JOIN last USING (seq)
        WHERE s.mac <> last.mac
    UNION SELECT 'missing', seq FROM last
        WHERE seq NOT IN (SELECT seq FROM t) AND seq < (SELECT max(seq) FROM t)
    UNION SELECT 'behind', seq FROM last
        WHERE seq > (SELECT coalesce(max(seq), 0) FROM t)
    UNION SELECT 'ahead', seq + 1 FROM last
        WHERE seq < (SELECT max(seq) FROM t)
)
SELECT string_agg(what || ' ' || seq, ', ' ORDER BY what, seq) FROM finding
$$;
CREATE FUNCTION found() RETURNS text LANGUAGE sql AS $$
SELECT string_agg(what || ' ' || seq, ', ' ORDER BY what, seq) FROM (
    SELECT DISTINCT CASE WHEN finding IN ('altered', 'reordered',
        'unverifiable') THEN 'wrong' ELSE finding END AS what, seq
    FROM pgenvelope.verify_audit() WHERE NOT ok) AS finding
$$;
CREATE PROCEDURE restore() LANGUAGE sql AS $$
DELETE FROM pgenvelope.key_version WHERE key_id IN (
    SELECT key_id FROM theirs_key);
DELETE FROM pgenvelope.key WHERE key_id IN (SELECT key_id FROM theirs_key);
TRUNCATE pgenvelope.audit_log;
INSERT INTO pgenvelope.audit_log TABLE original;
$$;
END

# ---------------------------------------------------------------------------
# Ways of tampering, by all rights on the log
# ---------------------------------------------------------------------------

sub edit
{
	my ($column, $value, $condition) = @_;

	$condition //= 'seq = ' . any($entries);
	return "UPDATE $log SET $column = $value WHERE $condition";
}

# Puts in an entry with the columns of another one.
sub forge
{
	my ($seq, $from, $macs) = @_;

	return <<"END";
INSERT INTO $log
SELECT $seq, at, act, key_id, key, version, detail, role, session_role,
    authenticated_role, client, trace_id, audit_key_id, audit_version, $macs
FROM original WHERE seq = $from
END
}

# Gives some columns of two entries to each other.
sub exchange
{
	my ($n, $m, @columns) = @_;
	my $assignments = join ', ', map { "$_ = b.$_" } @columns;

	return <<"END";
UPDATE $log a SET $assignments FROM original b
WHERE a.seq IN ($n, $m) AND b.seq = $n + $m - a.seq
END
}

# Some other number than $n.
sub another
{
	my ($n) = @_;

	return 1 + ($n - 1 + any($entries - 1)) % $entries;
}

my %edits = (
	at => "at + '1 us'",
	act => q(act || ' '),
	key_id => 'coalesce(key_id, 0) + 1',
	key => q(coalesce(key, '') || 'x'),
	version => 'coalesce(version, 0) + 1',
	detail => q(detail || '{"grantee": "nobody"}'),
	role => q('nobody'),
	session_role => q('nobody'),
	authenticated_role => q('nobody'),
	client => q(coalesce(client, '') || '10.0.0.1'),
	trace_id => q(coalesce(trace_id, '') || 'x'),
	audit_key_id => 'audit_key_id + 1',
	audit_version => '3 - audit_version',
	previous => 'set_byte(previous, 5, 255 - get_byte(previous, 5))',
	mac => 'set_byte(mac, 31, 255 - get_byte(mac, 31))');
my %kinds = (
	(
		map {
			my $column = $_;
			("edit: $column" => sub { edit($column, $edits{$column}) })
		} keys %edits),
	'edit: null to empty' => sub { edit('client', q('')) },
	'edit: at infinity' => sub { edit('at', q('infinity')) },
	'edit: detail to null' => sub { edit('detail', 'NULL') },
	'edit: mac of no length' => sub { edit('mac', q('')) },
	'edit: mac to null' => sub { edit('mac', 'NULL') },
	'edit: a tenth' =>
	  sub { edit('role', q('nobody'), 'seq % 10 = ' . any(9)) },
	'edit: all' => sub { edit('session_role', q('nobody'), 'true') },
	'edit: with a MAC that is made up' =>
	  sub { edit('role', q('nobody', mac = sha256(mac))) },
	'delete: one' => sub { "DELETE FROM $log WHERE seq = " . any($entries - 1) },
	'delete: the first' => sub { "DELETE FROM $log WHERE seq <= " . any(5) },
	'delete: the last' => sub { "DELETE FROM $log WHERE seq = $entries" },
	'delete: a tenth' => sub { "DELETE FROM $log WHERE seq % 10 = " . any(9) },
	'delete: a range' => sub {
		my $n = any($entries - 30);
		"DELETE FROM $log WHERE seq BETWEEN $n AND $n + " . any(25);
	},
	'delete: all' => sub { "DELETE FROM $log" },
	'truncate: the table' => sub { "TRUNCATE $log" },
	'truncate: a tail' =>
	  sub { "DELETE FROM $log WHERE seq > " . any($entries - 1) },
	'truncate: to an older copy' => sub {
		my $n = any($entries - 1);
		"TRUNCATE $log; INSERT INTO $log SELECT * FROM original WHERE seq <= $n";
	},
	'reorder: two' => sub {
		my $n = any($entries);
		my $m = another($n);
		"UPDATE $log SET seq = $n + $m - seq WHERE seq IN ($n, $m)";
	},
	'reorder: neighbours' => sub {
		my $n = any($entries - 1);
		"UPDATE $log SET seq = 2 * $n + 1 - seq WHERE seq IN ($n, $n + 1)";
	},
	'reorder: contents of two' => sub {
		my $n = any($entries);
		exchange($n, another($n), 'at', 'act', 'detail', 'trace_id');
	},
	'reorder: MACs of two' => sub {
		my $n = any($entries);
		exchange($n, another($n), 'previous', 'mac');
	},
	'reorder: ten, backwards' => sub {
		my $n = any($entries - 9);
		"UPDATE $log SET seq = 2 * $n + 9 - seq WHERE seq BETWEEN $n AND $n + 9";
	},
	'reorder: one, to the end' =>
	  sub { edit('seq', $entries + any(3)) },
	'reorder: close a gap' => sub {
		my $n = any($entries - 1, 2);
		<<"END";
DELETE FROM $log WHERE seq = $n;
UPDATE $log SET seq = seq - 1 WHERE seq > $n;
UPDATE $log SET previous = (SELECT mac FROM $log WHERE seq = $n - 1)
WHERE seq = $n
END
	},
	'forge: at the end' =>
	  sub { forge($entries + 1, $entries, 'mac, sha256(mac)') },
	'forge: at the last number' =>
	  sub { forge('9223372036854775807', $entries, 'mac, sha256(mac)') },
	'forge: an older entry at the end' =>
	  sub { forge($entries + 1, any($entries), 'previous, mac') },
	'forge: with an older MAC' => sub {
		my $n = any($entries);
		forge($entries + 1, $entries,
			"mac, (SELECT mac FROM original WHERE seq = $n)");
	},
	'forge: an entry twice' => sub {
		my $n = any($entries);
		forge($n, $n, 'previous, mac');
	},
	'forge: a number twice' => sub {
		my $n = any($entries);
		forge($n, $n, 'previous, sha256(mac)');
	},
	'forge: without a number' => sub {
		forge(('NULL', '0', '-5')[ any(3) - 1 ], any($entries),
			'previous, mac');
	},
	'forge: a tail' => sub {
		my $n = any($entries - 1);
		<<"END";
DELETE FROM $log WHERE seq > $n;
INSERT INTO $log
SELECT s, now(), 'evict_key', NULL, NULL, NULL, '{}', role, session_role,
    authenticated_role, client, trace_id, audit_key_id, audit_version,
    CASE s WHEN $n + 1 THEN mac ELSE sha256(text(s - 1)::bytea) END,
    sha256(text(s)::bytea)
FROM original, generate_series($n + 1, $entries + 1) AS s
WHERE seq = $n
END
	},
	'forge: all, with one MAC' => sub {
		edit('role', q('nobody', previous = sha256('x'), mac = sha256('x')),
			'true');
	},
	'forge: by an audit key that is not known' => sub {
		my $n = any($foreign - 1, 2);
		<<"END";
DELETE FROM $log WHERE seq = $n;
INSERT INTO $log SELECT * FROM theirs_audit_log WHERE seq = $n
END
	});

# ---------------------------------------------------------------------------
# Entries with the right MACs, by all rights on another database
# ---------------------------------------------------------------------------

# Only their neighbours and the anchor tell of them: so what is to be found is
# said here, before the tampering.
my $their_key = <<"END";
INSERT INTO pgenvelope.key SELECT * FROM theirs_key WHERE purpose = 'audit';
INSERT INTO pgenvelope.key_version SELECT v.* FROM theirs_key_version v
    JOIN theirs_key USING (key_id) WHERE purpose = 'audit';
END
my %signed = (
	'sign elsewhere: one' => sub {
		my $n = any($foreign - 1, 2);
		return ("broken $n, broken " . ($n + 1), <<"END");
$their_key
DELETE FROM $log WHERE seq = $n;
INSERT INTO $log SELECT * FROM theirs_audit_log WHERE seq = $n
END
	},
	'sign elsewhere: the beginning' => sub {
		return ('broken ' . ($foreign + 1), <<"END");
$their_key
DELETE FROM $log WHERE seq <= $foreign;
INSERT INTO $log SELECT * FROM theirs_audit_log
END
	},
	'sign elsewhere: all' => sub {
		return ("behind $entries", <<"END");
$their_key
TRUNCATE $log;
INSERT INTO $log SELECT * FROM theirs_audit_log
END
	},
	'sign in a copy: some' => sub {
		return ('broken ' . ($fork + 4), <<"END");
DELETE FROM $log WHERE seq BETWEEN $fork + 1 AND $fork + 3;
INSERT INTO $log SELECT * FROM middle_audit_log WHERE seq > $fork
END
	},
	'sign in a copy: a tail' => sub {
		return ("behind $entries",
			"TRUNCATE $log; INSERT INTO $log TABLE middle_audit_log");
	},
	'sign in a copy: at the end' => sub {
		return (
			'ahead ' . ($entries + 1),
			"TRUNCATE $log; INSERT INTO $log TABLE longer_audit_log");
	});

# ---------------------------------------------------------------------------
# Each kind once, then whichever
# ---------------------------------------------------------------------------

sub shuffled
{
	my @list = @_;

	for my $i (reverse 1 .. $#list)
	{
		my $j = int rand($i + 1);
		@list[ $i, $j ] = @list[ $j, $i ];
	}
	return @list;
}

my @kinds = sort(keys %kinds, keys %signed);
my @order = shuffled(@kinds);
push @order, $kinds[ any(scalar @kinds) - 1 ] while @order < $rounds;


is($node->safe_psql('postgres', 'SELECT found()'),
	'', 'nothing is found before');
my $script = '';
for my $kind (@order)
{
	my ($expected, $sql) =
	  $signed{$kind}
	  ? $signed{$kind}->()
	  : (undef, $kinds{$kind}->());
	$expected = defined $expected ? "'$expected'" : 'expected()';

	# Keys that came without the triggers that tell of them are known to a new
	# session.
	my $connect = $sql =~ /theirs/ ? '\connect -' : '';
	$script .= <<"END";
$sql;
$connect
INSERT INTO tampered SELECT '$kind', $expected, found();
CALL restore();
$connect
UPDATE tampered SET clean = coalesce(found(), 'yes') WHERE clean IS NULL;
END
}
my $seconds = elapsed(sub { $node->safe_psql('postgres', $script); });
my $verified =
  elapsed(sub { $node->safe_psql('postgres', 'SELECT found()') for 1 .. 5; });
note(sprintf '%d tamperings with %d entries: %.1f s; a verification: %.0f ms',
	scalar @order, $entries, $seconds, $verified / 5 * 1000);
note($node->safe_psql('postgres', <<'END'));
SELECT format('%-42s tried %2s, found %2s, where it is %2s', kind, count(*),
    count(found), count(*) FILTER (WHERE found = expected))
FROM tampered GROUP BY kind ORDER BY kind
END
is($node->safe_psql('postgres', 'SELECT count(found) FROM tampered'),
	@order . '', 'each is found');
is( $node->safe_psql('postgres', <<'END'), '', 'where it is, and nowhere else');
SELECT kind, left(expected, 200), left(found, 200) FROM tampered
WHERE found IS DISTINCT FROM expected
END
is($node->safe_psql('postgres', <<'END'), '', 'nothing once it is undone');
SELECT kind, left(clean, 200) FROM tampered WHERE clean <> 'yes'
END

# A superuser who cuts off the tail may accept it: that is on record.
my $cut = any($entries - 1);
$node->safe_psql('postgres', <<"END");
DELETE FROM $log WHERE seq > $cut;
SELECT pgenvelope.accept_restore('disk lost');
END
is( $node->safe_psql('postgres', <<'END'),
SELECT finding || ' ' || seq FROM pgenvelope.verify_audit() WHERE finding <> 'checked'
END
	'accepted ' . ($cut + 1),
	'what is accepted is told of');

# Nothing is ahead while acts are being committed.
my $session = session($node);
$session->start(<<'END');
BEGIN;
SELECT pgenvelope.schedule_rotation('app', '1 day');
SELECT found();
COMMIT;
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        PERFORM pgenvelope.schedule_rotation('app', make_interval(days => i));
        COMMIT;
    END LOOP;
END $$
END
my $looks = 0;
my $findings = '';
while ($session->waiting)
{
	$looks++;
	$findings .= $node->safe_psql('postgres', 'SELECT found()');
}
is(join('', map { s/\s//gr } ($session->finish)[0]), '', 'nor by who acts');
is($findings, '', "nothing is found while acts are committed");
note("$looks verifications meanwhile");

done_testing();
