# What the commands in this directory share.  Source it; it sets
#
#   top      the project
#   work     a temporary directory, removed at the end (make_work_directory)
#   version  of PostgreSQL (find_postgresql)
#   bindir   programs of a private copy of the PostgreSQL server, in $work,
#            with leakwatch built from the tree and installed (private_server)
#
# Nothing is installed into the system but Debian packages that are missing,
# and no cluster is touched or made: PostgreSQL finds all its files relative to
# its programs, so a copy of them is a server of its own.
#
# shellcheck shell=bash
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=
version=
export LC_ALL=C.UTF-8

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
		sudo "$@"
	else
		fail "packages are missing: run this as root, or install sudo ($*)"
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

# Servers that a command which was cut off has left running: immediate shutdown.
stop_servers()
{
	local file pid

	find "$work" -name postmaster.pid 2>/dev/null | while read -r file; do
		pid=$(head -n 1 "$file")
		kill -QUIT "$pid" 2>/dev/null || continue
		for _ in {1..50}; do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	done
}

cleanup()
{
	local status=$?

	trap - EXIT
	trap '' INT TERM
	allow_new_cluster
	allow_services
	stop_servers
	rm -rf "$work"
	exit $status
}

make_work_directory()
{
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	work=$(mktemp -d "${TMPDIR:-/tmp}/leakwatch.XXXXXX")
	chmod 755 "$work"

	# for sockets and the like, so that they go with the rest
	export TMPDIR=$work/tmp
	mkdir -m 1777 "$TMPDIR"
}

# A newly installed server package creates a cluster and starts it, but not
# while this file is there.
no_cluster=/etc/postgresql-common/createcluster.d/leakwatch.conf

prevent_new_cluster()
{
	as_root mkdir -p "$(dirname $no_cluster)"
	echo 'create_main_cluster = false' | as_root tee $no_cluster >/dev/null
}

allow_new_cluster()
{
	[ ! -e $no_cluster ] || as_root rm -f $no_cluster
}

# Nor is a service started that a package brings along: while dpkg runs, and so
# under its lock, there is a policy that forbids that.  One that somebody else has
# made stays.
service_policy=/usr/sbin/policy-rc.d

# without_services ARGUMENT...: apt_get
without_services()
{
	printf '#!/bin/sh\n# made by leakwatch\nexit 101\n' >"$work/policy-rc.d"
	chmod 755 "$work/policy-rc.d"
	apt_get "$@" \
		-o "DPkg::Pre-Invoke::=[ -e $service_policy ] || cp -p $work/policy-rc.d $service_policy" \
		-o "DPkg::Post-Invoke::=! cmp -s $work/policy-rc.d $service_policy || rm -f $service_policy"
	allow_services
}

# After an installation that failed
allow_services()
{
	! cmp -s "$work/policy-rc.d" "$service_policy" || as_root rm -f "$service_policy"
}

# For how many seconds another package manager is waited for
lock_patience=900

# apt_get WHAT ARGUMENT...: apt-get, to do WHAT.  While another package manager
# holds a lock (a fresh machine upgrades itself), it is tried again: apt itself
# would wait for the locks of dpkg, but not for those of its lists and archives.
apt_get()
{
	local what=$1 log=$work/apt.log until=$((SECONDS + lock_patience)) held waiting=

	shift
	progress "$what"
	until as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null >"$log" 2>&1; do
		held=$(sed -n 's/^E: Could not get lock //p' "$log")
		[ -n "$held" ] || { cat "$log" >&2; fail "failed in $what"; }
		[ "$SECONDS" -lt "$until" ] || fail "failed in $what: $lock_patience s were not enough for $held"
		[ -n "$waiting" ] ||
			progress "waiting up to $lock_patience s for another package manager: $held"
		waiting=yes
		sleep 1
	done
}

updated=
update_package_lists()
{
	[ -z "$updated" ] || return 0
	apt_get "updating the package lists" update
	updated=yes
}

# install_packages PACKAGE...: those that are missing
install_packages()
{
	local package missing=()

	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	update_package_lists
	prevent_new_cluster
	without_services "installing ${missing[*]}" install -y --no-install-recommends "${missing[@]}"
	allow_new_cluster
}

# node-postgres.  Where nodejs is not Debian's, apt refuses to install Debian's
# package of it: then it is unpacked into $work/node, with what it needs.
install_node_pg()
{
	if apt-get install --simulate --no-install-recommends node-pg >/dev/null 2>&1; then
		install_packages node-pg
		return
	fi
	apt-cache show node-pg >/dev/null 2>&1 || update_package_lists
	progress "unpacking node-pg"
	(
		cd "$work"
		apt-get download -qq node-pg node-split2 node-xtend
		for package in node-*.deb; do
			dpkg-deb --extract "$package" node
		done
	) >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; fail "could not unpack node-pg"; }
}

# Sets version: the newest PostgreSQL server here, or else the one of Debian.
find_postgresql()
{
	local program

	version=$(for program in /usr/lib/postgresql/*/bin/postgres; do
		[ ! -e "$program" ] || echo "$program"
	done | cut -d / -f 5 | sort -n | tail -n 1)
	if [ "${version:-0}" -lt 15 ]; then
		update_package_lists
		version=$(apt-cache show postgresql |
			sed -n 's/^Depends: .*postgresql-\([0-9]\+\).*/\1/p' | sort -n | tail -n 1)
	fi
	[ "${version:-0}" -ge 15 ] || fail "found no PostgreSQL from 15 on, neither here nor in Debian's archive"
}

# copy_tree DIRECTORY: the sources, without what builds and tests leave there
copy_tree()
{
	mkdir "$1"
	tar -C "$top" -cf - --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		--exclude=./tmp_check --exclude=./tmp_check_iso --exclude=./results . |
		tar -C "$1" -xf - --no-same-owner
}

# Compiler options beyond those of the Makefile, for private_server.
copt=-Werror

# Where the server is copied from: a prefix that PostgreSQL has been installed
# into, or nothing for Debian's.
server_prefix=

# copy_server: into $work; sets bindir
copy_server()
{
	local libdir=/usr/lib/postgresql/$version sharedir=/usr/share/postgresql/$version

	progress "copying the PostgreSQL $version server to $work"
	if [ -n "$server_prefix" ]; then
		cp -a "$server_prefix" "$work/server"
		bindir=$work/server/bin
		return
	fi
	mkdir -p "$work$libdir" "$work$sharedir" "$work/usr/include"
	cp -a "$libdir/bin" "$libdir/lib" "$work$libdir/"
	cp -a "$sharedir/." "$work$sharedir/"
	rm -rf "$work$libdir/lib/bitcode" "$work$libdir"/lib/leakwatch* "$work$sharedir"/extension/leakwatch*
	ln -s /usr/include/postgresql "$work/usr/include/postgresql"
	bindir=$work$libdir/bin
}

# private_server [PACKAGE...]: install what is missing, these packages
# included, copy the server, build, and install into the copy
private_server()
{
	make_work_directory
	find_postgresql
	install_packages make gcc libc6-dev "postgresql-$version" "postgresql-server-dev-$version" "$@"
	copy_server

	progress "building leakwatch"
	copy_tree "$work/build"
	make -s -C "$work/build" -j"$(nproc)" PG_CONFIG="$bindir/pg_config" with_llvm=no COPT="$copt" all install \
		>"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail "could not build leakwatch"; }

	if [ "$(id -u)" = 0 ]; then
		chown -R postgres: "$work"
	fi
}
