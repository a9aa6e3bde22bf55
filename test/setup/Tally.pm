# Tally.pm: a formatter for prove that counts each test.
#
# It appends lines to the file $TALLY: "passed NUMBER PROGRAM", "failed NAME"
# and "skipped NAME", and shows the end of the log of what failed.  A skip with
# the reason "needs TOOL" fails where PGENVELOPE_TEST_REQUIRE has that tool, or
# has "all" without "-TOOL".
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

package Tally;

use strict;
use warnings;

use File::Basename qw(basename);
use Time::HiRes qw(time);
use parent 'TAP::Formatter::File';

# The name of a program's log, as limit.sh has it.
sub name_of
{
	my ($path) = @_;

	return $path =~ m{^build/(.*)} ? $1 =~ s{/}{-}gr : basename($path);
}

# What prove prints before the outcome of a program.
sub _format_name
{
	my ($self, $path) = @_;

	return sprintf '  %6.1f s  %-26s ', time - $self->{start}{$path},
	  name_of($path);
}

sub record
{
	my ($self, @words) = @_;

	open my $out, '>>', $ENV{TALLY} or die "$ENV{TALLY}: $!";
	print $out "@words\n";
	close $out or die "$ENV{TALLY}: $!";
}

sub record_skip
{
	my ($self, $name, $reason) = @_;
	my ($tool) = $reason =~ /^needs (\S+)/;
	my %required = map { $_ => 1 }
	  split /[\s,]+/, $ENV{PGENVELOPE_TEST_REQUIRE} // '';

	$name .= " ($reason)" if $reason;
	return $self->record('failed', "$name, which is required")
	  if $tool && ($required{$tool} || $required{all} && !$required{"-$tool"});
	$self->record('skipped', $name);
}

sub open_test
{
	my ($self, $path, $parser) = @_;
	my $program = name_of($path);

	$self->{start}{$path} = time;
	$parser->callback(test => sub {
		my ($test) = @_;
		my $name = $test->description =~ s/^- //r || 'test ' . $test->number;

		if ($test->has_skip || $test->has_todo && !$test->is_actual_ok)
		{
			$self->record_skip("$program: $name",
				($test->has_todo ? 'to do: ' : '') . $test->explanation);
			$self->{not_passed}{$path}++;
		}
		elsif (!$test->is_ok)
		{
			$self->record('failed', "$program: $name");
		}
	});
	return $self->SUPER::open_test($path, $parser);
}

# What became of the programs themselves.
sub summary
{
	my ($self, $aggregate) = @_;

	foreach my $path ($aggregate->descriptions)
	{
		my ($parser) = $aggregate->parsers($path);
		my $program = name_of($path);
		my @errors = $parser->parse_errors;

		push @errors, 'exit code ' . $parser->exit
		  if $parser->exit && !$parser->failed;
		$self->record_skip("$program: everything", $parser->skip_all)
		  if $parser->skip_all;
		$self->record('failed', "$program: $errors[0]") if @errors;
		$self->record('passed',
			$parser->passed - ($self->{not_passed}{$path} // 0), $program);
		next unless @errors || $parser->failed;
		print "  $program:\n";
		print "    $_" for qx{tail -n 60 '$ENV{LOG}/$program.log'};
	}
}

1;
