#!/bin/bash
# fetch-prometheus.sh - brings Debian's prometheus (with promtool) and node_exporter into $BUILD/prometheus without installing them, and
# says so in one line.
# usage: tests/e2e/fetch-prometheus.sh
# Does nothing when they are already there. As fetch-sendmail.sh: apt-get download, dpkg -x. They need nothing but libc. A Prometheus of
# the machine is neither touched nor used.
set -euo pipefail

BUILD=${BUILD:-build}
mkdir -p "$BUILD/prometheus"
folder=$(cd "$BUILD/prometheus" && pwd)
root=$folder/root
packages="prometheus prometheus-node-exporter"

is_complete() {
	[ -f "$folder/complete" ] && [ -x "$root/usr/bin/promtool" ]
}

is_complete && exit 0
exec 9>"$folder/lock"
flock 9
is_complete && exit 0
rm -rf "$root" "$folder/packages"
mkdir -p "$root" "$folder/packages"
download() {
	# shellcheck disable=SC2086
	(cd "$folder/packages" && apt-get download $packages) >"$folder/apt.log" 2>&1
}
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
# A machine just installed has no package lists: the first try may fail for that reason alone.
if ! download && ! { $as_root apt-get update >>"$folder/apt.log" 2>&1 && download; }; then
	cat "$folder/apt.log" >&2
	echo "fetch-prometheus.sh: apt-get download failed; its output is above" >&2
	exit 3
fi
for package in "$folder"/packages/*.deb; do
	dpkg -x "$package" "$root"
done
rm -rf "$folder/packages" "$folder/apt.log"
"$root/usr/bin/promtool" --version >"$folder/version" 2>&1
: >"$folder/complete"
echo "fetch-prometheus.sh: unpacked $packages into $BUILD/prometheus"
