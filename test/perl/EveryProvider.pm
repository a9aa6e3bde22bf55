# EveryProvider.pm: a server with a root key in every kind of provider at
# once, each of which misbehaves on demand.
#
# file     a key file
# vault    OpenBao, behind a proxy
# aws      moto, behind a proxy
# gcp      a double of Google Cloud KMS, behind a proxy
# azure    a double of Azure Key Vault, behind a proxy
# pkcs11   SoftHSM, behind a double of its module
#
# Under each there is a key of its name, and a value that opened('NAME')
# decrypts.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

package EveryProvider;

use strict;
use warnings FATAL => 'all';

use Clouds;
use OpenBao;
use PgEnvelope;
use Pkcs11;
use PostgreSQL::Test::Utils;
use Test::More;

my $pin = 'p1n7q3x9';

# conf: more lines of postgresql.conf; storage: OpenBao can be stopped.
sub new
{
	my ($class, %options) = @_;
	my $missing = softhsm_missing();

	plan(skip_all => "needs $missing") if $missing;
	my $self = bless {}, $class;
	my %uri = (
		file => 'file://' . new_key_file(),
		vault => $self->_set_up_vault($options{storage}),
		$self->_set_up_clouds,
		pkcs11 => $self->_set_up_token);

	# For good: the server is started again.
	%ENV = (%ENV, $self->{clouds}->environment);
	$self->{node} = new_node(
		'main',
		providers => join(', ', map { "$_=$uri{$_}" } $self->names),
		conf => $options{conf});
	$self->_add_values;
	return $self;
}

# In the order in which keys move.
sub names
{
	return qw(file vault aws gcp azure pkcs11);
}

# Those that are no file.
sub remote
{
	my ($self) = @_;

	return grep { $_ ne 'file' } $self->names;
}

sub _set_up_vault
{
	my ($self, $storage) = @_;
	my $bao = $self->{bao} = OpenBao->new('main', storage => $storage);

	$bao->do('POST', 'sys/mounts/transit', { type => 'transit' });
	$bao->new_key('app');
	$self->{vault_token} = $bao->new_token('app');
	return $bao->uri('app',
		'token-file='
		  . write_file(new_directory('vault') . '/token',
			"$self->{vault_token}\n"));
}

sub _set_up_clouds
{
	my ($self) = @_;

	$self->{clouds} = Clouds->new;
	return $self->{clouds}->uris;
}

sub _set_up_token
{
	my ($self) = @_;

	note('servers: ' . softhsm_version());
	new_softhsm();
	softhsm_init('hsm', $pin);
	softhsm_tool('hsm', $pin,
		qw(--keygen --sensitive --key-type AES:32 --label app --id 01));
	$self->{module} = new_module_double();
	return pkcs11_uri(
		'token=hsm;object=app;id=%01',
		'module-path' => $self->{module}->path,
		'pin-source' => 'file:'
		  . write_file(new_directory('pin') . '/pin', "$pin\n"));
}

sub _add_values
{
	my ($self) = @_;

	$self->{node}->safe_psql('postgres', <<'END');
CREATE TABLE value (key text PRIMARY KEY, v envelope);
CREATE FUNCTION opened(k text) RETURNS text LANGUAGE sql STABLE
AS $$SELECT env_decrypt(v, '{"tenant": "acme"}') FROM value WHERE key = k$$;
END
	$self->{node}->safe_psql('postgres', <<"END") for $self->names;
SELECT pgenvelope.create_key('$_', '$_', '{"tenant": null}');
INSERT INTO value
VALUES ('$_', env_encrypt('plain of $_', '{"tenant": "acme"}', '$_'));
END
	return;
}

# hang, refuse, or pass: it behaves.  "hang" takes what is asked and never
# answers, "refuse" is what a service that is down looks like.
sub behave
{
	my ($self, $name, $mode) = @_;

	return $self->{bao}->behave($mode) if $name eq 'vault';
	return $self->{clouds}->told("$name $mode") if $name ne 'pkcs11';

	# CKR_DEVICE_REMOVED.
	my $action = $mode eq 'refuse' ? '0x32' : $mode;
	return $self->{module}->behave(
		$mode eq 'pass' ? () : map { "$_ $action" } qw(C_Encrypt C_Decrypt));
}

# How many seals and unseals each has been asked for.
sub calls
{
	my ($self) = @_;
	my $clouds = $self->{clouds}->told('calls');

	return (
		%$clouds,
		vault => $self->{bao}->requests('transit/(?:en|de)crypt'),
		pkcs11 => $self->{module}->calls('C_Decrypt')
		  + $self->{module}->calls('C_Encrypt'));
}

# What must not be seen anywhere, by what it is.
sub secrets
{
	my ($self) = @_;

	return (
		'a token of OpenBao' =>
		  [ $self->{vault_token}, $self->{bao}{token} ],
		'a PIN' => [$pin],
		'a credential of a cloud' => [ $self->{clouds}->secrets ],
		'a token of a cloud' => $self->{clouds}->told('secrets'));
}

sub stop
{
	my ($self) = @_;

	$self->{node}->stop;
	$self->{clouds}->stop;
	$self->{bao}->stop;
	return;
}

1;
