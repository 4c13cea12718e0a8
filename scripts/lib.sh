# What the commands in this directory share.  Source it; it sets
#
#   top      the project
#   work     a temporary directory, removed at the end
#   version  of PostgreSQL
#   bindir   programs of a private copy of the PostgreSQL server, in $work,
#            with leakwatch built from the tree and installed (private_server)
#
# Nothing is installed into the system but Debian packages that are missing,
# and no existing cluster is touched: PostgreSQL finds all its files relative
# to its programs, so a copy of them is a server of its own.
#
# shellcheck shell=bash
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=
version=
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

progress()
{
	printf '==> %s\n' "$*"
}

fail()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -E "$@"
	else
		fail "packages are missing ($*): run this as root, or install sudo"
	fi
}

# Servers refuse to run as root: then user postgres runs them.
as_server_user()
{
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

is_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

updated=
apt_update()
{
	[ -n "$updated" ] || as_root apt-get update -qq
	updated=yes
}

# install PACKAGE...: those that are missing
install()
{
	local package missing=()

	for package; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	progress "installing ${missing[*]}"
	apt_update
	as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
		{ cat "$work/apt.log" >&2; fail "could not install ${missing[*]}"; }
}

# Sets version: of the newest PostgreSQL server here, or else of this Debian's.
find_postgresql()
{
	version=$( (cd /usr/lib/postgresql 2>/dev/null && ls -d [0-9]*/bin/postgres) 2>/dev/null |
		cut -d / -f 1 | sort -n | tail -n 1) || true
	if [ -z "$version" ]; then
		apt_update
		version=$(apt-cache show --no-all-versions postgresql |
			sed -n 's/^Depends: .*postgresql-\([0-9]\+\).*/\1/p')
	fi
	[ -n "$version" ] || fail "found no PostgreSQL, neither here nor in Debian's archive"
}

# Debian's server package creates and starts a cluster when it is installed,
# unless this says no; it does so only while we install.
no_cluster=/etc/postgresql-common/createcluster.d/leakwatch.conf

# install_postgresql: the server and what building for it needs
install_postgresql()
{
	find_postgresql
	if ! is_installed "postgresql-$version"; then
		as_root mkdir -p "$(dirname $no_cluster)"
		echo 'create_main_cluster = false' | as_root tee $no_cluster >/dev/null
	fi
	install make gcc libc6-dev procps "postgresql-$version" "postgresql-server-dev-$version"
	[ ! -e $no_cluster ] || as_root rm -f $no_cluster
}

# What a test that was cut off may have left running in $work.
stop_servers()
{
	local file pid

	find "$work" -name postmaster.pid 2>/dev/null | while read -r file; do
		pid=$(head -n 1 "$file")
		kill -QUIT "$pid" 2>/dev/null || continue
		for _ in $(seq 100); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	done
}

cleanup()
{
	local status=$?

	trap - EXIT INT TERM
	if [ -n "$work" ]; then
		stop_servers
		rm -rf "$work"
	fi
	[ ! -e $no_cluster ] || as_root rm -f $no_cluster
	exit $status
}

# make_work_directory: sets work, and sees to it that it goes
make_work_directory()
{
	work=$(mktemp -d /tmp/leakwatch.XXXXXX)
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	chmod 755 "$work"
	mkdir "$work/tmp"
	export TMPDIR=$work/tmp
}

# private_server [PACKAGE...]: install what is missing, these packages
# included, copy the server, build, and install into the copy
private_server()
{
	local libdir sharedir

	make_work_directory
	install_postgresql
	[ $# = 0 ] || install "$@"

	progress "copying the PostgreSQL $version server to $work"
	libdir=/usr/lib/postgresql/$version
	sharedir=/usr/share/postgresql/$version
	mkdir -p "$work$libdir" "$work$sharedir" "$work/usr/include"
	cp -a "$libdir/bin" "$libdir/lib" "$work$libdir/"
	cp -a "$sharedir/." "$work$sharedir/"
	rm -rf "$work$libdir/lib/bitcode" "$work$libdir"/lib/leakwatch* "$work$sharedir"/extension/leakwatch*
	ln -s /usr/include/postgresql "$work/usr/include/postgresql"
	bindir=$work$libdir/bin

	progress "building leakwatch"
	mkdir "$work/build"
	tar -C "$top" -cf - --exclude=.git --exclude='*.o' --exclude='*.so' . | tar -C "$work/build" -xf - --no-same-owner
	make -s -C "$work/build" -j"$(nproc)" PG_CONFIG="$bindir/pg_config" with_llvm=no COPT=-Werror all install \
		>"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail "could not build leakwatch"; }

	if [ "$(id -u)" = 0 ]; then
		chown -R postgres: "$work"
	fi
}
