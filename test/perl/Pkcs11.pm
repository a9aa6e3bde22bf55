# Pkcs11.pm: what the tests of pgenvelope-pkcs11 share.
#
# Tokens of SoftHSM and of openCryptoki, a double of a module (a real one that
# misbehaves on demand, test/providers/pkcs11_double.c), and the helper program
# spoken to as the keeper does.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

package Pkcs11;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use IPC::Open2;
use IPC::Run ();
use PgEnvelope qw(new_directory source_directory wait_until write_file);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(helper_program softhsm_module softhsm_missing new_softhsm
  softhsm_tool softhsm_init softhsm_version new_module_double
  opencryptoki_missing new_opencryptoki start_helper by_hand pkcs11_uri);

# The first of some files that is there.
sub first_of
{
	my @files = grep { -e } @_;

	return $files[0];
}

# What is not in PATH of an ordinary user may be for the administrator.
sub program
{
	my ($name) = @_;

	return first_of(map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin',
		'/sbin');
}

# The output of a command that is not to fail.
sub output_of
{
	my @command = @_;
	my ($out, $err);

	IPC::Run::run(\@command, '<', \'', '>', \$out, '2>', \$err)
	  or die "@command: $out$err";
	return $out;
}

# The one under test, else the one that is installed.
sub helper_program
{
	return $ENV{PGENVELOPE_PKCS11} if $ENV{PGENVELOPE_PKCS11};
	my $directory = output_of('pg_config', '--pkglibdir');

	chomp $directory;
	return "$directory/pgenvelope-pkcs11";
}

# A URI with its words; the values are encoded as far as paths need it.
sub pkcs11_uri
{
	my ($attributes, %words) = @_;

	for (values %words)
	{
		s/([^A-Za-z0-9\/:._-])/sprintf '%%%02X', ord $1/ge;
	}
	return "pkcs11:$attributes?"
	  . join('&', map { "$_=$words{$_}" } sort keys %words);
}

# ---------------------------------------------------------------------------
# SoftHSM
# ---------------------------------------------------------------------------

sub softhsm_module
{
	return first_of('/usr/lib/softhsm/libsofthsm2.so',
		glob('/usr/lib/*/softhsm/libsofthsm2.so'),
		'/usr/lib64/pkcs11/libsofthsm2.so');
}

# What is missing for tests with SoftHSM, or undef.
sub softhsm_missing
{
	return 'softhsm2' unless softhsm_module() && program('softhsm2-util');
	return 'opensc' unless program('pkcs11-tool');
	return 'pgenvelope-pkcs11' unless -x helper_program();
	return;
}

# An empty store of tokens, for this process and all that it starts.
sub new_softhsm
{
	my $directory = new_directory('softhsm');

	mkdir "$directory/tokens" or die "$directory/tokens: $!";
	$ENV{SOFTHSM2_CONF} = write_file("$directory/conf", <<"END");
directories.tokendir = $directory/tokens
objectstore.backend = file
log.level = ERROR
END
	return $directory;
}

sub softhsm_version
{
	my $version = output_of('softhsm2-util', '--version');

	chomp $version;
	return "SoftHSM $version";
}

# A new token, or one in the place of another: then all its keys are gone.
sub softhsm_init
{
	my ($label, $pin, $again) = @_;
	my @where = ('--free');

	if ($again)
	{
		my ($slot) = output_of('softhsm2-util', '--show-slots') =~
		  /^Slot (\d+)\n(?:(?!^Slot ).*\n)*?\s+Label:\s+\Q$label\E\s*$/m
		  or die "there is no token $label";
		@where = ('--slot', $slot);
	}
	output_of('softhsm2-util', '--init-token', @where, '--label', $label,
		'--so-pin', 'so-pin-of-test', '--pin', $pin);
	return;
}

# Runs pkcs11-tool on a token.
sub softhsm_tool
{
	my ($label, $pin, @arguments) = @_;

	return output_of('pkcs11-tool', '--module', softhsm_module(),
		'--token-label', $label, '--login', '--pin', $pin, @arguments);
}

# ---------------------------------------------------------------------------
# The double of a module
# ---------------------------------------------------------------------------

# Compiles it, around SoftHSM's; for this process and all that it starts.
sub new_module_double
{
	my $directory = new_directory('module');
	my $self = bless { path => "$directory/double.so" }, 'Pkcs11::Double';

	output_of('cc', '-std=c11', '-D_GNU_SOURCE', '-O1', '-Wall', '-Wextra',
		'-Werror', '-shared', '-fPIC', '-o', $self->{path},
		source_directory() . '/test/providers/pkcs11_double.c', '-ldl');
	chmod 0755, $self->{path};
	$ENV{PKCS11_DOUBLE} = "$directory/double";
	$ENV{PKCS11_DOUBLE_REAL} = softhsm_module();
	$self->{state} = "$directory/double";
	return $self;
}

package Pkcs11::Double;

sub path
{
	my ($self) = @_;

	return $self->{path};
}

# Lines of its control file; none: it behaves.
sub behave
{
	my ($self, @lines) = @_;

	PgEnvelope::write_file("$self->{state}.control",
		join('', map { "$_\n" } @lines));
	return;
}

# How often a function was called since the calls were forgotten.
sub calls
{
	my ($self, $function) = @_;

	return 0 unless -e "$self->{state}.calls";
	return scalar(
		my @lines = grep { $_ eq $function }
		  split(/\n/,
			PostgreSQL::Test::Utils::slurp_file("$self->{state}.calls")));
}

sub forget_calls
{
	my ($self) = @_;

	unlink "$self->{state}.calls";
	return;
}

package Pkcs11;

# ---------------------------------------------------------------------------
# openCryptoki
# ---------------------------------------------------------------------------

# What is missing for tests with openCryptoki, or undef.
sub opencryptoki_missing
{
	return 'opencryptoki'
	  unless program('pkcsslotd')
	  && program('pkcsconf')
	  && _opencryptoki_module();
	return 'opensc' unless program('pkcs11-tool');
	return 'pgenvelope-pkcs11' unless -x helper_program();
	return 'user-namespaces'
	  unless system('unshare -Urmi true 2>/dev/null') == 0;
	return;
}

sub _opencryptoki_module
{
	return first_of(glob('/usr/lib/*/opencryptoki/libopencryptoki.so.0'),
		'/usr/lib64/opencryptoki/libopencryptoki.so.0');
}

# A soft token "ock" with a PIN, in namespaces of its own: the paths and the
# daemon of openCryptoki are the machine's otherwise.
sub new_opencryptoki
{
	my ($pin) = @_;
	my $directory = new_directory('opencryptoki');
	my $self = bless { directory => $directory }, 'Pkcs11::OpenCryptoki';
	my $script = write_file("$directory/up.sh", <<'END', 0700);
#!/bin/bash
# Ends with its standard input; what it has mounted ends with it.
set -e
PATH=$PATH:/usr/sbin:/sbin
for where in /var/lib/opencryptoki /run /var/log; do
    mount -t tmpfs none $where
done
mkdir -p /var/log/opencryptoki /run/lock/opencryptoki/swtok \
    /var/lib/opencryptoki/swtok/TOK_OBJ
printf 'root:x:0:\npkcs11:x:0:root\n' >/run/group
printf 'version opencryptoki-3.8\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n' \
    >/run/opencryptoki.conf
mount --bind /run/group /etc/group
mount --bind /run/opencryptoki.conf /etc/opencryptoki/opencryptoki.conf
pkcsslotd
trap 'kill "$(cat /run/pkcsslotd.pid)"' EXIT
# The first PINs are the token's own.
printf 'ock\n' | pkcsconf -c 3 -I -S 87654321
pkcsconf -c 3 -P -S 87654321 -n 87654322
pkcsconf -c 3 -u -S 87654322 -n 12345678
pkcsconf -c 3 -p -U 12345678 -n "$1"
echo ready
cat
END

	$self->{pid} = open2(my $out, $self->{in}, 'unshare', '-Urmi', $script,
		$pin);
	my $line = '';
	$line = <$out> // die 'openCryptoki did not start'
	  until $line =~ /^(?:Enter a unique token label: )?ready$/;
	$self->{out} = $out;

	# In there root is nobody, and a module has to be somebody's.
	$self->{module} = write_file("$directory/module.so",
		slurp_file(_opencryptoki_module()), 0755);
	return $self;
}

package Pkcs11::OpenCryptoki;

sub module
{
	my ($self) = @_;

	return $self->{module};
}

# What is run in there.
sub inside
{
	my ($self, @command) = @_;

	return ('nsenter', '-t', $self->{pid}, '-U', '-m', '-i',
		'--preserve-credentials', @command);
}

sub version
{
	my ($self) = @_;
	my ($version) =
	  Pkcs11::output_of($self->inside('pkcsconf', '-i')) =~
	  /Library Version (\S+)/;

	return "openCryptoki $version";
}

sub tool
{
	my ($self, $pin, @arguments) = @_;

	return Pkcs11::output_of(
		$self->inside(
			'pkcs11-tool', '--module', $self->{module}, '--token-label', 'ock',
			'--login', '--pin', $pin, @arguments));
}

# The names of the flags that the token has.
sub flags
{
	my ($self) = @_;
	my ($flags) =
	  Pkcs11::output_of($self->inside('pkcsconf', '-t', '-c', '3')) =~
	  /Flags: \S+ \(([^)]*)/
	  or die 'there is no token';

	return $flags;
}

sub stop
{
	my ($self) = @_;

	close $self->{in};
	waitpid $self->{pid}, 0;
	return;
}

package Pkcs11;

# ---------------------------------------------------------------------------
# The helper program
# ---------------------------------------------------------------------------

# Runs it with a URI, by a command in front of it if there is one.
sub start_helper
{
	my ($uri, @before) = @_;

	return Pkcs11::Helper->new($uri, @before);
}

# (exit code, standard output, standard error) of --check.
sub by_hand
{
	my ($uri, @before) = @_;
	my @command = (@before, helper_program(), '--check', $uri);
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '<', \'', '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

package Pkcs11::Helper;

use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Utils;

# Which key a request is about, unless it says so.
my $default_key = '0123456789ab/1';

sub new
{
	my ($class, $uri, @before) = @_;
	my $self = bless { requests => 0, in => '', out => '', err => '' }, $class;

	$self->{run} = IPC::Run::start(
		[ @before, Pkcs11::helper_program(), $uri ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return $self;
}

# The reply to a request, without its first two words: (word, rest), or
# ('gone', '') from one that has ended.
sub ask
{
	my ($self, $verb, @fields) = @_;
	my $id = ++$self->{requests};

	$self->{out} = '';
	$self->{in} .= join(' ', $verb, $id, 'main', @fields) . "\n";
	eval {
		$self->{run}->pump until $self->{out} =~ /\n/;
	};
	die $@ if $@ =~ /timeout/;
	return ('gone', '') unless $self->{out} =~ /\n/;
	die "not a reply: $self->{out}"
	  unless $self->{out} =~ /^(ok|error) $id(?: (.*))?\n\z/;
	return ($1, $2 // '');
}

# (category, text) of a failure, ('ok', fields) else.
sub outcome
{
	my ($self, @request) = @_;
	my ($word, $rest) = $self->ask(@request);

	return ($word, $rest) if $word ne 'error';
	return split(/ /, $rest, 2);
}

# (category or 'ok', sealed bytes or text, root key)
sub seal
{
	my ($self, $plaintext, $key) = @_;
	my ($word, $rest) = $self->outcome('seal', $key // $default_key,
		encode_base64($plaintext, ''));

	return ($word, $rest) if $word ne 'ok';
	my ($sealed, $root_key) = map { decode_base64($_) } split(/ /, $rest);
	return ($word, $sealed, $root_key);
}

# (category or 'ok', plaintext or text)
sub unseal
{
	my ($self, $sealed, $key) = @_;
	my ($word, $rest) = $self->outcome('unseal', $key // $default_key,
		encode_base64($sealed, ''));

	return ($word, $word eq 'ok' ? decode_base64($rest) : $rest);
}

sub check
{
	my ($self) = @_;
	my ($word, $rest) = $self->outcome('check');

	return ($word, $word eq 'ok' ? decode_base64($rest) : $rest);
}

# Ends its input; returns what waitpid says of it.
sub finish
{
	my ($self) = @_;

	IPC::Run::finish($self->{run});
	return $self->{run}->full_result(0);
}

sub errors
{
	my ($self) = @_;

	return $self->{err};
}

1;
