# OpenBao.pm: an OpenBao server in memory, and a proxy before it that
# misbehaves on demand (test/providers/fault_proxy.py).
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

package OpenBao;

use strict;
use warnings FATAL => 'all';

use HTTP::Tiny;
use IPC::Run ();
use JSON::PP ();
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @running;

# Where the server's program is, and its version; nothing without it.
sub installed
{
	my $said = qx("${\ source_directory() }/test/setup/openbao.sh" 2>&1);

	return $? == 0 && $said =~ /^openbao (\S+) (\S+)$/m ? ($1, $2) : ();
}

# Starts both; skips the whole test without OpenBao.
sub new
{
	my ($class, $name) = @_;
	my ($version, $program) = installed();

	plan(skip_all => 'needs openbao') unless defined $program;
	note("servers: OpenBao $version");
	my $directory = new_directory("openbao_$name");
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $self = bless {
		port => $port,
		token => 'root-token-of-the-test',
		control => "$directory/control",
		http => HTTP::Tiny->new(timeout => 30),
	}, $class;

	push @running, $self;
	local $ENV{HOME} = $directory;
	$self->{server} = IPC::Run::start(
		[
			$program, 'server', '-dev', '-dev-no-store-token',
			"-dev-root-token-id=$self->{token}",
			"-dev-listen-address=127.0.0.1:$port"
		],
		'<', '/dev/null', '>', "$directory/log", '2>&1');
	wait_until(
		sub { ($self->call('GET', 'sys/health'))[0] == 200 },
		'OpenBao is ready');

	my ($in, $out) = ('', '');
	$self->{proxy} = IPC::Run::start(
		[
			'/usr/bin/python3',
			source_directory() . '/test/providers/fault_proxy.py',
			$port, $self->{control}
		],
		'<pipe', \*PROXY_IN, '>', \$out);
	$self->{proxy}->pump until $out =~ /^(\d+)\n/;
	($self->{proxy_port}) = $out =~ /^(\d+)/;
	return $self;
}

# (status, decoded reply)
sub call
{
	my ($self, $method, $path, $body) = @_;
	my $reply = $self->{http}->request(
		$method,
		"http://127.0.0.1:$self->{port}/v1/$path",
		{
			headers => { 'X-Vault-Token' => $self->{token} },
			defined $body
			? (content => JSON::PP::encode_json($body))
			: ()
		});
	my $content = $reply->{content} // '';

	return ($reply->{status},
		$content =~ /^\{/ ? JSON::PP::decode_json($content) : {});
}

sub do
{
	my ($self, $method, $path, $body) = @_;
	my ($status, $reply) = $self->call($method, $path, $body);

	die "$method $path: $status" if $status >= 300;
	return $reply;
}

# A transit key and a policy of the same name, as documented.
sub new_key
{
	my ($self, $name) = @_;

	$self->do('POST', "transit/keys/$name", {});
	$self->do('PUT', "sys/policies/acl/$name", { policy => <<"END" });
path "transit/encrypt/$name" { capabilities = ["update"] }
path "transit/decrypt/$name" { capabilities = ["update"] }
path "transit/keys/$name"    { capabilities = ["read"] }
END
	return;
}

sub new_token
{
	my ($self, @policies) = @_;
	my $reply = $self->do('POST', 'auth/token/create',
		{ policies => \@policies, no_parent => \1 });

	return $reply->{auth}{client_token};
}

# Behind the proxy.
sub uri
{
	my ($self, $name, $settings) = @_;

	return "vault+http://127.0.0.1:$self->{proxy_port}/transit/keys/$name?"
	  . $settings;
}

# What the proxy does from now on.
sub behave
{
	my ($self, $mode) = @_;

	write_file($self->{control}, $mode);
	return;
}

# How many requests that match have reached the server.
sub requests
{
	my ($self, $pattern) = @_;
	my $path = "$self->{control}.requests";

	return 0 unless -e $path;
	return scalar(my @lines = grep { /$pattern/ } split /\n/,
		slurp_file($path));
}

sub stop
{
	my ($self) = @_;

	for (qw(server proxy))
	{
		$self->{$_}->kill_kill(grace => 2) if $self->{$_};
		delete $self->{$_};
	}
	return;
}

# Also where the test dies.
END
{
	local $?;
	$_->stop for @running;
}

1;
