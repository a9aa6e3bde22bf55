#!/usr/bin/perl
# pkcs11.pl: root keys in SoftHSM's tokens, through pgenvelope-pkcs11 alone.
#
# Each mechanism, what is altered, which token and key a URI leads to, PINs
# and that a refused one is never sent again, and what happens while the
# program runs: sessions lost, keys destroyed, tokens initialised anew.  Where
# a real token does not do what is needed, a double around it does
# (pkcs11_double.c); those tests say "double".
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run ();
use PgEnvelope qw(new_directory random_bytes source_directory write_file);
use Pkcs11;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = softhsm_missing();
plan(skip_all => "needs $missing") if $missing;

my $pin = 'p1n-7q3x9';
my $other_pin = 'p1n-wrong';
my $plaintext = random_bytes(48);

new_softhsm();
note('servers: ' . softhsm_version());
softhsm_init('one', $pin);
softhsm_init('two', $pin);
softhsm_tool('one', $pin, '--keygen', '--sensitive', @$_)
  for (
	[qw(--key-type AES:32 --label aes --id 01)],
	[qw(--key-type AES:32 --label next --id 02)],
	[qw(--key-type AES:16 --label short --id 03)],
	[qw(--key-type AES:32 --label twin --id 04)],
	[qw(--key-type AES:32 --label twin --id 05)],
	[qw(--key-type AES:32 --label both --id 06)],
	[qw(--key-type AES:32 --label life --id 09)],
	[qw(--key-type GENERIC:32 --label generic --id 0a)]);
softhsm_tool('one', $pin, '--keygen', '--key-type', 'AES:32', '--label',
	'open', '--id', '0b', '--extractable');
softhsm_tool('one', $pin, '--keypairgen', @$_)
  for (
	[qw(--key-type RSA:2048 --label rsa --id 11)],
	[qw(--key-type RSA:2048 --label both --id 12)],
	[qw(--key-type EC:prime256v1 --label ec --id 13)]);
softhsm_tool('two', $pin, '--keygen', '--key-type', 'AES:32', '--label',
	'aes', '--id', '01', '--sensitive');

my $directory = new_directory('pin');
my $pin_file = write_file("$directory/pin", "$pin\n");
my $double = new_module_double();

sub uri
{
	my ($attributes, %words) = @_;

	return pkcs11_uri($attributes,
		'module-path' => softhsm_module(),
		'pin-source' => "file:$pin_file", %words);
}

# The same through the double.
sub double_uri
{
	my ($attributes, %words) = @_;

	return uri($attributes, 'module-path' => $double->path, %words);
}

# A helper that is asked once: (category, text).
sub once
{
	my ($uri) = @_;
	my $helper = start_helper($uri);
	my @outcome = $helper->check;

	$helper->finish;
	return @outcome;
}

sub fails
{
	my ($uri, $category, $text, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($got, $said) = once($uri);

	is($got, $category, "$test: $category");
	like($said, $text, "$test: says why");
	return;
}

# ---------------------------------------------------------------------------
# Each mechanism
# ---------------------------------------------------------------------------

# attributes, mechanism asked for, the one used, whether two seals differ
for (
	[ 'token=one;object=aes', undef, 1, 1 ],
	[ 'token=one;object=aes', 'aes-gcm', 1, 1 ],
	[ 'token=one;object=aes', 'aes-kw', 2, 0 ],
	[ 'token=one;object=aes', 'aes-kwp', 3, 0 ],
	[ 'token=one;object=rsa', 'rsa-oaep-sha1', 5, 1 ])
{
	my ($attributes, $mechanism, $number, $differ) = @$_;
	my $test = $mechanism // 'what fits';
	my $uri = uri($attributes, $mechanism ? (mechanism => $mechanism) : ());
	my $helper = start_helper($uri);
	my ($word, $sealed, $root_key) = $helper->seal($plaintext);

	is($word, 'ok', "$attributes, $test: seals") or diag($sealed);
	is(ord(substr $sealed, 1, 1), $number, "$attributes, $test: by mechanism $number");
	like($root_key, qr{^\w+/\d\d$}, "$attributes, $test: names the root key");
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "$attributes, $test: unseals");
	my (undef, $again) = $helper->seal($plaintext);
	is($again ne $sealed, !!$differ, "$attributes, $test: twice");
	is_deeply([ $helper->check ],
		[ 'ok', $root_key ], "$attributes, $test: checks");
	is($helper->finish, 0, "$attributes, $test: ends well");
	is($helper->errors, '', "$attributes, $test: prints nothing");

	# Years later, in another process.
	$helper = start_helper($uri);
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "$attributes, $test: unseals later");

	# Every byte counts.  SHA-1 that becomes SHA-256 SoftHSM does not know.
	my %wrong;
	for my $place (0 .. length($sealed) - 1)
	{
		my $altered = $sealed;
		substr($altered, $place, 1) ^= "\x01";
		my ($got) = $helper->unseal($altered);
		$wrong{"$got at $place"} = 1 if $got ne 'integrity';
	}
	delete $wrong{'misconfigured at 1'} if $number == 5;
	is(join(', ', sort keys %wrong),
		'', "$attributes, $test: no altered byte opens");
	for (substr($sealed, 0, -1), "$sealed\0", "\1" x 80,
		random_bytes(4096))
	{
		is(($helper->unseal($_))[0],
			'integrity',
			"$attributes, $test: " . length($_) . ' other bytes');
	}
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "$attributes, $test: unseals after that");
	$helper->finish;
}

# AAD: the seal of another key or version.
my $helper = start_helper(uri('token=one;object=aes'));
my (undef, $sealed) = $helper->seal($plaintext, '0123456789ab/1');
for ('0123456789ab/2', '0123456789ac/1', '0123456789ab/11')
{
	is(($helper->unseal($sealed, $_))[0], 'integrity', "AAD: not as $_");
}
is(($helper->unseal($sealed, '0123456789ab/1'))[0], 'ok', 'AAD: as itself');
$helper->finish;

# Keys of the same name in another token, and of another name.
for ('token=two;object=aes', 'token=one;object=next',
	'token=one;object=rsa', 'token=one;object=aes')
{
	$helper = start_helper(uri($_));
	is(($helper->unseal($sealed))[0],
		$_ eq 'token=one;object=aes' ? 'ok' : 'integrity', "key: $_");
	$helper->finish;
}

# Mechanisms that do not go with the key, or that SoftHSM does not have.
fails(uri('token=one;object=rsa', mechanism => 'aes-gcm'),
	'misconfigured', qr/does not fit/, 'AES-GCM with an RSA key');
fails(uri('token=one;object=aes', mechanism => 'rsa-oaep-sha1'),
	'misconfigured', qr/does not fit/, 'RSA-OAEP with an AES key');
$helper = start_helper(uri('token=one;object=rsa'));
(undef, $sealed) = $helper->seal($plaintext);
my ($category, $text) = $helper->unseal($sealed);
is($category, 'misconfigured', 'SoftHSM has no RSA-OAEP with SHA-256');
like($text, qr/mechanism=rsa-oaep-sha1/, 'and is told what to do');
$helper->finish;

# Double: what the token does not have, or the key does not allow, is not
# chosen.
for (
	[ 'C_GetMechanismInfo hide 0x1087', 2, 'AES-GCM' ],
	[
		'C_GetMechanismInfo hide 0x1087 hide 0x2109', 3,
		'AES-GCM and AES key wrap'
	],
	[ 'C_GetAttributeValue no 0x104', 2, 'CKA_ENCRYPT' ],
	[ 'C_GetAttributeValue no 0x105', 2, 'CKA_DECRYPT' ],
	[ 'C_GetAttributeValue no 0x106', 1, 'CKA_WRAP' ])
{
	my ($behaviour, $number, $name) = @$_;

	$double->behave($behaviour);
	$helper = start_helper(double_uri('token=one;object=aes'));
	(undef, $sealed) = $helper->seal($plaintext);
	is(ord(substr $sealed, 1, 1), $number, "double without $name");
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "double without $name: unseals");
	$helper->finish;
}
for ('C_GetMechanismInfo hide 0x1087 hide 0x2109 hide 0x210a',
	'C_GetAttributeValue no 0x104 no 0x106',
	'C_GetAttributeValue no 0x104 no 0x107')
{
	$double->behave($_);
	fails(double_uri('token=one;object=aes'),
		'misconfigured', qr/none of the mechanisms/, "double, $_");
}

# Double: old parameters of AES-GCM.
$double->behave('C_EncryptInit short', 'C_DecryptInit short');
$helper = start_helper(double_uri('token=one;object=aes'));
is(($helper->seal($plaintext))[0],
	'misconfigured', 'double with short parameters refuses long ones');
$helper->finish;
$helper = start_helper(
	double_uri('token=one;object=aes', 'gcm-params' => 'short'));
(undef, $sealed) = $helper->seal($plaintext);
is_deeply([ $helper->unseal($sealed) ],
	[ 'ok', $plaintext ], 'double with short parameters');
$helper->finish;

# Double: IVs of the token's own.
$double->behave('C_EncryptInit iv');
$helper = start_helper(double_uri('token=one;object=aes'));
is(($helper->seal($plaintext))[0],
	'misconfigured', 'double that chooses IVs refuses others');
$helper->finish;
my $by_token = start_helper(
	double_uri('token=one;object=aes', 'gcm-iv' => 'token'));
(undef, my $chosen) = $by_token->seal($plaintext);
is_deeply([ $by_token->unseal($chosen) ],
	[ 'ok', $plaintext ], 'double that chooses IVs');
(undef, my $again) = $by_token->seal($plaintext);
isnt(substr($again, 4, 12), substr($chosen, 4, 12), 'it chooses anew');
$double->behave();
is(($by_token->seal($plaintext))[0],
	'misconfigured', 'without an IV nothing is sealed');
$by_token->finish;

$helper = start_helper(uri('token=one;object=aes'));
is_deeply([ $helper->unseal($_) ],
	[ 'ok', $plaintext ], 'what it sealed is sealed as ever')
  for $sealed, $chosen;
$helper->finish;

# ---------------------------------------------------------------------------
# Which token, and which key
# ---------------------------------------------------------------------------

fails(uri('token=three;object=aes'), 'not_found', qr/does not have the token/,
	'another token');
fails(uri('token=one;manufacturer=Nobody;object=aes'),
	'not_found', qr/does not have the token/, 'another manufacturer');
fails(uri('token=one;object=none'), 'not_found', qr/no such key/,
	'another key');
fails(uri('token=one;object=aes;id=%02'),
	'not_found', qr/no such key/, 'the label of one key, the id of another');
fails(uri('token=one;object=aes;type=private'),
	'not_found', qr/no such key/, 'another type of key');
fails(uri('object=aes'), 'misconfigured', qr/more than one token/,
	'two tokens');
fails(uri('token=one;object=twin'), 'misconfigured', qr/more than one key/,
	'two keys of one label');
fails(uri('token=one;object=both'), 'misconfigured', qr/more than one key/,
	'a secret and a private key of one label');
fails(uri('token=one;object=generic'), 'misconfigured',
	qr/neither an AES nor an RSA/, 'a key of no use');
fails(uri('token=one;object=ec'), 'misconfigured',
	qr/neither an AES nor an RSA/, 'a key on a curve');

for (
	[ 'token=one;object=twin;id=%05', 'twin/05' ],
	[ 'token=one;id=%02', 'next/02' ],
	[ 'token=one;object=both;type=secret-key', 'both/06' ],
	[ 'token=one;object=both;type=private', 'both/12' ],
	[ 'token=two;model=SoftHSM%20v2;object=aes', 'aes/01' ])
{
	is_deeply([ once(uri($_->[0])) ], [ 'ok', $_->[1] ], $_->[0]);
}

my ($serial) = `softhsm2-util --show-slots` =~
  /Serial number:\s+(\w+)\s+Initialized:\s+yes\s+User PIN init\.:\s+yes\s+Label:\s+two\s/
  or die 'token two has no serial number';
is_deeply([ once(uri("serial=$serial;object=aes")) ],
	[ 'ok', 'aes/01' ], 'a token by its serial number');

# Modules.
my $module = softhsm_module();
my $not_ours = write_file("$directory/module.so", "no module\n", 0755);
fails(uri('object=aes', 'module-path' => '/nonexistent/module.so'),
	'misconfigured', qr/cannot be found/, 'no module');
fails(uri('object=aes', 'module-path' => '/usr/lib'),
	'misconfigured', qr/not a regular file/, 'a directory');
fails(uri('object=aes', 'module-path' => $not_ours),
	'misconfigured', qr/could not be loaded/, 'a file that is no library');
chmod 0775, $not_ours;
fails(uri('object=aes', 'module-path' => $not_ours),
	'misconfigured', qr/can be written by others/, 'a file others can write');
my ($libcrypto) = map { glob("$_/libcrypto.so.3") } '/usr/lib/*', '/usr/lib*';
SKIP:
{
	skip 'needs libcrypto.so.3', 2 unless $libcrypto;
	fails(uri('object=aes', 'module-path' => $libcrypto),
		'misconfigured', qr/not a PKCS#11 module/, 'a library of another kind');
}

# ---------------------------------------------------------------------------
# PINs
# ---------------------------------------------------------------------------

$double->forget_calls;
chmod 0644, $pin_file;
fails(double_uri('token=one;object=aes'), 'misconfigured', qr/mode/,
	'a PIN that everybody can read');
rename $pin_file, "$pin_file.away";
fails(double_uri('token=one;object=aes'), 'misconfigured', qr/PIN's file/,
	'no PIN');
fails(uri('token=one;object=aes', 'pin-source' => '|/nonexistent'),
	'misconfigured', qr/could not be run/, 'no command');
is($double->calls('C_Login'), 0, 'no PIN was sent');
fails(pkcs11_uri('token=one;object=aes', 'module-path' => $module),
	'misconfigured', qr/no pin-source/, 'no source of a PIN');
fails(
	uri('token=one;object=aes', 'pin-value' => $pin),
	'misconfigured', qr/pin-value is refused/, 'a PIN in the URI');

# A wrong one is sent once, by one process, however often it is asked.
write_file($pin_file, "$other_pin\n");
$helper = start_helper(double_uri('token=one;object=aes'));
($category, $text) = $helper->check;
is($category, 'denied', 'a wrong PIN is denied');
like($text, qr/CKR_PIN_INCORRECT/, 'by the token');
for (1 .. 3)
{
	($category, $text) = $helper->seal($plaintext);
	is($category, 'denied', "a wrong PIN again, $_: denied");
	like($text, qr/not sent again/, "a wrong PIN again, $_: not sent");
}
utime 1, 1, $pin_file;
is(($helper->check)[0], 'denied', 'a new time of the file is no new PIN');
is($double->calls('C_Login'), 1, 'one PIN was sent');
unlike($text, qr/\Q$other_pin\E/, 'and is not told');
write_file($pin_file, "$other_pin.\n");
is(($helper->check)[0], 'denied', 'another wrong PIN is denied');
is($double->calls('C_Login'), 2, 'it was sent');
is(($helper->check)[0], 'denied', 'and again');
is($double->calls('C_Login'), 2, 'it was not');
write_file($pin_file, $pin);
is_deeply([ $helper->check ],
	[ 'ok', 'aes/01' ], 'the right PIN is found by the same process');
is($double->calls('C_Login'), 3, 'sent once');
$helper->seal($plaintext);
is($double->calls('C_Login'), 3, 'and no more while the session lasts');
$helper->finish;

# Double: what the token says of its PIN.
for (
	[ '0x20000', qr/would lock the token/, 'one try left' ],
	[ '0x40000', qr/locked/, 'locked' ])
{
	my ($flag, $said, $test) = @$_;

	$double->behave("C_GetTokenInfo flags $flag");
	$double->forget_calls;
	fails(double_uri('token=one;object=aes'), 'denied', $said,
		"double, $test");
	is($double->calls('C_Login'), 0, "double, $test: no PIN is sent");
}
$double->behave();

# Double: a login that fails without saying why may have been a wrong PIN.
for ('0x5', '0x30', '0x80000007')
{
	$double->behave("C_Login $_");
	$double->forget_calls;
	$helper = start_helper(double_uri('token=one;object=aes'));
	($category, $text) = $helper->check;
	is($category, 'unavailable', "double, login fails by $_");
	like($text, qr/C_Login returned .*\($_\)/, "double, login fails by $_: named");
	$double->behave();
	($category, $text) = $helper->check;
	is($category, 'unavailable', "double, login fails by $_: not again at once");
	like($text, qr/PIN rests/, "double, login fails by $_: says so");
	is($double->calls('C_Login'), 1, "double, login fails by $_: sent once");
	$helper->finish;
}

# Double: here the PIN was not looked at.
for ('0xb3', '0x32', '0xe0')
{
	$double->behave("C_Login once $_");
	is_deeply([ once(double_uri('token=one;object=aes')) ],
		[ 'ok', 'aes/01' ], "double, login fails by $_: again at once");
}

# A command.
my $command = write_file("$directory/command", "#!/bin/sh\necho '$pin'\n", 0700);
is_deeply(
	[ once(uri('token=one;object=aes', 'pin-source' => "|$command")) ],
	[ 'ok', 'aes/01' ], 'a PIN from a command');
write_file($command, "#!/bin/sh\necho '$pin'; exit 1\n", 0700);
fails(uri('token=one;object=aes', 'pin-source' => "|$command"),
	'unavailable', qr/did not give a PIN/, 'a command that fails');

# ---------------------------------------------------------------------------
# By hand
# ---------------------------------------------------------------------------

my ($code, $out, $err) = by_hand(uri('token=one;object=aes'));
is($code, 0, '--check succeeds');
like($out, qr{^root key: aes/01$}m, '--check names the root key');
like($out, qr/^credential: PIN from a file/m, '--check names the credential');
unlike($out, qr/warning/, '--check has nothing to warn of');
is($err, '', '--check complains of nothing');
(undef, $out) = by_hand(uri('token=one;object=open'));
like($out, qr/^warning: The root key can leave the token/m,
	'--check warns of a key that can be had');
(undef, $out) = by_hand(uri('token=one;object=short'));
like($out, qr/^warning: .*128 bits/m, '--check warns of a short key');
(undef, $out) =
  by_hand(uri('token=one;object=rsa', mechanism => 'rsa-oaep-sha1'));
like($out, qr/^warning: .*public key can make seals/m,
	'--check warns of a public key');
($code, $out, $err) = by_hand(uri('token=one;object=none'));
is($code, 1, '--check fails');
like($err, qr/not_found: The token has no such key/, '--check says why');
($code, $out, $err) = by_hand(uri('token=one;object=rsa'));
is($code, 1, '--check tries to unseal');

# ---------------------------------------------------------------------------
# While it runs
# ---------------------------------------------------------------------------

$helper = start_helper(double_uri('token=one;object=life'));
(undef, $sealed) = $helper->seal($plaintext);

# Double: what is lost is opened anew, once, without anybody noticing.
for (
	[ 'C_GetSessionInfo', '0xb3', 'session handle invalid' ],
	[ 'C_GetSessionInfo', '0x32', 'device removed' ],
	[ 'C_GetSessionInfo', '0x190', 'not initialised' ],
	[ 'C_FindObjectsInit', '0xb0', 'session closed' ],
	[ 'C_FindObjectsInit', '0xe0', 'token not present' ],
	[ 'C_DecryptInit', '0x82', 'object handle invalid' ],
	[ 'C_DecryptInit', '0x101', 'not logged in' ],
	[ 'C_Decrypt', '0x30', 'device error' ],
	[ 'C_Decrypt', '0x5', 'general error' ])
{
	my ($function, $error, $test) = @$_;

	$double->forget_calls;
	$double->behave("$function once $error");
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "double, $test: unseals");
	is($double->calls('C_Initialize'),
		$error eq '0x5' ? 0 : 1, "double, $test: opened anew");

	$double->forget_calls;
	$double->behave("$function $error");
	is( ($helper->unseal($sealed))[0],
		$error eq '0x82' ? 'not_found' : 'unavailable',
		"double, $test for good");
	is($double->calls('C_Initialize'),
		1, "double, $test for good: opened anew once");
	$double->behave();
	is_deeply([ $helper->unseal($sealed) ],
		[ 'ok', $plaintext ], "double, $test: unseals when mended");
}

# Double: other answers.
for (
	[ 'C_DecryptInit 0x68', 'denied', qr/CKR_KEY_FUNCTION_NOT_PERMITTED/ ],
	[ 'C_DecryptInit 0x70', 'misconfigured', qr/CKR_MECHANISM_INVALID/ ],
	[ 'C_Decrypt 0x40', 'integrity', qr/CKR_ENCRYPTED_DATA_INVALID/ ],
	[ 'C_Decrypt 0x80000007', 'unavailable', qr/0x80000007/ ],
	[ 'C_FindObjectsInit 0x31', 'unavailable', qr/CKR_DEVICE_MEMORY/ ])
{
	my ($behaviour, $wanted, $said) = @$_;

	$double->behave($behaviour);
	($category, $text) = $helper->unseal($sealed);
	is($category, $wanted, "double, $behaviour: $wanted");
	like($text, $said, "double, $behaviour: named");
}
$double->behave();

# Double: nor is one that goes while there are others.
$double->behave('C_GetTokenInfo lost one');
is(($helper->unseal($sealed))[0], 'unavailable', 'double, token lost');
fails(double_uri('token=one;object=life'),
	'unavailable', qr/does not have the token now/,
	'double, token lost by a slot before it was found');
$double->behave();
is_deeply([ $helper->unseal($sealed) ],
	[ 'ok', $plaintext ], 'double, token found again');

# Double: no token at all is no reason to believe that it has gone for good.
$helper->finish;
$double->behave('C_GetSlotList none');
$helper = start_helper(double_uri('token=one;object=life'));
is(($helper->check)[0], 'unavailable', 'double without a token');
$double->behave();
is(($helper->check)[0], 'ok', 'double with its token again');

# The session is the token's: the PIN may be gone while it lasts.
rename $pin_file, "$pin_file.gone";
is_deeply([ $helper->unseal($sealed) ],
	[ 'ok', $plaintext ], 'the PIN is not needed any more');
$double->behave('C_GetSessionInfo once 0xb3');
is(($helper->unseal($sealed))[0],
	'misconfigured', 'until the session is lost');
rename "$pin_file.gone", $pin_file;
is(($helper->unseal($sealed))[0], 'ok', 'the PIN is back');
$helper->finish;

# Really destroyed, by another process.
$helper = start_helper(uri('token=one;object=life'));
is(($helper->unseal($sealed))[0], 'ok', 'a key that is there');
softhsm_tool('one', $pin, '--delete-object', '--type', 'secrkey', '--label',
	'life');
for (1 .. 2)
{
	($category, $text) = $helper->unseal($sealed);
	is($category, 'not_found', "a key that was destroyed, $_");
}
is(($helper->check)[0], 'not_found', 'is not there to be checked');
softhsm_tool('one', $pin,
	qw(--keygen --key-type AES:32 --label life --id 09 --sensitive));
is(($helper->unseal($sealed))[0],
	'integrity', 'another of its name does not open its seals');
(undef, my $new) = $helper->seal($plaintext);
is_deeply([ $helper->unseal($new) ],
	[ 'ok', $plaintext ], 'but its own');
softhsm_tool('one', $pin,
	qw(--keygen --key-type AES:32 --label life --id 0c --sensitive));
is(($helper->unseal($new))[0],
	'misconfigured', 'a second one of its name makes it ambiguous');
$helper->finish;

# A root key is rotated: the id changes, the former one still unseals.
$helper = start_helper(uri('token=one;object=life;id=%09'));
(undef, my $old) = $helper->seal($plaintext);
$helper->finish;
$helper = start_helper(uri('token=one;object=life;id=%0c'));
is(($helper->unseal($old))[0], 'integrity', 'rotated: without previous-id');
$helper->finish;
$helper = start_helper(
	uri('token=one;object=life;id=%0c', 'previous-id' => '09'));
is_deeply([ $helper->unseal($old) ],
	[ 'ok', $plaintext ], 'rotated: the former key unseals');
(undef, $new, my $root_key) = $helper->seal($plaintext);
is($root_key, 'life/0c', 'rotated: the new one seals');
is_deeply([ $helper->unseal($new) ],
	[ 'ok', $plaintext ], 'rotated: and unseals');
substr($old, 3, 1) = "\x0c";
is(($helper->unseal($old))[0],
	'integrity', 'rotated: the id of a seal is authenticated');
$helper->finish;

# The whole token.
$helper = start_helper(uri('token=two;object=aes'));
(undef, $sealed) = $helper->seal($plaintext);
softhsm_init('two', $pin, 1);
is(($helper->unseal($sealed))[0],
	'not_found', 'a token that was initialised anew');
softhsm_tool('two', $pin,
	qw(--keygen --key-type AES:32 --label aes --id 01 --sensitive));
(undef, $new) = $helper->seal($plaintext);
is_deeply([ $helper->unseal($new) ],
	[ 'ok', $plaintext ], 'its new key');
is(($helper->unseal($sealed))[0],
	'integrity', 'which does not open what the old one sealed');
is($helper->finish, 0, 'the helper ends well after that');

# Double: a module that crashes, or hangs, takes its helper along.
$helper = start_helper(double_uri('token=one;object=aes'));
(undef, $sealed) = $helper->seal($plaintext);
$double->behave('C_Decrypt crash');
is(($helper->unseal($sealed))[0], 'gone', 'double that crashes');
$double->behave();
$helper = start_helper(double_uri('token=one;object=aes'));
is(($helper->unseal($sealed))[0], 'ok', 'another helper goes on');
$helper->finish;

# ---------------------------------------------------------------------------
# The set-up of docs/providers.md
# ---------------------------------------------------------------------------

my $docs = slurp_file(source_directory() . '/docs/providers.md');
my ($commands) = $docs =~
  /^## 15\. pkcs11.*?^### Set-up\n.*?\n\n((?:    [^\n]*\n)+)/ms
  or die 'docs/providers.md has no set-up';
my ($prints) = $docs =~ /^which prints\n\n((?:    root key.*\n)(?:    .*\n)+)/m
  or die 'docs/providers.md does not say what it prints';
my $etc = new_directory('etc');
my $program = helper_program();

$commands =~ s{/etc/pgenvelope}{$etc}g;
$commands =~ s{/usr/lib/softhsm/libsofthsm2\.so}{$module}g;
$commands =~ s{"\$\(pg_config --pkglibdir\)/pgenvelope-pkcs11"}{$program}g;
write_file("$etc/commands", "set -eu\n$commands");
IPC::Run::run([ 'bash', "$etc/commands" ], '<', \'', '>', \$out, '2>', \$err);
is($?, 0, 'the set-up works') or diag($err);
my ($checked) = $out =~ /^(root key:.*)\z/ms;
is($checked, $prints =~ s/^    //gmr, 'and prints what it should');

done_testing();
