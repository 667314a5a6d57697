#!/bin/sh
# deps.sh - installs the Debian packages that a target of the Makefile needs and that are missing, and says which.
# usage: contrib/deps.sh build|test
# Nothing is done when all are there. Uses apt-get, through sudo when not root.
set -eu

build="gcc make pkg-config libc6-dev libinotifytools0-dev libjansson-dev libpcre2-dev libmicrohttpd-dev libcurl4-gnutls-dev
	libncurses-dev"
tests="$build libcmocka-dev clang libclang-rt-dev valgrind strace tmux m4 groff-base procps perl-base apt jq curl openssl
	libdb5.3 libldap-2.5-0 liblockfile1 libnsl2 libsasl2-2 libssl3"
# The page's browser. A nodejs that is not Debian's brings its own npm, and Debian's npm would not go with it.
tests="$tests chromium fonts-dejavu-core"
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
	tests="$tests nodejs npm"
fi

case "${1:-build}" in
build) wanted=$build ;;
test) wanted=$tests ;;
*)
	echo "deps.sh: unknown set of packages '$1': expected build or test" >&2
	exit 2
	;;
esac

missing=
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
	case "$state" in
	ii*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "deps.sh: these packages are missing and there is no apt-get to install them:$missing" >&2
	exit 3
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "deps.sh: these packages are missing:$missing" >&2
		echo "deps.sh: install them as root: apt-get install --no-install-recommends$missing" >&2
		exit 3
	fi
	as_root=sudo
fi

echo "deps.sh: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A machine just installed has no package lists: the first try may fail for that reason alone.
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! $as_root apt-get install -y --no-install-recommends $missing >"$log" 2>&1; then
	if ! { $as_root apt-get update && $as_root apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
		cat "$log" >&2
		echo "deps.sh: apt-get failed; its output is above" >&2
		exit 3
	fi
fi
