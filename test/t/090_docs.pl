# Shows that the documents say what is: one version everywhere, the settings
# that there are with their defaults, a comment on everything.
use strict;
use warnings FATAL => 'all';

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $readme = slurp_file("$top/README.md");

#
# The control file is the source of the version.
#
my ($version) =
  slurp_file("$top/leakwatch.control") =~ /^default_version = '(.+)'$/m;
my $meta = decode_json(slurp_file("$top/META.json"));
my $provided = $meta->{provides}{leakwatch};
my ($newest) = slurp_file("$top/CHANGELOG.md") =~ /^## (\S+)/m;

like($version, qr/^\d+\.\d+\.\d+$/, 'the control file has a version');
# Debian has no validator of PGXN's metadata; these are the specification's
# required keys, and its rules for those that are used.
ok(defined $meta->{$_}, "META.json has a $_")
  foreach qw(name version abstract maintainer license provides meta-spec);
is($meta->{'meta-spec'}{version}, '1.0.0', 'of the specification it names');
is($meta->{license}, 'postgresql', 'with a licence from its list');
is_deeply([ grep { ref || length > 255 || m{[\\/[:cntrl:]]} } @{ $meta->{tags} }, $meta->{name} ],
	[], 'with name and tags that are terms');
like($meta->{prereqs}{runtime}{requires}{PostgreSQL}, qr/^\d+\.\d+\.\d+$/, 'and a version for what it needs');
is($meta->{version}, $version, 'META.json is of that version');
is($provided->{version}, $version, 'and says that the extension is');
is($provided->{file}, "sql/leakwatch--$version.sql",
	'and names the script of that version');
ok(-f "$top/$provided->{$_}", "which has the $_ $provided->{$_}")
  foreach qw(file docfile);
is($newest, $version, 'the newest entry of CHANGELOG.md is of that version');

#
# What README.md says it costs is what was measured.
#
my ($costs) = $readme =~ /^## What it costs\n(.*?)^## /ms;
my $measured = slurp_file("$top/test/bench/results/results.md");
my @costs = $costs =~ /^(\| .+)$/mg;

cmp_ok(scalar @costs, '>', 10, 'README.md says what it costs');
is_deeply(
	[ grep { index($measured, "$_\n") < 0 } @costs ],
	[], 'and nothing that is not in the results of the benchmark');
is_deeply(
	[ grep { index($readme, $_) < 0 } $measured =~ /^(\| .* \| missed \|)$/mg ],
	[], 'and every promise that was missed');

#
# The table of settings in README.md is that of the server.
#
my $node = PostgreSQL::Test::Cluster->new('docs');
$node->init;
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'leakwatch'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION leakwatch');

my @documented;
while ($readme =~ /^\| `(leakwatch\.\w+)` \| (?:`(.+?)`|empty) \| (\w+) \|/mg)
{
	push @documented, join(' ', $1, $2 // '', $3);
}
is_deeply(
	[ sort @documented ],
	[
		split /\n/,
		$node->safe_psql(
			'postgres', q{
			SELECT concat_ws(' ', name, pg_catalog.current_setting(name), context)
			FROM pg_catalog.pg_settings WHERE name LIKE 'leakwatch.%'
			ORDER BY name COLLATE "C"})
	],
	'README.md lists the settings with their defaults and contexts');

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
# README.md names every view and function there is, and none that is not.
#
my %exists = map { $_ => 1 } split /\n/,
  $node->safe_psql(
	'postgres', q{
	SELECT name FROM pg_catalog.pg_settings WHERE name LIKE 'leakwatch.%'
	UNION SELECT 'leakwatch.' || relname FROM pg_catalog.pg_class
		WHERE relnamespace = 'leakwatch'::regnamespace AND relkind IN ('r', 'v')
	UNION SELECT 'leakwatch.' || proname FROM pg_catalog.pg_proc
		WHERE pronamespace = 'leakwatch'::regnamespace});
my %named = map { $_ => 1 } $readme =~ /\b(leakwatch\.[a-z_]+)\b/g;

delete $named{'leakwatch.control'};
is_deeply(\%named, \%exists, 'README.md names what there is and nothing else');

$node->stop;
done_testing();
