# OpenBao.pm: an OpenBao server, and a proxy before it that misbehaves on
# demand (test/providers/fault_proxy.py).
#
# It keeps its data in memory, or with "storage" in files, and can then be
# stopped and started again.
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
	my ($class, $name, %options) = @_;
	my ($version, $program) = installed();

	plan(skip_all => 'needs openbao') unless defined $program;
	note("servers: OpenBao $version");
	my $directory = new_directory("openbao_$name");
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $self = bless {
		program => $program,
		directory => $directory,
		port => $port,
		token => 'root-token-of-the-test',
		control => "$directory/control",
		http => HTTP::Tiny->new(timeout => 30),
	}, $class;

	push @running, $self;
	$self->{arguments} =
	  $options{storage}
	  ? ["-config=${\ $self->_configuration }"]
	  : [
		'-dev', '-dev-no-store-token',
		"-dev-root-token-id=$self->{token}",
		"-dev-listen-address=127.0.0.1:$port"
	  ];
	$self->_initialize if $options{storage};
	$self->start;

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

# With files, on plain HTTP.
sub _configuration
{
	my ($self) = @_;
	my $cluster = PostgreSQL::Test::Cluster::get_free_port();

	mkdir "$self->{directory}/data" or die $!;
	return write_file("$self->{directory}/config.hcl", <<"END");
storage "raft" {
  path = "$self->{directory}/data"
  node_id = "node"
}
cluster_addr = "http://127.0.0.1:$cluster"
api_addr = "http://127.0.0.1:$self->{port}"
listener "tcp" {
  address = "127.0.0.1:$self->{port}"
  tls_disable = true
}
ui = false
END
}

# Makes its root key and token, at the first start.
sub _initialize
{
	my ($self) = @_;

	$self->_run;
	my $made = $self->do('PUT', 'sys/init',
		{ secret_shares => 1, secret_threshold => 1 });
	$self->{unseal_key} = $made->{keys}[0];
	$self->{token} = $made->{root_token};
	$self->halt;
	return;
}

# Runs it until it answers, if only that it is sealed.
sub _run
{
	my ($self) = @_;

	local $ENV{HOME} = $self->{directory};
	$self->{server} = IPC::Run::start(
		[ $self->{program}, 'server', @{ $self->{arguments} } ],
		'<', '/dev/null', '>>', "$self->{directory}/log", '2>&1');
	wait_until(
		sub { ($self->call('GET', 'sys/health'))[0] =~ /^(?:200|50[13])$/ },
		'OpenBao answers');
	return;
}

# Starts it, ready for use.
sub start
{
	my ($self) = @_;

	$self->_run;
	$self->do('PUT', 'sys/unseal', { key => $self->{unseal_key} })
	  if $self->{unseal_key};
	wait_until(
		sub { ($self->call('GET', 'sys/health'))[0] == 200 },
		'OpenBao is ready');
	return;
}

# Ends the server, and not the proxy; "start" starts it again.
sub halt
{
	my ($self) = @_;

	$self->{server}->kill_kill(grace => 2);
	delete $self->{server};
	return;
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
