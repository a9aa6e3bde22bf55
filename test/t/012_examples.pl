# 012_examples.pl: the examples of README.md and below docs/ do what they say.
#
# The blocks marked "sql" are run in order, a file in one session, in a fresh
# database of a server that has pgenvelope preloaded and a provider "main".
# A comment of Markdown, from a line "<!-- run" to a line "-->", is run as well:
# what an example needs and a reader need not see.  One that begins with
# "<!-- run in a new database" starts over.
# A statement that a line "-- fails: SQLSTATE" follows has to fail so, every
# other one has to succeed; one that a line "-- repeat until: RESULT" follows
# is repeated until that is its result.  A block marked "text" right after one
# marked "sql" shows what that one prints: its lines are found there, in that
# order, "..." standing for anything.  The variable "token" is a token for the
# database, made by docs/examples/session_token.sh; helper.sh is run elsewhere.
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

# The blocks of a file: { line, sql, shown, fresh }.
sub blocks_of
{
	my ($path) = @_;
	my ($number, $kind, $end, $last, @blocks) = (0);

	for my $line (split /^/, slurp_file($path))
	{
		$number++;
		if (defined $kind)
		{
			$kind = undef, next if $line =~ $end;
			$last->{$kind} .= $line if $last;
		}
		elsif ($line =~ /^<!-- run( in a new database)?$/)
		{
			($kind, $end) = ('sql', qr/^-->$/);
			push @blocks, $last =
			  { line => $number, sql => '', shown => '', fresh => $1 };
		}
		elsif ($line =~ /^ *```(\w*)\s*$/)
		{
			$end = qr/^ *```\s*$/;
			$kind = $1 eq 'text' ? 'shown' : $1;
			$last = undef if $kind ne 'shown';
			push @blocks, $last = { line => $number, sql => '', shown => '' }
			  if $kind eq 'sql';
		}
		elsif ($line =~ /\S/)
		{
			$last = undef;
		}
	}
	die "$path: a block does not end" if defined $kind;
	return @blocks;
}

# What a table of psql's, or an error, has in its lines, without the headings.
sub lines_shown
{
	my ($text) = @_;
	my @lines;

	for my $line (split /\n/, $text)
	{
		if ($line =~ /^\s*-[-+]*$/)
		{
			pop @lines;
			next;
		}
		push @lines, trimmed($line) if $line =~ /\S/;
	}
	return @lines;
}

# A line, without what psql puts between columns for the eye.
sub trimmed
{
	my ($line) = @_;

	return join '|', map { s/^\s+|\s+$//gr } split /\|/, $line, -1;
}

# The first of the lines shown that was not printed in its turn.
sub not_printed
{
	my ($shown, $printed) = @_;
	my @printed = map { trimmed($_) } split /\n/, $printed;

	for my $line (lines_shown($shown))
	{
		my $wanted = join '.*', map { quotemeta } split /\.\.\./, $line, -1;

		while (1)
		{
			return $line unless @printed;
			last if shift(@printed) =~ /^$wanted$/;
		}
	}
	return;
}

# The statements of a block: [ text, expected SQLSTATE, expected result ].
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
			next unless $comment =~ /\b(?:fails|repeat)\b/;
			die "nothing before: $comment"
			  if $statement =~ /\S/ || !@statements;
			$comment =~
			  /^-- (?:fails: ([0-9A-Z]{5})|repeat until: (\w+))$/
			  or die "not understood: $comment";
			$statements[-1][1] = $1 if defined $1;
			$statements[-1][2] = $2 if defined $2;
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
			  . "\n-- repeat until: t\n"
		)
	],
	[
		[ "SELECT ';' \n, \$a\$;\$a\$", 'PE004' ],
		[ 'SELECT 1', '00000', 't' ]
	],
	'blocks are taken apart');
is(not_printed(" a | b\n---+---\n 1 | x...z\n\n", "0|0\n1|xyz\n"),
	undef, 'what is shown is found');
is(not_printed(" a | b\n---+---\n 1 | x\n", "1|xy\n"),
	'1|x', 'what is not printed is not found');

my $top = source_directory();
my $tokens = new_directory('tokens');

# What docs/examples/session_token.sh prints.
sub token_script
{
	my (@arguments) = @_;

	my ($printed) =
	  run_command([ "$top/docs/examples/session_token.sh", @arguments ]);

	die "nothing printed: @arguments" if $printed eq '';
	return $printed;
}

system_or_bail('openssl', 'genpkey', '-algorithm', 'ed25519', '-out',
	"$tokens/issuer.pem");
write_file("$tokens/session.jwks",
	token_script('jwks', "$tokens/issuer.pem", 'issuer-1'));

my $node = new_node(
	'main',
	extension => 0,
	conf => "pgenvelope.session_key_file = '$tokens/session.jwks'\n",
	providers => 'main=file://' . new_key_file() . ', next=file://'
	  . new_key_file());
my $databases = 0;

for my $path ("$top/README.md", sort glob "$top/docs/*.md $top/docs/*/*.md")
{
	my $name = substr($path, length("$top/"));
	my ($database, $session);

	for my $block (blocks_of($path))
	{
		my ($printed, @wrong) = ('');

		if (!$session || $block->{fresh})
		{
			$session->quit if $session;
			$database = 'examples' . ++$databases;
			$node->safe_psql('postgres', "CREATE DATABASE $database");
			$session = session($node, $database);
		}
		$session->run(
			"\\set token '"
			  . token_script('token', "$tokens/issuer.pem", 'issuer-1',
				$database, '{"tenant": "acme"}')
			  . "'") if $block->{sql} =~ /:'token'/;
		for my $statement (statements_of($block->{sql}))
		{
			my ($sql, $expected, $result) = @$statement;
			my ($out, $sqlstate, $message);

			wait_until(
				sub {
					($out, $sqlstate, $message) = $session->run($sql);
					return !defined $result
					  || $sqlstate ne $expected
					  || $out eq $result;
				},
				"it is so: $sql");
			push @wrong, "$sqlstate instead of $expected: $sql\n$message"
			  if $sqlstate ne $expected;
			$printed .= "$out\n";
			$printed .= "ERROR:  $message\n" if $sqlstate ne '00000';
		}
		if (defined(my $line = not_printed($block->{shown}, $printed)))
		{
			push @wrong, "not printed: $line\nbut:\n$printed";
		}
		is_deeply(\@wrong, [], "$name, line $block->{line}");
	}
	$session->quit if $session;
}

cmp_ok($databases, '>=', 2, 'there were examples');
done_testing();
