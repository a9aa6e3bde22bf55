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
