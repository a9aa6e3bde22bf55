# 031_session.pl: tokens and their keys.
#
# What a JOSE library signs is taken, and what docs/examples/session_token.sh
# signs is what that library reads; keys of the file count as soon as they are
# written; a careless file is refused, and only the log says why; tokens are
# used once where that is wanted; and nothing of a token or a key is in the log.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->canonical->ascii;
my $top = source_directory();
my $directory = new_directory('session');
my $keys = "$directory/keys.jwks";
my $first = new_session_key('first');
my $second = new_session_key('second');

# What a script prints, line by line.
sub lines_of
{
	my ($input, @command) = @_;
	my ($out, $err);

	IPC::Run::run(\@command, \$input, \$out, \$err)
	  or die "@command: $err";
	return split /\n/, $out;
}

sub library
{
	my ($verb, $argument, @lines) = @_;

	return lines_of(join('', map { "$_\n" } @lines),
		'/usr/bin/python3', "$top/test/perl/session_tokens.py", $verb,
		$argument);
}

# A token of the key, for database postgres and tenant acme.
sub token
{
	my ($key, %claims) = @_;

	return session_token(
		$key,
		aud => 'postgres',
		ctx => { tenant => 'acme' },
		%claims);
}

my $node = new_node('main', conf => "log_min_messages = debug1\n");
my @secrets;
my $session = session($node);

# (SQLSTATE, message) of binding to a token.
sub bind_to
{
	my ($token) = @_;
	my (undef, $sqlstate, $message) =
	  $session->run("BEGIN; SELECT env_bind_session('$token')");

	push @secrets, split /\./, $token;
	$session->run('ROLLBACK');
	return ($sqlstate, $message);
}

# Binds to each token; returns what came of each: a context or an SQLSTATE.
sub outcomes
{
	my @outcomes;

	for my $token (@_)
	{
		my ($out, $sqlstate) = $session->run(
			"BEGIN; SELECT 'x' FROM env_bind_session('$token');"
			  . "SELECT current_setting('pgenvelope.session_context')");

		push @secrets, split /\./, $token;
		$session->run('ROLLBACK');
		push @outcomes,
		  $sqlstate eq '00000' ? (split /\n/, $out)[-1] : $sqlstate;
	}
	return @outcomes;
}

# Sets the key file, in force for every session.
sub use_file
{
	my ($path) = @_;

	set_setting($node, 'pgenvelope.session_key_file', $path);
	wait_until(
		sub {
			return $session->value('SHOW pgenvelope.session_key_file') eq
			  $path;
		},
		'the file is set');
	return;
}

# The part of the log that the code wrote.
sub logged
{
	my ($code) = @_;
	my $before = -s $node->logfile;

	$code->();
	return substr(slurp_file($node->logfile), $before);
}

# Without a file
is((bind_to(token($first)))[0], '55000', 'no file');

# A JOSE library's tokens
library('keys', $directory);
use_file("$directory/session.jwks");
{
	my $now = time;
	my (@wanted, @contexts);

	for my $i (1 .. 20)
	{
		my $context = {
			tenant => "tenant \x{e4}\x{1f600}\"\\/ $i",
			"n\x{f6}me" => $i % 2 ? JSON::PP::true : JSON::PP::false,
			id => $i - 10 };

		push @contexts, $context;
		push @wanted,
		  $json->encode(
			{
				header => {
					typ => 'JWT',
					$i % 2
					? (alg => 'EdDSA', kid => 'ed')
					: (alg => 'HS256', kid => 'hs') },
				claims => {
					exp => $now + 300 + $i,
					nbf => $now,
					aud => $i % 3 ? 'postgres' : [ 'postgres', 'x' ],
					iss => 'me',
					sub => 'x' x $i,
					ctx => $context } });
	}
	my @bound = outcomes(library('sign', "$directory/private.jwks", @wanted));

	# psql has printed UTF-8.
	is_deeply(
		[ map { $json->encode(JSON::PP->new->utf8->decode($_)) } @bound ],
		[ map { $json->encode($_) } @contexts ],
		'what a JOSE library signs is taken');

	# Other algorithms, and other keys' kids
	my @others = (
		[ HS512 => 'hs512' ], [ RS256 => 'rs' ], [ ES256 => 'es' ],
		[ HS512 => 'hs' ]);
	is_deeply(
		[
			outcomes(
				library(
					'sign',
					"$directory/private.jwks",
					map {
						$json->encode(
							{
								header => { alg => $_->[0], kid => $_->[1] },
								claims => {
									exp => $now + 300,
									aud => 'postgres',
									ctx => { tenant => 'acme' } } })
					} @others))
		],
		[ ('28000') x @others ],
		'but not by other algorithms');
}

# The example of the documentation
{
	my $example = "$top/docs/examples/session_token.sh";
	my $issuer = "$directory/issuer.pem";

	system_or_bail('openssl', 'genpkey', '-algorithm', 'ed25519', '-out',
		$issuer);
	my ($jwks) = lines_of('', $example, 'jwks', $issuer, 'issuer-1');
	write_file("$directory/example.jwks", $jwks);
	my ($token) = lines_of('', $example, 'token', $issuer, 'issuer-1',
		'postgres', '{"tenant": "acme"}');
	my ($claims) = library('verify', "$directory/example.jwks", $token);
	is_deeply($json->decode($claims)->{ctx},
		{ tenant => 'acme' }, 'a JOSE library reads what openssl signs');
	use_file("$directory/example.jwks");
	is((outcomes($token))[0], '{"tenant":"acme"}', 'and so does the server');
}

# Keys come and go without a reload, for a session that has used them
write_session_keys($keys, $first);
use_file($keys);
is_deeply([ outcomes(token($first), token($second)) ],
	[ '{"tenant":"acme"}', '28000' ], 'one key');
write_session_keys($keys, $first, $second);
is_deeply(
	[ outcomes(token($first), token($second)) ],
	[ '{"tenant":"acme"}', '{"tenant":"acme"}' ],
	'both keys');
write_session_keys($keys, $second);
is_deeply([ outcomes(token($first), token($second)) ],
	[ '28000', '{"tenant":"acme"}' ], 'the other');

# Only the log says what is wrong with a token that nobody here has signed
{
	my $message;
	my $log = logged(sub { (undef, $message) = bind_to(token($first)) });

	like($message, qr/^token is not accepted\n/, 'the client is told nothing');
	like($log, qr/DETAIL:  No key of the file has its kid\./,
		'but the log is');
	unlike($log, qr/STATEMENT|CONTEXT/, 'without the statement');
	($log) = logged(
		sub {
			bind_to(token({ kid => 'second', secret => 'x' x 32 }));
		});
	like($log, qr/DETAIL:  Its signature is not that of its key/,
		'another signature');
}

# The audit has it, too
{
	$session->run("SET pgenvelope.audit = 'all'");
	my $log = logged(
		sub {
			bind_to(token($second, ctx => { tenant => 'globex', id => 987654321012345 }));
			bind_to(token($first));
			$session->run("RESET pgenvelope.audit");
		});

	like(
		$log,
		qr/"operation":"bind","outcome":"ok".*"context":\{"tenant":"globex"\}/,
		'a binding is audited');
	like($log, qr/"operation":"bind","outcome":"token_refused"/,
		'and a token that is refused');
	unlike($log, qr/987654321012345/, 'without what is not to be shown');
}

# Careless files
sub is_refused
{
	my ($reason, $test) = @_;
	my ($sqlstate, $message);
	my $log =
	  logged(sub { ($sqlstate, $message) = bind_to(token($second)) });
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($sqlstate, 'F0000', "$test is refused");
	unlike($message, qr/\Q$directory\E|key file|key \d/,
		'without saying where it is');
	like($log, $reason, 'but to the log');
	return;
}

chmod 0644, $keys;
is_refused(qr/has too wide a mode/, 'a file that others can read');
chmod 0620, $keys;
is_refused(qr/can be written by others/, 'or write');
chmod 0600, $keys;
is((bind_to(token($second)))[0], '00000', 'a file with the right mode');
symlink $keys, "$directory/link.jwks" or die "link.jwks: $!";
use_file("$directory/link.jwks");
is((bind_to(token($second)))[0], '00000', 'a link to it');
write_session_keys($node->data_dir . '/keys.jwks', $second);
use_file($node->data_dir . '/keys.jwks');
is_refused(qr/is in the data directory/, 'a file in the data directory');
use_file("$directory/nothing.jwks");
is_refused(qr/cannot be found/, 'a file that is not there');
use_file($directory);
is_refused(qr/is not a regular file/, 'a directory');
use_file($keys);
for my $file (
	[ '{"keys": [', qr/is not a JWK Set/, 'half a file' ],
	[ '', qr/is empty/, 'an empty file' ],
	[ 'x' x 70000, qr/is too long/, 'a long file' ],
	[
		$json->encode({ keys => [ map { session_jwk($second) } 1 .. 2 ] }),
		qr/is not a JWK with kty, alg, a kid of its own.*key 2/,
		'a kid that occurs twice' ],
	[
		$json->encode(
			{
				keys => [
					session_jwk({ kid => 'short', secret => 'x' x 31 }),
					session_jwk($second) ] }),
		qr/is too short or too long. It is key 1/,
		'a short secret' ],
	[
		slurp_file("$directory/private.jwks"), qr/is a private one.*key 1/,
		'a private key' ])
{
	my ($text, $reason, $test) = @$file;

	write_file($keys, $text);
	is_refused($reason, $test);
}
# Each key of a file in one respect other than it should be
{
	my $secret = encode_base64url('x' x 32);
	my $good = $json->encode(session_jwk($second));
	my $not_a_set = qr/is not a JWK Set/;
	my $not_a_key = qr/is not a JWK with kty, alg, a kid of its own and a key/;
	my $not_a_use = qr/is a private one, or is not for HS256 or Ed25519/;
	my $not_a_length = qr/is too short or too long/;
	my $oct = '"kty":"oct","kid":"a"';
	my $okp = '"kty":"OKP","kid":"a"';

	for my $set (
		'[]', '{}', '1', 'null', '{"keys":{}}', '{"keys":"x"}', '{"keys":null}',
		"[{\"keys\":[$good]}]", "{\"keys\":[$good]}{}", "{\"keys\":[$good],}",
		"{\"keys\":[$good],\"\\u006beys\":[]}", "{\"keys\":[$good],\"x\":\"\xff\"}",
		"{\"keys\":[$good],\"x\":\"\\ud83d\"}",
		"{\"keys\":[$good,{\"kty\":\"RSA\",\"kty\":\"EC\"}]}",
		"{\"keys\":[$good],\"x\":" . '[' x 8 . ']' x 8 . '}',
		'{"keys":[' . '[' x 30000)
	{
		write_file($keys, $set);
		is_refused($not_a_set, substr($set, 0, 50));
	}
	for my $key (
		[ '1', $not_a_key ],
		[ '[]', $not_a_key ],
		[ '{"kid":"x"}', $not_a_key ],
		[ '{"kty":1,"kid":"x"}', $not_a_key ],
		[ $good, $not_a_key ],
		[ "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"$secret\"}", $not_a_key ],
		[ "{\"kty\":\"oct\",\"kid\":\"\",\"alg\":\"HS256\",\"k\":\"$secret\"}", $not_a_key ],
		[ "{\"kty\":\"oct\",\"kid\":1,\"alg\":\"HS256\",\"k\":\"$secret\"}", $not_a_key ],
		[ "{\"kty\":\"oct\",\"kid\":\"s\\u0065cond\",\"alg\":\"HS256\",\"k\":\"$secret\"}", $not_a_key ],
		[ "{$oct,\"k\":\"$secret\"}", $not_a_key ],
		[ "{$oct,\"alg\":\"HS256\"}", $not_a_key ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":1}", $not_a_key ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":\"*$secret\"}", $not_a_key ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":\"$secret=\"}", $not_a_key ],
		[ "{$oct,\"alg\":\"HS512\",\"k\":\"$secret\"}", $not_a_use ],
		[ "{$oct,\"alg\":\"EdDSA\",\"k\":\"$secret\"}", $not_a_use ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":\"$secret\",\"use\":\"enc\"}", $not_a_use ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":\"$secret\",\"use\":1}", $not_a_use ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":\"AAAA\"}", $not_a_length ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":\"" . encode_base64url('x' x 257) . '"}', $not_a_length ],
		[ "{$oct,\"alg\":\"HS256\",\"k\":\"" . 'A' x 20000 . '"}', $not_a_length ],
		[ "{$okp,\"alg\":\"EdDSA\",\"x\":\"$secret\"}", $not_a_key ],
		[ "{$okp,\"alg\":\"EdDSA\",\"crv\":\"Ed25519\"}", $not_a_key ],
		[ "{$okp,\"alg\":\"EdDSA\",\"crv\":\"Ed448\",\"x\":\"$secret\"}", $not_a_use ],
		[ "{$okp,\"alg\":\"HS256\",\"crv\":\"Ed25519\",\"x\":\"$secret\"}", $not_a_use ],
		[ "{$okp,\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":\"$secret\",\"d\":\"$secret\"}", $not_a_use ],
		[ "{$okp,\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", $not_a_length ],
		[ "{$okp,\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":\"" . encode_base64url('x' x 33) . '"}', $not_a_length ])
	{
		my ($jwk, $reason) = @$key;

		write_file($keys, "{\"keys\":[$good,$jwk]}");
		is_refused(qr/$reason.*key 2 of/, substr($jwk, 0, 70));
		$reason eq $not_a_use or next;
		write_file($keys, "{\"keys\":[$jwk,$good]}");
		is_refused(qr/$reason.*key 1 of/, 'before the right one');
	}

	# Keys for others are passed over, unless they take the kid.
	my %outcome = (
		'' => '28000',
		'{"kty":"RSA","kid":"second"}' => '28000',
		"{\"kty\":\"RSA\",\"kid\":\"second\"},$good" => 'F0000',
		"{\"kty\":\"EC\"},$good,{\"kty\":\"RSA\"}" => '{"tenant":"acme"}',
		"{\"\\u006bty\":\"oct\",\"kid\":\"\\u0073econd\",\"alg\":\"HS256\",\"use\":\"sig\",\"k\":\""
		  . encode_base64url($second->{secret}) . '"}' => '{"tenant":"acme"}');
	for my $set (sort keys %outcome)
	{
		write_file($keys, " {\"x\": [[]], \"keys\": [$set]}\n");
		is((outcomes(token($second)))[0], $outcome{$set}, "keys [$set]");
	}
	for my $len (32, 256)
	{
		my $key = { kid => 'long', secret => 'y' x $len };

		write_session_keys($keys, $key);
		is((outcomes(token($key)))[0], '{"tenant":"acme"}', "a secret of $len bytes");
	}

	# No cut of a file is one.
	my $whole = "{\"keys\":[$good,{\"kty\":\"EC\",\"x\":[1,{}]}]}";
	my $token = token($second);
	my %of_cuts;

	for my $len (1 .. length($whole) - 1)
	{
		write_file($keys, substr($whole, 0, $len));
		$of_cuts{ (outcomes($token))[0] }++;
	}
	is_deeply([ keys %of_cuts ], ['F0000'], 'no cut of a file is taken');
}
is( $node->psql(
		'postgres', "ALTER SYSTEM SET pgenvelope.session_key_file = 'a'"),
	3, 'a relative path cannot be set');
write_session_keys($keys, $second);

# How long a token may last
set_setting($node, 'pgenvelope.session_token_lifetime', '100s');
wait_until(
	sub {
		return $session->value('SHOW pgenvelope.session_token_lifetime') eq
		  '100s';
	},
	'the lifetime is set');
is_deeply(
	[ outcomes(map { token($second, exp => time + $_) } 90, 200, -1) ],
	[ '{"tenant":"acme"}', '28000', '28000' ],
	'only for so long');

# Once
my $before = token($second);
set_setting($node, 'pgenvelope.session_used_tokens', 3);
$session->quit;
is_deeply([ map { sqlstate_of($node,
	"BEGIN; SELECT env_bind_session('$before')") } 1 .. 2 ],
	[ '00000', '00000' ], 'twice, as long as nothing is remembered');
wait_until(sub { time > $json->decode(MIME::Base64::decode_base64url(
	(split /\./, $before)[1]))->{iat} }, 'a second has passed');
$node->restart;
$session = session($node);
is_deeply(
	[ outcomes($before) ],
	['28000'],
	'what may have been used before the start is not taken');
{
	my $token = token($second);
	my $other = session($node);

	is_deeply([ outcomes($token, $token) ],
		[ '{"tenant":"acme"}', '28000' ],
		'once, whatever became of the transaction');
	is($other->sqlstate("SELECT env_bind_session('$token')"),
		'28000', 'in another session, too');
	$other->quit;
	is_deeply([ outcomes(session_token($second, aud => 'postgres', iat => 'x',
		ctx => { tenant => 'acme' })) ], ['28000'], 'an iat that is none');
	my ($header, $claims) = split /\./, token($second);

	# Two more fill the memory, of which one makes room again.
	is_deeply(
		[
			outcomes(token($second),
				token($second, exp => time + 2),
				token($second))
		],
		[ '{"tenant":"acme"}', '{"tenant":"acme"}', '53400' ],
		'no more than can be remembered');
	is((outcomes($token))[0], '28000', 'a used one is still known');
	wait_until(sub { (outcomes(token($second)))[0] ne '53400' },
		'one has expired');
	is((outcomes($token))[0], '28000', 'the others have not');
}
is((outcomes(session_token($second, iat => undef, aud => 'postgres',
	ctx => { tenant => 'acme' })))[0], '28000', 'an iat that is null');

# Nothing of tokens and keys is in the log
$session->quit;
$node->stop;
my $log = slurp_file($node->logfile);
my @found = grep { length > 20 && index($log, $_) >= 0 } @secrets;
is(scalar @found, 0, 'no part of a token is in the log');
unlike($log, qr/acme/, 'nor what a token says');
for my $key ($first, $second)
{
	is(index($log, session_jwk($key)->{k}), -1, 'no key is in the log');
}

done_testing();
