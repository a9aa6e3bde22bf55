# Clouds.pm: moto and the doubles of Google Cloud and Azure, each behind a
# proxy that misbehaves on demand (test/providers/clouds_serve.py).
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

package Clouds;

use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use JSON::PP ();
use PgEnvelope;
use PostgreSQL::Test::Utils;
use Test::More;

# Starts them; skips the whole test where they are missing.
sub new
{
	my ($class) = @_;
	my $self = bless { in => '', out => '', log => '' }, $class;

	$self->{run} = IPC::Run::start(
		[
			'/usr/bin/python3',
			source_directory() . '/test/providers/clouds_serve.py'
		],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{log});
	my $set_up = $self->_answer;
	plan(skip_all => "needs $set_up->{missing}") if $set_up->{missing};
	note("servers: $set_up->{servers}");
	# In place: its pipes are tied to this hash.
	@$self{ keys %$set_up } = values %$set_up;
	return $self;
}

# What they answer next, decoded.
sub _answer
{
	my ($self) = @_;

	$self->{run}->pump
	  until $self->{out} =~ /\n/ || !$self->{run}->pumpable;
	while ($self->{out} =~ s/^([^\n]*)\n//)
	{
		my $line = $1;

		return JSON::PP::decode_json($line) if $line =~ /^[[{]/;
	}
	die "the clouds are gone: $self->{log}";
}

# Does what a command of clouds_serve.py says; returns its answer.
sub told
{
	my ($self, $command) = @_;

	$self->{in} .= "$command\n";
	return $self->_answer;
}

# Names and URIs of their root keys.
sub uris
{
	my ($self) = @_;

	return %{ $self->{uris} };
}

# What the server's environment must have.
sub environment
{
	my ($self) = @_;

	return %{ $self->{environment} };
}

# Credentials that it was set up with.
sub secrets
{
	my ($self) = @_;

	return @{ $self->{secrets} };
}

sub stop
{
	my ($self) = @_;

	$self->{run}->finish;
	return;
}

1;
