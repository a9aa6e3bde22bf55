#!/usr/bin/perl
# pkcs11_opencryptoki.pl: root keys in a token of openCryptoki, through
# pgenvelope-pkcs11 alone.
#
# A second vendor: its soft token has neither AES-GCM nor AES key wrap, so the
# program falls back to RSA-OAEP, with SHA-256, which it does have.  It counts
# wrong PINs and locks itself, which shows that none is wasted.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope qw(new_directory random_bytes write_file);
use Pkcs11;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = opencryptoki_missing();
plan(skip_all => "needs $missing") if $missing;

# At most eight characters, says the token.
my $pin = 'p1n7q3x9';
my $plaintext = random_bytes(48);
my $token = new_opencryptoki($pin);
note('servers: ' . $token->version);

$token->tool($pin, qw(--keypairgen --key-type RSA:2048 --label rsa --id 02));
$token->tool($pin, qw(--keypairgen --key-type RSA:3072 --label large --id 03));
$token->tool($pin, qw(--keypairgen --key-type RSA:1024 --label small --id 04));
$token->tool($pin, qw(--keygen --key-type AES:32 --label aes --id 01));

my $pin_file = write_file(new_directory('pin') . '/pin', "$pin\n");

sub uri
{
	my ($attributes, %words) = @_;

	return pkcs11_uri($attributes,
		'module-path' => $token->module,
		'pin-source' => "file:$pin_file", %words);
}

sub helper
{
	return start_helper(uri(@_), $token->inside);
}

# ---------------------------------------------------------------------------
# Mechanisms
# ---------------------------------------------------------------------------

for (
	[ 'token=ock;object=rsa', undef, 4, 256 ],
	[ 'token=ock;object=large', undef, 4, 384 ],
	[ 'token=ock;object=rsa', 'rsa-oaep-sha256', 4, 256 ],
	[ 'token=ock;object=rsa', 'rsa-oaep-sha1', 5, 256 ])
{
	my ($attributes, $mechanism, $number, $len) = @$_;
	my $test = "$attributes, " . ($mechanism // 'what fits');
	my $helper =
	  helper($attributes, $mechanism ? (mechanism => $mechanism) : ());
	my ($word, $sealed, $root_key) = $helper->seal($plaintext);

	is($word, 'ok', "$test: seals") or diag($sealed);
	is(ord(substr $sealed, 1, 1), $number, "$test: by mechanism $number");
	is(length $sealed, 4 + $len, "$test: into $len bytes and four");
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "$test: unseals");
	is_deeply([ $helper->check ], [ 'ok', $root_key ], "$test: checks");
	my %wrong;
	for my $place (map { 8 * $_ } 0 .. length($sealed) / 8 - 1)
	{
		my $altered = $sealed;
		substr($altered, $place, 1) ^= "\x01";
		my ($got) = $helper->unseal($altered);
		$wrong{"$got at $place"} = 1 if $got ne 'integrity';
	}
	is(join(', ', sort keys %wrong), '', "$test: no altered byte opens");
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "$test: unseals after that");
	is($helper->finish, 0, "$test: ends well");
}

for (
	[ 'token=ock;object=aes', qr/none of the mechanisms/, 'an AES key' ],
	[ 'token=ock;object=small', qr/not an RSA key of 2048/, '1024 bits' ])
{
	my ($attributes, $said, $test) = @$_;
	my $helper = helper($attributes);
	my ($category, $text) = $helper->seal($plaintext);

	is($category, 'misconfigured', "$test: misconfigured");
	like($text, $said, "$test: says why");
	$helper->finish;
}
my $helper = helper('token=ock;object=aes', mechanism => 'aes-gcm');
is(($helper->seal($plaintext))[0],
	'misconfigured', 'AES-GCM where the token has none');
$helper->finish;

my ($code, $out) = by_hand(uri('token=ock;object=rsa'), $token->inside);
is($code, 0, '--check succeeds');
like($out, qr{^root key: rsa/02$}m, 'and names the root key');

# ---------------------------------------------------------------------------
# Life
# ---------------------------------------------------------------------------

$helper = helper('token=ock;object=large');
my (undef, $sealed) = $helper->seal($plaintext);
$token->tool($pin, '--delete-object', '--type', $_, '--label', 'large')
  for qw(privkey pubkey);
is(($helper->unseal($sealed))[0],
	'not_found', 'a key that was destroyed by another process');
$token->tool($pin, qw(--keypairgen --key-type RSA:3072 --label large --id 03));
is(($helper->unseal($sealed))[0], 'integrity', 'another of its name');
$helper->finish;

# ---------------------------------------------------------------------------
# PINs
# ---------------------------------------------------------------------------

unlike($token->flags, qr/USER_PIN_(COUNT|FINAL|LOCKED)/,
	'the token has seen no wrong PIN');
write_file($pin_file, "12345678\n");
$helper = helper('token=ock;object=rsa');
my ($category, $text) = $helper->check;
is($category, 'denied', 'a wrong PIN');
like($text, qr/CKR_PIN_INCORRECT/, 'by the token');
like($token->flags, qr/USER_PIN_COUNT_LOW/, 'it has counted one');
for (1 .. 5)
{
	is(($helper->check)[0], 'denied', "the same again, $_");
}
like($token->flags, qr/USER_PIN_COUNT_LOW/, 'it has counted no other');
write_file($pin_file, "23456789\n");
is(($helper->check)[0], 'denied', 'another wrong PIN');
like($token->flags, qr/USER_PIN_FINAL_TRY/, 'the next would lock it');
write_file($pin_file, "34567890\n");
($category, $text) = $helper->check;
is($category, 'denied', 'a third');
like($text, qr/would lock the token/, 'is not sent');
unlike($token->flags, qr/USER_PIN_LOCKED/, 'the token is not locked');
write_file($pin_file, "$pin\n");
$helper->finish;
$helper = helper('token=ock;object=rsa');
is(($helper->check)[0], 'denied', 'nor is the right one, by another process');

# Somebody logs in by hand: the token forgets the wrong ones.
$token->tool($pin, '--list-objects');
is(($helper->check)[0], 'ok', 'until somebody has logged in by hand');
$helper->finish;

# By the vendor's tool, the token is locked.
for (1 .. 3)
{
	eval { $token->tool('12345678', '--list-objects'); };
}
like($token->flags, qr/USER_PIN_LOCKED/, 'the token is locked');
$helper = helper('token=ock;object=rsa');
($category, $text) = $helper->check;
is($category, 'denied', 'a locked token');
like($text, qr/locked/, 'is said to be locked');
$helper->finish;

$token->stop;
done_testing();
