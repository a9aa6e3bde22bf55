# 011_vectors.pl: the vectors of test/vectors, through SQL.
#
# From the root key to the plaintext as a server does it: root keys in files,
# key rows as a restore writes them.  Each good vector gives what it says, in
# text and binary; each bad one the SQLSTATE of its class.  And the other way
# round: what SQL encrypted is opened by the decoder in Python and by a JOSE
# library, neither of which knows more than the root key.
#
# Not here: the vectors of gcm/, wrap/ and key/, which SQL has no functions
# for, and seals by a passphrase, of which each takes half a second; the unit
# tests run them.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use MIME::Base64 qw(decode_base64url encode_base64url);
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What SQL makes of the word of a refusal: as text, as COPY BINARY.
my %text_sqlstate = (
	ok => '00000',
	malformed => '22P02',
	unsupported => '22P02',
	authentication => 'PE004');
my %binary_sqlstate =
  (%text_sqlstate, malformed => '22P03', unsupported => '22P03');
my %walk_sqlstate = (ok => '00000', integrity => 'PE006');

# Contexts that jsonb refuses or changes before they are contexts.
my %jsonb_context = (
	bad_lone_high_surrogate => '22P02',
	bad_lone_low_surrogate => '22P02',
	bad_lone_surrogate_name => '22P02',
	bad_swapped_surrogates => '22P02',
	bad_not_json => '22P02',
	bad_nothing => '22P02',
	bad_two_values => '22P02',
	good_nul => '22P05',
	(map { ("bad_utf8_$_" => '22021') }
		  qw(beyond byte continuation latin1 name overlong overlong_3
		  overlong_4 surrogate truncated)),
	bad_duplicate => '{"a":3,"b":2}',
	bad_duplicate_astral => "{\"\xf0\x9f\x98\x80\":2}",
	bad_duplicate_empty => '{"":2}',
	bad_duplicate_escaped => '{"a":2}',
	bad_duplicate_same_value => '{"a":1}');
my %jsonb_jwe = (
	bad_json_duplicate => '00000',
	bad_json_duplicate_header => '00000',
	bad_json_not_json => '22P02',
	bad_json_nothing => '22P02',
	bad_json_two => '22P02');

my $vectors = source_directory() . '/test/vectors';
my %ran;

# The vectors of a directory, each with its body and name.
sub vectors_of
{
	my ($directory) = @_;
	my @all;

	for my $path (sort glob "$vectors/$directory/{good,bad}_*")
	{
		my ($header, $body) = split /\n\n/, slurp_file($path), 2;
		my %vector = (body => $body, name => $path =~ s{.*/}{}r);

		chomp $header;
		for my $line (split /\n/, $header)
		{
			my ($key, $value) = $line =~ /^(\w+): ?(.*)$/s
			  or die "$path: $line";
			$vector{$key} = $value;
		}
		push @all, \%vector;
	}
	$ran{$directory} = @all;
	return @all;
}

# Any text as a literal; no vector that is given as text has this in it.
sub literal
{
	my ($text) = @_;

	die 'quote it otherwise' if $text =~ /\$v\$|\0/;
	return "\$v\$$text\$v\$";
}

# ---------------------------------------------------------------------------
# The server, with the root keys of all vectors
# ---------------------------------------------------------------------------

my (%provider, @providers, $root_file);

for my $vector (vectors_of('envelope'), vectors_of('root'))
{
	next if ($vector->{provider} // 'file') ne 'file';
	my $root_key = $vector->{root_key};

	next if exists $provider{$root_key};
	$provider{$root_key} = 'root' . @providers;
	my $path = new_key_file(pack('H*', $root_key));
	push @providers, "$provider{$root_key}=file://$path";
	$root_file //= $path;
}
my $node = new_node(
	'main',
	providers => join(', ', @providers),
	init => { extra => [ '--encoding=UTF8', '--no-locale' ] });
my $session = session($node);
my %held;

$session->value('SET client_min_messages = warning');

# Writes key rows as a restore does, unless they are there already: the key of
# this id has this name and this version only.
sub hold
{
	my ($id_hex, $version, $name, $provider, $sealed, $kcv) = @_;
	my $id = unpack('Q>', pack('H16', "0000$id_hex"));
	my $rows = join ' ', $version, $name, $provider, $sealed, $kcv;
	my ($sealed_hex, $literal) = (unpack('H*', $sealed), literal($name));

	return if ($held{$id} // '') eq $rows;
	$session->value(<<"END");
BEGIN;
UPDATE pgenvelope.key SET name = 'other ' || key_id
WHERE name = $literal AND key_id <> $id;
INSERT INTO pgenvelope.key (key_id, name, required_context)
VALUES ($id, $literal, '{}')
ON CONFLICT (key_id) DO UPDATE SET name = excluded.name;
DELETE FROM pgenvelope.key_version WHERE key_id = $id;
INSERT INTO pgenvelope.key_version
    (key_id, version, state, provider, sealed_kek, kcv)
VALUES ($id, $version, 'active', '$provider', '\\x$sealed_hex', '\\x$kcv');
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
SELECT $id, p, current_user::regrole
FROM unnest(ARRAY['encrypt', 'decrypt', 'rewrap']) p
ON CONFLICT DO NOTHING;
COMMIT
END
	%held = ($id => $rows);
	return;
}

sub hold_for
{
	my ($vector) = @_;

	hold(
		$vector->{value_key_id} // $vector->{key_id},
		$vector->{value_key_version} // $vector->{key_version},
		$vector->{key_name},
		$provider{ $vector->{root_key} },
		$vector->{sealed_kek},
		$vector->{kcv});
	return;
}

# Runs statements that each give this output, or fail with this SQLSTATE.
sub gives
{
	my ($test, $expected, @statements) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @wrong;

	for my $sql (@statements)
	{
		my ($out, $sqlstate, $message) = $session->run($sql);
		my $got = $sqlstate eq '00000' ? $out : $sqlstate;

		push @wrong, "$got $message from $sql" if $got ne $expected;
	}
	is_deeply(\@wrong, [], $test);
	return;
}

# ---------------------------------------------------------------------------
# envelope/
# ---------------------------------------------------------------------------

my $copy = new_directory('copy') . '/file';

# The value's bytes, undef if the text form does not say.
sub bytes_of
{
	my ($text) = @_;
	my ($digits) = $text =~ /\Aenv1\.([A-Za-z0-9_-]*)\z/ or return;
	my $bytes = decode_base64url($digits);

	return encode_base64url($bytes) eq $digits ? $bytes : undef;
}

# A file of COPY BINARY with one row and column.
sub binary_file
{
	my ($bytes) = @_;

	return pack 'a11 N N n N/a* n', "PGCOPY\n\377\r\n\0", 0, 0, 1, $bytes,
	  0xffff;
}

$session->value('CREATE TABLE value (v envelope)');
for my $vector (vectors_of('envelope'))
{
	my ($name, $expect) = ("envelope/$vector->{name}", $vector->{expect});
	my $value = literal($vector->{body}) . '::envelope';
	my $context = literal($vector->{context} // '{}');
	my $bytes = bytes_of($vector->{body});
	my $walk = $vector->{walk};

	die "$name: $expect" if !exists $text_sqlstate{$expect};
	hold_for($vector) if $expect =~ /^(ok|authentication)$/;
	if (defined $walk)
	{
		gives($name, $walk_sqlstate{$walk},
			"SELECT env_decrypt_bytea($value, $context)");
	}
	elsif ($expect eq 'ok')
	{
		my $plain = "\\x$vector->{plaintext}";

		gives($name, $plain, "SELECT env_decrypt_bytea($value, $context)",
			$vector->{text} eq 'yes'
			? "SELECT convert_to(env_decrypt($value, $context), 'UTF8')"
			: ());
		gives("$name, payload", $vector->{text} eq 'yes' ? 'text' : 'bytea',
			"SELECT env_inspect($value) ->> 'payload'");
		gives(
			"$name, encrypted and bound anew", $plain,
			"SELECT env_decrypt_bytea(env_reencrypt($value, $context), $context)",
			"SELECT env_decrypt_bytea(env_rebind($value, $context, '{\"a\": 1}'), '{\"a\": 1}')"
		);
		gives("$name, output", $vector->{body}, "SELECT $value");
	}
	elsif ($expect eq 'authentication')
	{
		gives(
			$name, 'PE004',
			"SELECT env_decrypt_bytea($value, $context)",
			"SELECT env_reencrypt($value, $context)",
			"SELECT env_rebind($value, $context, '{\"a\": 1}')");
		gives("$name, env_verify", 'authentication_failed',
			"SELECT env_verify($value, $context)");
	}
	else
	{
		gives($name, $text_sqlstate{$expect}, "SELECT $value");
	}

	next if !defined $bytes;
	my $input = binary_file($bytes);
	my $taken = $expect =~ /^(ok|authentication)$/;

	write_file($copy, $input, 0644);
	gives(
		"$name, binary",
		$taken ? '' : $binary_sqlstate{$expect},
		"TRUNCATE value; COPY value FROM '$copy' (FORMAT binary)");
	next if !$taken;
	gives("$name, binary input is text input", $vector->{body},
		'SELECT v FROM value');
	$session->value("COPY value TO '$copy.out' (FORMAT binary)");
	is(unpack('H*', slurp_file("$copy.out")),
		unpack('H*', $input), "$name, binary output");
}

# ---------------------------------------------------------------------------
# context/, canonical/, policy/
# ---------------------------------------------------------------------------

my ($good) = grep { $_->{name} eq 'good_text' } vectors_of('envelope');

hold_for($good);
for my $vector (vectors_of('context'))
{
	my ($name, $expect) = ("context/$vector->{name}", $vector->{expect});
	my $context = literal($vector->{body});
	my $aad = "SELECT env_to_jwe('$good->{body}', $context) ->> 'aad'";
	my $outcome = $jsonb_context{ $vector->{name} };

	is(defined $outcome,
		($vector->{jsonb} // '') eq 'differs',
		"$name: what jsonb does is known");
	$outcome //= $expect eq 'ok' ? $vector->{canonical} : 'PE005';
	if ($outcome =~ /^\{/)
	{
		gives($name, encode_base64url($outcome), $aad);
		gives("$name, round trip", 'x',
			"SELECT env_decrypt(env_encrypt('x', $context, '$good->{key_name}'), $context)"
		);
	}
	else
	{
		gives($name, $outcome, $aad,
			"SELECT env_encrypt('x', $context, '$good->{key_name}')");
	}
}

# A canonical context is also what a JWE may have.
my $jwe = $session->value(
	"SELECT env_to_jwe('$good->{body}', " . literal($good->{context}) . ')');
for my $vector (vectors_of('canonical'))
{
	my $body = $vector->{body} // '';
	my $aad = encode_base64url($body);
	my $made =
	  "env_from_jwe(" . literal($jwe) . "::jsonb || '{\"aad\": \"$aad\"}')";

	if ($vector->{expect} eq 'ok')
	{
		gives("canonical/$vector->{name}", $good->{body}, "SELECT $made");
	}
	else
	{
		gives("canonical/$vector->{name}", '22P02', "SELECT $made");
	}
}

# jsonb has one form for what is not canonical.
for my $vector (grep { $_->{expect} ne 'malformed' } vectors_of('policy'))
{
	my $policy = literal($vector->{policy});
	my $context = literal($vector->{context});

	$session->value("UPDATE pgenvelope.key SET required_context = $policy"
		  . " WHERE name = '$good->{key_name}'");
	gives(
		"policy/$vector->{name}",
		$vector->{expect} eq 'ok' ? 'x' : 'PE005',
		"SELECT env_decrypt(env_encrypt('x', $context, '$good->{key_name}'), $context)"
	);
}
$session->value("UPDATE pgenvelope.key SET required_context = '{}'");

# ---------------------------------------------------------------------------
# equality/, jwe/, root/
# ---------------------------------------------------------------------------

for my $vector (vectors_of('equality'))
{
	my ($a, $b) = map { "'$vector->{$_}'::envelope" } qw(a b);
	my ($equal, $not) = $vector->{equal} eq 'yes' ? qw(t f) : qw(f t);

	gives("equality/$vector->{name}",
		$equal, "SELECT $a = $b", "SELECT $b = $a");
	gives("equality/$vector->{name}, <>", $not, "SELECT $a <> $b");
	gives("equality/$vector->{name}, hash",
		't', "SELECT envelope_hash($a) = envelope_hash($b)")
	  if $equal eq 't';
}

for my $vector (vectors_of('jwe'))
{
	my ($name, $expect) = ("jwe/$vector->{name}", $vector->{expect});
	my $general = ($vector->{form} // '') eq 'general' ? 'true' : 'false';
	my $context = literal($vector->{context} // '{}');
	my $body = literal($vector->{body} // '');

	if (($vector->{direction} // 'from') eq 'to')
	{
		hold(
			$vector->{key_id}, $vector->{key_version}, $vector->{key_name},
			$provider{ $good->{root_key} }, $good->{sealed_kek},
			$good->{kcv});
		gives($name, $text_sqlstate{$expect},
			"SELECT env_to_jwe('$vector->{envelope}', $context)");
	}
	elsif ($expect eq 'ok')
	{
		my $store = $vector->{store_context} eq 'yes' ? 'on' : 'off';

		hold(
			$vector->{key_id}, $vector->{key_version}, $vector->{key_name},
			$provider{ $good->{root_key} }, $good->{sealed_kek},
			$good->{kcv});
		gives($name, $vector->{envelope},
			"SET pgenvelope.store_context = $store; SELECT env_from_jwe($body)"
		);
		gives("$name, made", 't',
			"SELECT env_to_jwe('$vector->{envelope}', $context, $general) = $body"
		);
	}
	else
	{
		my $outcome = $jsonb_jwe{ $vector->{name} } // '22P02';
		my (undef, $sqlstate, $message) =
		  $session->run("SELECT env_from_jwe($body)");

		is(exists $jsonb_jwe{ $vector->{name} },
			($vector->{jsonb} // '') eq 'differs',
			"$name: what jsonb does is known");
		is($sqlstate, $outcome, $name) or diag($message);
	}
}
$session->value('RESET pgenvelope.store_context');

for my $vector (grep { $_->{provider} eq 'file' } vectors_of('root'))
{
	my ($id, $version) = @$vector{qw(key_id key_version)};
	my $kek = pack 'H*', $vector->{kek} // '00' x 32;
	my $kcv = substr hmac_sha256(
		"pgenvelope/1 kcv\0" . pack('H12 n', $id, $version), $kek), 0, 16;

	# The table itself refuses this one.
	next if $vector->{name} eq 'bad_file_nothing';
	hold($id, $version, $vector->{key_name}, $provider{ $vector->{root_key} },
		$vector->{body}, unpack('H*', $kcv));
	gives(
		"root/$vector->{name}",
		$vector->{expect} eq 'ok' ? 'x' : $walk_sqlstate{ $vector->{expect} },
		"SELECT env_decrypt(env_encrypt('x', '{}', n), '{}') FROM (SELECT "
		  . literal($vector->{key_name})
		  . ') k (n)');
}

cmp_ok($ran{$_}, '>', 10, "there are vectors in $_/")
  for qw(envelope context canonical policy equality jwe root);

# ---------------------------------------------------------------------------
# What SQL encrypted, opened from the root key by others
# ---------------------------------------------------------------------------

my $python = '/usr/bin/python3';
my $context = '{"id":4711,"tenant":"acme","type":"customers.email"}';

# For a JOSE library: reads a sealed KEK and JWEs, prints what they open to.
my $jose = write_file(new_directory('jose') . '/open.py', <<'END', 0644);
import base64, sys
sys.path.insert(0, sys.argv[1])
import decode, jose
from jwcrypto import jwe
with open(sys.argv[2], encoding="ascii") as file:
    root = base64.b64decode(file.read())
sealed, *values = sys.stdin.read().splitlines()
step = jwe.JWE(algs=["dir", "A256GCM"])
step.deserialize(sealed, jose.oct_key(root))
kek = jose.oct_key(step.payload[:32])
for value in values:
    step = jwe.JWE(algs=jose.ALGORITHMS)
    step.deserialize(value, kek)
    print(step.objects["aad"].decode(), step.objects["protected"],
          jose.unpadded(step.payload, step.objects["protected"]).hex())
END
my $has_jose = !system_log($python, '-c', 'import jwcrypto');

$session->value(
	q(SELECT pgenvelope.create_key('made', 'root0', '{}');
	  SET pgenvelope.default_key = 'made'));
my $sealed = $session->value(
	q(SELECT sealed_kek FROM pgenvelope.key_version
	  JOIN pgenvelope.key USING (key_id) WHERE name = 'made'));
my $text = 'cty":"text/plain;charset=UTF-8';
my @made = (
	[ 'text', "'jane\xc3\xbc'::text", 0, qq({"$text","enc":"A256GCM"}) ],
	[ 'bytea', q('\x00ff6a'::bytea), 0, '{"enc":"A256GCM"}' ],
	[
		'text', "'jane\xc3\xbc'::text",
		16, qq({"$text;pad=7816","enc":"A256GCM"})
	],
	[
		'bytea',
		q('\x00ff6a'::bytea),
		16,
		'{"cty":"application/octet-stream;pad=7816","enc":"A256GCM"}'
	]);

for my $store ('off', 'on')
{
	for my $case (@made)
	{
		my ($type, $plain, $padding, $protected) = @$case;
		my $name = "$type, padding $padding, store_context $store";
		my $hex = $type eq 'text' ? '6a616e65c3bc' : '00ff6a';
		my $value = $session->value("SET pgenvelope.store_context = $store;"
			  . "SET pgenvelope.padding = $padding;"
			  . "SELECT env_encrypt($plain, '$context')");
		my ($out, $err) = run_command(
			[
				$python, "$vectors/decode.py", '--root-key', $root_file,
				'--sealed-kek', $sealed, '--context', $context, $value
			]);
		is(unpack('H*', $out) . $err, $hex, "decode.py opens $name");
		isnt(
			system_log(
				$python, "$vectors/decode.py", '--root-key', $root_file,
				'--sealed-kek', $sealed, '--context', '{"id":1}', $value),
			0,
			"and not in another context: $name");
	  SKIP:
		{
			skip 'needs python3-jwcrypto', 1 if !$has_jose;
			my $jwes = $session->value(
				"SELECT convert_from('$sealed', 'UTF8') UNION ALL"
				  . " SELECT env_to_jwe('$value', '$context', g)::text"
				  . ' FROM (VALUES (false), (true)) g (g)');
			my ($stdout, $stderr);

			IPC::Run::run([ $python, $jose, $vectors, $root_file ],
				'<', \"$jwes\n", '>', \$stdout, '2>', \$stderr);
			is($stdout . $stderr, "$context $protected $hex\n" x 2,
				"a JOSE library opens $name");
		}
	}
}

$session->quit;
done_testing();
