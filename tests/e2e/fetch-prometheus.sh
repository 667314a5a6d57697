#!/bin/bash
# fetch-prometheus.sh - brings Debian's prometheus (with promtool) and node_exporter into $BUILD/prometheus without installing them, and
# says so in one line.
# usage: tests/e2e/fetch-prometheus.sh
# Does nothing when they are already there. As fetch-sendmail.sh: apt-get download, dpkg -x. They need nothing but libc. A Prometheus of
# the machine is neither touched nor used.
set -euo pipefail
. "$(dirname "$0")/fetch.sh"

BUILD=${BUILD:-build}
mkdir -p "$BUILD/prometheus"
folder=$(cd "$BUILD/prometheus" && pwd)
root=$folder/root
packages="prometheus prometheus-node-exporter"

is_complete() {
	[ -f "$folder/complete" ] && [ -x "$root/usr/bin/promtool" ]
}

fetch_begin is_complete
# shellcheck disable=SC2086
fetch_packages $packages
"$root/usr/bin/promtool" --version >"$folder/version" 2>&1
fetch_end "$packages"
