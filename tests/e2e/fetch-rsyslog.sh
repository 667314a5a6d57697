#!/bin/bash
# fetch-rsyslog.sh - brings Debian's rsyslog, redis and logrotate into $BUILD/rsyslog without installing them, and says so in one line.
# usage: tests/e2e/fetch-rsyslog.sh
# Does nothing when they are already there. As fetch-sendmail.sh: apt-get download, dpkg -x; $BUILD/rsyslog/libs is what
# LD_LIBRARY_PATH has to be. A rsyslog or redis of the machine is neither touched nor used.
set -euo pipefail

BUILD=${BUILD:-build}
mkdir -p "$BUILD/rsyslog"
folder=$(cd "$BUILD/rsyslog" && pwd)
root=$folder/root
packages="rsyslog rsyslog-hiredis redis-tools redis-server logrotate"
# What they link that a small Debian 12 may lack: rsyslog's, then redis's.
libraries="libpopt0 libacl1 libestr0 libfastjson4 libuuid1 libzstd1 libhiredis0.14 libjemalloc2 liblzf1 libatomic1 libssl3"

library_path() {
	find "$root" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -s -d :
}

missing_libraries() {
	LD_LIBRARY_PATH=$(library_path) ldd "$root/usr/sbin/rsyslogd" "$root/usr/bin/redis-check-rdb" "$root/usr/bin/redis-cli" \
		"$root"/usr/lib/*/rsyslog/{imfile,mmjsonparse,omhiredis}.so | awk '/not found/ { print $1 }' | sort -u
}

is_complete() {
	[ -f "$folder/complete" ] && [ -x "$root/usr/sbin/rsyslogd" ]
}

is_complete && exit 0
exec 9>"$folder/lock"
flock 9
is_complete && exit 0
rm -rf "$root" "$folder/packages"
mkdir -p "$root" "$folder/packages"
download() {
	# shellcheck disable=SC2086
	(cd "$folder/packages" && apt-get download $packages $libraries) >"$folder/apt.log" 2>&1
}
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
# A machine just installed has no package lists: the first try may fail for that reason alone.
if ! download && ! { $as_root apt-get update >>"$folder/apt.log" 2>&1 && download; }; then
	cat "$folder/apt.log" >&2
	echo "fetch-rsyslog.sh: apt-get download failed; its output is above" >&2
	exit 3
fi
for package in "$folder"/packages/*.deb; do
	dpkg -x "$package" "$root"
done
missing=$(missing_libraries)
if [ -n "$missing" ]; then
	echo "fetch-rsyslog.sh: these libraries are still missing:" "$missing" >&2
	exit 3
fi
library_path >"$folder/libs"
rm -f "$folder/apt.log"
: >"$folder/complete"
echo "fetch-rsyslog.sh: unpacked $packages into $BUILD/rsyslog"
