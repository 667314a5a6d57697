#!/bin/bash
# fetch-rsyslog.sh - brings Debian's rsyslog, redis and logrotate into $BUILD/rsyslog without installing them, and says so in one line.
# usage: tests/e2e/fetch-rsyslog.sh
# Does nothing when they are already there. As fetch-sendmail.sh: apt-get download, dpkg -x; $BUILD/rsyslog/libs is what
# LD_LIBRARY_PATH has to be. A rsyslog or redis of the machine is neither touched nor used.
set -euo pipefail
. "$(dirname "$0")/fetch.sh"

BUILD=${BUILD:-build}
mkdir -p "$BUILD/rsyslog"
folder=$(cd "$BUILD/rsyslog" && pwd)
root=$folder/root
packages="rsyslog rsyslog-hiredis redis-tools redis-server logrotate"
# What they link that a small Debian 12 may lack: rsyslog's, then redis's.
libraries="libpopt0 libacl1 libestr0 libfastjson4 libuuid1 libzstd1 libhiredis0.14 libjemalloc2 liblzf1 libatomic1 libssl3"

is_complete() {
	[ -f "$folder/complete" ] && [ -x "$root/usr/sbin/rsyslogd" ]
}

fetch_begin is_complete
# shellcheck disable=SC2086
fetch_packages $packages $libraries
missing=$(fetch_missing_libraries "$root/usr/sbin/rsyslogd" "$root/usr/bin/redis-check-rdb" "$root/usr/bin/redis-cli" \
	"$root"/usr/lib/*/rsyslog/{imfile,mmjsonparse,omhiredis}.so)
if [ -n "$missing" ]; then
	echo "fetch-rsyslog.sh: these libraries are still missing:" "$missing" >&2
	exit 3
fi
fetch_library_path >"$folder/libs"
fetch_end "$packages"
