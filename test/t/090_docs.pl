# Shows that the documents say what is: one version everywhere, settings, kinds,
# views, functions and messages as the code has them, examples that work, links
# that lead somewhere, and a comment on everything.
use strict;
use warnings FATAL => 'all';

use ClientPool;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use FindBin;
use JSON::PP;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path("$FindBin::RealBin/../..");
my %text = map { $_ => slurp_file("$top/$_") }
  qw(README.md CONTRIBUTING.md CHANGELOG.md),
  map { s{^\Q$top\E/}{}r } glob "$top/doc/*.md";
my $readme = $text{'README.md'};

# The part of a document under this heading, up to the next of its level.
sub section
{
	my ($file, $heading) = @_;
	my ($section) = $text{$file} =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms;

	return $section // die "$file has no section \"$heading\"";
}

# The rows of the tables in a text, each as an array of its columns.
sub table_rows
{
	return map { [ split / *\| */, s/^\| *| *\|$//gr, -1 ] }
	  grep { !/^\| *-/ } $_[0] =~ /^(\|.+\|)$/mg;
}

# What is quoted as code at the start of a column.
sub quoted
{
	return $_[0] =~ /^`([^`]+)`/ ? $1 : undef;
}

#
# The control file is the source of the version.
#
my ($version) =
  slurp_file("$top/leakwatch.control") =~ /^default_version = '(.+)'$/m;
my $meta = decode_json(slurp_file("$top/META.json"));
my $provided = $meta->{provides}{leakwatch};
my ($newest) = $text{'CHANGELOG.md'} =~ /^## (\S+)/m;

like($version, qr/^\d+\.\d+\.\d+$/, 'the control file has a version');
# Debian has no validator of PGXN's metadata; these are the specification's
# required keys, and its rules for those that are used.
ok(defined $meta->{$_}, "META.json has a $_")
  foreach qw(name version abstract maintainer license provides meta-spec);
is($meta->{'meta-spec'}{version}, '1.0.0', 'of the specification it names');
is($meta->{license}, 'postgresql', 'with a licence from its list');
is_deeply([ grep { ref || length > 255 || m{[\\/[:cntrl:]]} } @{ $meta->{tags} }, $meta->{name} ],
	[], 'with name and tags that are terms');
is($meta->{version}, $version, 'META.json is of that version');
is($provided->{version}, $version, 'and says that the extension is');
ok(-f "$top/$provided->{$_}", "which has the $_ $provided->{$_}")
  foreach qw(file docfile);
is($newest, $version, 'the newest entry of CHANGELOG.md is of that version');

# A base script, and from there one script for each step.
my %next = map { m{--([\d.]+)--([\d.]+)\.sql$} ? ($1 => $2) : () } glob "$top/sql/*.sql";
my ($reached) = $provided->{file} =~ m{^sql/leakwatch--([\d.]+)\.sql$};

$reached = $next{$reached} while $reached ne $version && $next{$reached};
is($reached, $version, 'and from the script that META.json names, scripts lead to that version');

#
# compat.h is the source of what servers it is for, test-matrix of those that
# are tested.
#
my ($oldest, $unknown) = map { $_ / 10000 }
  slurp_file("$top/src/compat.h") =~ /PG_VERSION_NUM (?:<|>=) (\d+)\n#error/g;
my ($tested) = slurp_file("$top/scripts/test-matrix") =~ /versions=\(([\d ]+)\)$/m;
my $list = join(', ', split / /, $tested) =~ s/, (\d+)$/ and $1/r;

like($readme, qr/for PostgreSQL $oldest to @{[ $unknown - 1 ]}\./, 'README.md says for which servers it is');
is($meta->{prereqs}{runtime}{requires}{PostgreSQL}, "$oldest.0.0", 'and META.json from which on');
like($readme, qr/tests run\s+on $list;/, 'README.md says on which it is tested');
like($text{'CONTRIBUTING.md'}, qr/`\.\/scripts\/test-matrix` \| builds and tests with $list /, 'and CONTRIBUTING.md');

#
# What doc/cost.md says it costs is what was measured.
#
my $measured = slurp_file("$top/test/bench/results/results.md");
my @costs = $text{'doc/cost.md'} =~ /^(\| .+)$/mg;

cmp_ok(scalar @costs, '>', 10, 'doc/cost.md says what it costs');
is_deeply(
	[ grep { index($measured, "$_\n") < 0 } @costs ],
	[], 'and nothing that is not in the results of the benchmark');
is_deeply(
	[ grep { index($text{'doc/cost.md'}, $_) < 0 } $measured =~ /^(\| .* \| missed \|)$/mg ],
	[], 'and every promise that was missed');

#
# The table of settings in README.md is that of the server.
#
my $node = PostgreSQL::Test::Cluster->new('docs');
$node->init;
$node->append_conf('postgresql.conf', <<'EOC');
shared_preload_libraries = 'leakwatch'
log_line_prefix = '%m [%p] %e '
max_prepared_transactions = 1
EOC
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION leakwatch');

sub lines_of
{
	return split /\n/, $node->safe_psql('postgres', $_[0]);
}

my @documented;
while ($readme =~ /^\| `(leakwatch\.\w+)` \| (?:`(.+?)`|empty) \| (\w+) \|/mg)
{
	push @documented, join(' ', $1, $2 // '', $3);
}
is_deeply(
	[ sort @documented ],
	[
		lines_of(q{
			SELECT concat_ws(' ', name, pg_catalog.current_setting(name), context)
			FROM pg_catalog.pg_settings WHERE name LIKE 'leakwatch.%'
			ORDER BY name COLLATE "C"})
	],
	'README.md lists the settings with their defaults and contexts');

my @kinds = lines_of(q{
	SELECT substring(name FROM '\.(.*)_warn$') FROM pg_catalog.pg_settings
	WHERE name LIKE 'leakwatch.%_warn' AND unit = 'ms' ORDER BY name COLLATE "C"});

is_deeply(
	[ sort map { quoted($_->[0]) // () } table_rows(section('README.md', 'Kinds of leak')) ],
	\@kinds,
	'and the kinds for which there are limits');

#
# All that the extension has is explained.
#
my $members = q{pg_catalog.pg_depend AS d
	JOIN pg_catalog.pg_extension AS e
		ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		AND d.deptype = 'e' AND e.extname = 'leakwatch'};

cmp_ok(
	$node->safe_psql('postgres', "SELECT count(*) FROM $members"),
	'>=', 9, 'the extension has its objects');
is( $node->safe_psql(
		'postgres', qq{
		SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
		FROM $members
		WHERE pg_catalog.obj_description(d.objid, d.classid::regclass::name) IS NULL
			-- from 17 on, the row types of tables and views are members too
			AND d.classid <> 'pg_type'::regclass
		ORDER BY 1}),
	'',
	'every object has a comment');
is( $node->safe_psql(
		'postgres', qq{
		SELECT a.attrelid::regclass, a.attname
		FROM $members
		JOIN pg_catalog.pg_class AS c
			ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('r', 'v')
		JOIN pg_catalog.pg_attribute AS a
			ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE pg_catalog.col_description(a.attrelid, a.attnum) IS NULL
		ORDER BY 1, 2}),
	'',
	'every column has a comment');

#
# The documents name every setting, view and function there is, and none that is
# not; doc/views.md has a section on each view and function.
#
my %objects = map { $_ => 1 } lines_of(q{
	SELECT 'leakwatch.' || relname FROM pg_catalog.pg_class
		WHERE relnamespace = 'leakwatch'::regnamespace AND relkind IN ('r', 'v')
	UNION SELECT 'leakwatch.' || proname FROM pg_catalog.pg_proc
		WHERE pronamespace = 'leakwatch'::regnamespace AND prorettype <> 'trigger'::regtype});
my %exists = (%objects,
	map { $_ => 1 } lines_of(q{SELECT name FROM pg_catalog.pg_settings WHERE name LIKE 'leakwatch.%'}));
my %named;

foreach my $file (sort grep { $_ ne 'CHANGELOG.md' } keys %text)
{
	my %here = map { $_ => 1 } $text{$file} =~ /\b(leakwatch\.[a-z_]+)\b/g;

	delete @here{qw(leakwatch.control leakwatch.html)};
	is_deeply([ grep { !$exists{$_} } sort keys %here ], [], "$file names nothing that is not");
	%named = (%named, %here) if $file ne 'CONTRIBUTING.md';
}
is_deeply(\%named, \%exists, 'README.md and doc/ name all that is');
is_deeply(
	[ sort $text{'doc/views.md'} =~ /^## (leakwatch\.\w+)/mg ],
	[ sort keys %objects ],
	'doc/views.md has a section on each view and function');

# The words for values that it explains are those of the column's comment.
sub values_in_comment
{
	my ($relation, $column) = @_;
	my ($comment) = lines_of(
		"SELECT pg_catalog.col_description(attrelid, attnum) FROM pg_catalog.pg_attribute"
		  . " WHERE attrelid = 'leakwatch.$relation'::regclass AND attname = '$column'");

	return [ sort split /, | or /, $comment =~ s/ \(.*?\)//gr =~ s/^.*: (?!NULL|nothing)|; NULL.*$//gr ];
}

# Those that the paragraph or item which starts with the column's name quotes.
sub values_explained
{
	my ($column) = @_;
	my ($paragraph) = $text{'doc/views.md'} =~ /^(?:- )?`$column` (.*?)(?=^- |\n\n)/ms;

	return [ sort $paragraph =~ /`([a-z ]+)`/g ];
}

is_deeply(
	[ sort map { quoted($_->[0]) // () } table_rows(section('doc/views.md', 'leakwatch.incidents: the history')) ],
	values_in_comment('incidents', 'outcome'),
	'it explains each outcome');
is_deeply(values_explained('protected_by'), values_in_comment('sessions', 'protected_by'), 'and each protection');
is_deeply(values_explained('holds'), values_in_comment('leaks', 'holds'), 'and each thing held');

#
# The messages are those of the code.  For each string in it, what it is made of
# between the directives.
#
my (@strings, @calls);
{
	my $code = '';

	foreach my $file (glob "$top/src/*.c")
	{
		my $source = slurp_file($file);

		# without comments, and with adjacent strings as one
		$source =~ s{("(?:\\.|[^"\\])*")|'(?:\\.|[^'\\])*'|/\*.*?\*/}{$1 // ' '}gse;
		$source =~ s{"\s*INT64_FORMAT\s*"}{%d}g;
		$source =~ s{(?<=[^\\\s(,])"\s+"}{}g;
		$code .= $source;
	}
	@strings = map { s/\\n/ /gr =~ s/\\(.)/$1/gr } $code =~ /"((?:\\.|[^"\\])*)"/g;

	my $parenthesised;
	$parenthesised = qr/\((?:[^()"]++|"(?:\\.|[^"\\])*"|(??{ $parenthesised }))*\)/;
	@calls = $code =~ /\bereport($parenthesised)/g;
}

# What is fixed in a message: the parts between those that differ.
sub fixed_parts
{
	return grep { /[A-Za-z]/ }
	  map { s/^[\s,.]+|[\s,.]+$//gr } split /…|%[-+.*\d]*l*[a-zA-Z]/, $_[0];
}

# Which of these have a part that is in no string of the code?
sub not_in_code
{
	return [
		grep
		{
			grep
			{
				my $part = $_;
				!grep { index($_, $part) >= 0 } @strings
			} fixed_parts($_)
		} @_
	];
}

my @messages = table_rows($text{'doc/messages.md'});

cmp_ok(scalar @calls, '>', 10, 'the code has messages');
is_deeply(not_in_code(map { quoted($_->[0]) // () } @messages),
	[], 'doc/messages.md has no message or field that the code has not');

my ($headers) = run_command([ 'pg_config', '--includedir-server' ]);
my %sqlstate = slurp_file("$headers/utils/errcodes.h") =~ /^#define (ERRCODE_\w+) MAKE_SQLSTATE\((.*)\)$/mg;
s/[^0-9A-Z]//g foreach values %sqlstate;
my %level = (guc_log_level => '`leakwatch.log_level`', WARNING_CLIENT_ONLY => 'WARNING');
my %success = (LOG => '00000', NOTICE => '00000');

foreach my $call (@calls)
{
	my ($level) = $call =~ /^\((\w+)/;
	my ($code, $rest) = $call =~ /\berrcode\((\w+)(.)/;
	my $sqlstate = !defined $code ? $success{$level} : $rest eq ')' ? $sqlstate{$code} : undef;

	while ($call =~ /\berrmsg(?:_plural)?\(\s*(?:"(?:[^"\\]|\\.)*",\s+(?="))?"((?:\\.|[^"\\])*)"/g)
	{
		# a copy: the replacement has a $1 of its own
		my $message = "$1" =~ s{\\(.)}{$1}gr;
		my ($row) = grep {
			my $row = join ' | ', @$_;
			@$_ == 4 && !grep { index($row, $_) < 0 } fixed_parts($message)
		} @messages;

		ok($row, "doc/messages.md has: $message") or next;
		is($row->[1], $level{$level} // $level, '... with its level');
		is($row->[2], $sqlstate, '... and its SQLSTATE') if defined $sqlstate;
	}
}

# A session over each of the limits, or what is no session, and what is said of it.
my @session_kinds = grep { !/^(?:prepared_transaction|suspected_leak)$/ } @kinds;
my %leak = map { $_ => leak($node, $_, user => undef, warn => '10ms') } @session_kinds;

$node->safe_psql('postgres', "ALTER SYSTEM SET leakwatch.prepared_transaction_warn = '10ms'");
$node->safe_psql('postgres', "SELECT pg_reload_conf(); BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'docs'");
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE gid = 'docs')");
wait_for_leak($node, $_, $leak{$_}) foreach @session_kinds;

# Who is suspected is so by what the rest of its pool does.
my $pool = ClientPool->new($node, order => 'fifo', user => $node->safe_psql('postgres', 'SELECT current_user'),
	set => { suspected_leak_warn => '1s' },
	work => [ map { "SELECT count(*) FROM $_ WHERE oid = %d" } qw(pg_class pg_type) ]);

$pool->serve foreach 1 .. 50;
$leak{suspected_leak} = $pool->forget;
serve_until($node, [$pool], "SELECT count(*) = 1 FROM leakwatch.leaks WHERE kind = 'suspected_leak'");
foreach my $kind (@kinds)
{
	my ($row) = grep { @$_ == 5 && $_->[0] eq "`$kind`" } @messages;

	ok($row, "doc/messages.md has $kind") or next;

	my ($phrase) = fixed_parts(quoted($row->[1]));
	my ($sqlstate, $newer, $from) = $row->[2] =~ /^(\w{5})(?: \((\w{5}) from PostgreSQL (\d+) on\))?$/;
	my ($entry) = grep { $_->{message} =~ / has been \Q$phrase\E \d/ }
	  exists $leak{$kind} ? log_of($node, $leak{$kind}) : log_entries($node);

	is($entry->{sqlstate}, $newer && $node->pg_version >= $from ? $newer : $sqlstate,
		'... with its words and its SQLSTATE');
}
terminate($node, map { $leak{$_} } @session_kinds);
$node->safe_psql('postgres', "ROLLBACK PREPARED 'docs'");

# Of what "health" says, two are the server's own words.
my ($health) = section('README.md', 'Troubleshooting') =~ /^(\| health \|.*?)\n\n/ms;

is_deeply(
	not_in_code(
		grep { !/ (?:database "…" does not exist|canceling statement due to lock timeout)$/ }
		map { quoted($_->[0]) // () } table_rows($health)),
	[],
	'README.md has the words of health');

# Examples of messages, which are folded.
my $examples = join '', @text{ grep { /^README|^doc/ } sort keys %text };
my @hints = map { s/\n\s+/ /gr } $examples =~ /^HINT:  (.*(?:\n    .*)*)/mg;

cmp_ok(scalar @hints, '>', 5, 'the documents have examples of messages');
# as they read, whatever stands for a directive
my @hint_patterns = map { my $pattern = join '.*', map { quotemeta } split /%[-+.*\d]*l*[a-zA-Z]/, $_, -1; qr/^$pattern$/ }
  grep { fixed_parts($_) } @strings;
is_deeply([ grep { my $hint = $_; !grep { $hint =~ $_ } @hint_patterns } @hints ], [], 'and their hints are those of the code');

#
# The examples in SQL work, and show the columns that they have in the document.
#
$node->safe_psql('postgres', <<'EOC');
CREATE DATABASE shop;
CREATE ROLE web LOGIN;
CREATE ROLE reports LOGIN;
CREATE ROLE shop_test LOGIN;
EOC
foreach my $file (sort grep { /^README|^doc/ } keys %text)
{
	my @examples = $text{$file} =~ /^```sql\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?/msg;

	while ($text{$file} =~ /^postgres=# ([^\n]*\n)(.*?)^```\n/msg)
	{
		push @examples, $1, $2;
	}
	while (my ($sql, $output) = splice @examples, 0, 2)
	{
		my ($title) = $sql =~ /([^\n]*)/;
		my ($header) = ($output // '') =~ /^( .*\|.*)\n[-+]+\n/;
		my ($status, $out, $err) = $node->psql('postgres', $sql,
			extra_params => [ '--no-align', '--field-separator= | ', '--pset=tuples_only=off' ]);

		is("$status$err", '0', "$file: $title works");
		is((split /\n/, $out)[0], join(' | ', split / *\| */, $header =~ s/^ +| +$//gr), '... with these columns')
		  if defined $header;
	}
}

# A function for applications is the one that was tried.
my ($function) = $text{'doc/clients.md'} =~ /^```js\n(async function withClient.*?)^```/ms;

cmp_ok(index(slurp_file("$top/test/clients/enforce.js"), $function), '>=', 0,
	'doc/clients.md has the function that test/clients/enforce.js has');

# And so are the helpers for tests, each of which begins with the name of its file.
my %helpers = map { /^(?:\/\/|#) (\w+\.\w+)\n/ ? ($1 => $_) : () } $text{'doc/clients.md'} =~ /^```\w+\n(.*?)^```/msg;

is_deeply([ sort keys %helpers ], [qw(NoLeaks.java conftest.py no_leaks.js)], 'doc/clients.md has helpers for tests');
is($helpers{$_}, slurp_file("$top/test/clients/frameworks/$_"), "... that of $_ as it was tried") foreach sort keys %helpers;

#
# Links lead somewhere, and files that are named are there.
#
sub anchors
{
	my ($file) = @_;
	my $plain = slurp_file($file) =~ s/^```.*?^```$//msgr;

	# as GitHub makes them
	return map { $_ => 1 } map { s/[^\w\s-]//gr =~ s/ /-/gr } map { lc } $plain =~ /^#+ +(.*?)\s*$/mg;
}

foreach my $file (sort keys %text)
{
	my $directory = dirname("$top/$file");
	my $prose = $text{$file} =~ s/^```.*?^```$//msgr;
	my @broken;

	foreach my $link ($prose =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ /^https?:/;
		my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $target = $path eq '' ? "$top/$file" : "$directory/$path";

		push @broken, $link
		  unless -e $target && (!defined $anchor || { anchors($target) }->{$anchor});
	}
	foreach my $code ($prose =~ /`([^`\n]+)`/g)
	{
		while ($code =~ m{(?<![\w/.])(?:\./)?((?:src|sql|scripts|test|doc|debian|expected|monitoring|\.ci)/[\w./-]+)}g)
		{
			push @broken, $1 unless -e "$top/$1";
		}
	}
	is_deeply(\@broken, [], "$file leads to what is there");
}

$node->stop;
done_testing();
