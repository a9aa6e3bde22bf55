# 012_examples.pl: the examples of README.md and docs/*.md do what they say.
#
# The blocks marked "sql" are run in order, a file in one session, in a fresh
# database of a server that has pgenvelope preloaded and a provider "main".
# A statement that a line "-- fails: SQLSTATE" follows has to fail so, every
# other one has to succeed.  docs/examples/helper.sh is run elsewhere.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PgEnvelope;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The blocks of a file: [ line, text ].
sub blocks_of
{
	my ($path) = @_;
	my ($number, $block, @blocks) = (0);

	for my $line (split /^/, slurp_file($path))
	{
		$number++;
		if (defined $block)
		{
			$block = undef, next if $line =~ /^```\s*$/;
			$block->[1] .= $line;
		}
		elsif ($line =~ /^```sql\s*$/)
		{
			push @blocks, $block = [ $number, '' ];
		}
	}
	die "$path: a block does not end" if defined $block;
	return @blocks;
}

# The statements of a block: [ text, expected SQLSTATE ].
sub statements_of
{
	my ($text) = @_;
	my ($statement, @statements) = ('');

	while (
		$text =~ /\G(?<comment>--[^\n]*)
			|\G(?<quoted>'(?:[^']|'')*'|"[^"]*"|(\$\w*\$).*?\g{-1})
			|\G(?<end>;)
			|\G(?<other>.)/gsx)
	{
		my %token = %+;

		if (defined(my $comment = $token{comment}))
		{
			next unless $comment =~ /\bfails\b/;
			die "nothing before: $comment"
			  if $statement =~ /\S/ || !@statements;
			$comment =~ /^-- fails: ([0-9A-Z]{5})$/
			  or die "not understood: $comment";
			$statements[-1][1] = $1;
		}
		elsif (defined $token{end})
		{
			$statement =~ s/^\s+//;
			push @statements, [ $statement, '00000' ];
			$statement = '';
		}
		else
		{
			$statement .= $token{quoted} // $token{other};
		}
	}
	die "a statement does not end: $statement" if $statement =~ /\S/;
	return @statements;
}

is_deeply(
	[
		statements_of(
			"SELECT ';' -- a;\n, \$a\$;\$a\$;\n-- fails: PE004\n-- b\nSELECT 1;"
		)
	],
	[ [ "SELECT ';' \n, \$a\$;\$a\$", 'PE004' ], [ 'SELECT 1', '00000' ] ],
	'blocks are taken apart');

my $node = new_node('main', extension => 0);
my $top = source_directory();
my $databases = 0;

for my $path ("$top/README.md", sort glob "$top/docs/*.md")
{
	my @blocks = blocks_of($path) or next;
	my $name = substr($path, length("$top/"));
	my $database = 'examples' . ++$databases;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	my $session = session($node, $database);
	for my $block (@blocks)
	{
		my ($line, $text) = @$block;
		my @wrong;

		for my $statement (statements_of($text))
		{
			my ($sql, $expected) = @$statement;
			my (undef, $sqlstate, $message) = $session->run($sql);

			push @wrong, "$sqlstate instead of $expected: $sql\n$message"
			  if $sqlstate ne $expected;
		}
		is_deeply(\@wrong, [], "$name, line $line");
	}
	$session->quit;
}

cmp_ok($databases, '>=', 2, 'there were examples');
done_testing();
