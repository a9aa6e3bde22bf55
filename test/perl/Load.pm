# Load.pm: pgbench in the background.
#
#   my $load = Load->new($node, clients => 4, rate => 100,
#       scripts => { "SELECT ...;\n" => 10, ... });    by weight
#   ...
#   my ($transactions, $failed, $said) = $load->stop;
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

package Load;

use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use PgEnvelope;
use PostgreSQL::Test::Utils;

my $loads = 0;

sub new
{
	my ($class, $node, %options) = @_;
	my $directory = new_directory('load' . ++$loads);
	my %scripts = %{ $options{scripts} };
	my $self = bless { said => '', clients => $options{clients} }, $class;
	my @files;

	for my $script (sort keys %scripts)
	{
		my $path = write_file("$directory/script" . @files, $script);

		push @files, '-f', "$path\@$scripts{$script}";
	}
	$self->{run} = IPC::Run::start(
		[
			$node->config_data('--bindir') . '/pgbench', '-n',
			'-c', $options{clients}, '-T', 7200,
			(defined $options{rate} ? ('-R', $options{rate}) : ()),
			@files, '-h', $node->host, '-p', $node->port, 'postgres'
		],
		'<', '/dev/null', '>', \$self->{said}, '2>&1');
	return $self;
}

# Ends it as when its time is up; returns how many transactions there were,
# how many clients had one fail (which ends them), and what it said.
sub stop
{
	my ($self) = @_;

	$self->{run}->signal('ALRM');
	$self->{run}->finish;
	my ($transactions) =
	  $self->{said} =~ /^number of transactions actually processed: (\d+)/m;
	my $failed = () = $self->{said} =~ /^pgbench: error: client \d+/mg;

	# It did not come to a report, or does not know of its own errors.
	$failed ||= $self->{clients}
	  if !$transactions || $self->{said} =~ /ERROR|abort/;
	return ($transactions // 0, $failed, $self->{said});
}

1;
