#!/bin/bash
# fetch-sendmail.sh - brings Debian's sendmail into $BUILD/sendmail without installing it, and says so in one line.
# usage: tests/e2e/fetch-sendmail.sh
# Does nothing when it is already there. The packages come through apt-get download and are unpacked by dpkg -x; shared
# libraries that the machine lacks come the same way, and lib.sh finds them through $BUILD/sendmail/libs.
set -euo pipefail

BUILD=${BUILD:-build}
mkdir -p "$BUILD/sendmail/packages"
folder=$(cd "$BUILD/sendmail" && pwd)
root=$folder/root
program=$root/usr/libexec/sendmail/sendmail

# Which package has a library, by the name that ldd misses.
package_of() {
	case "$1" in
	libwrap.so.0) echo libwrap0 ;;
	liblockfile.so.1) echo liblockfile1 ;;
	libdb-5.3.so) echo libdb5.3 ;;
	libnsl.so.2) echo libnsl2 ;;
	libldap-2.5.so.0 | liblber-2.5.so.0) echo libldap-2.5-0 ;;
	libsasl2.so.2) echo libsasl2-2 ;;
	libcrypto.so.3 | libssl.so.3) echo libssl3 ;;
	libtirpc.so.3) echo libtirpc3 ;;
	libgnutls.so.30) echo libgnutls30 ;;
	libgssapi_krb5.so.2) echo libgssapi-krb5-2 ;;
	libkrb5.so.3) echo libkrb5-3 ;;
	libk5crypto.so.3) echo libk5crypto3 ;;
	libkrb5support.so.0) echo libkrb5support0 ;;
	libkeyutils.so.1) echo libkeyutils1 ;;
	libcom_err.so.2) echo libcom-err2 ;;
	libp11-kit.so.0) echo libp11-kit0 ;;
	libidn2.so.0) echo libidn2-0 ;;
	libunistring.so.2) echo libunistring2 ;;
	libtasn1.so.6) echo libtasn1-6 ;;
	libnettle.so.8) echo libnettle8 ;;
	libhogweed.so.6) echo libhogweed6 ;;
	libgmp.so.10) echo libgmp10 ;;
	libffi.so.8) echo libffi8 ;;
	*) return 1 ;;
	esac
}

# The unpacked folders that hold libraries, as LD_LIBRARY_PATH wants them.
library_path() {
	find "$root" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -s -d :
}

missing_libraries() {
	LD_LIBRARY_PATH=$(library_path) ldd "$program" | awk '/not found/ { print $1 }'
}

download() {
	local log=$folder/apt.log as_root=
	# apt says on stderr that it does not change to its own user in a folder like this one: not a failure.
	if (cd "$folder/packages" && apt-get download "$@") >"$log" 2>&1; then
		return 0
	fi
	# A machine just installed has no package lists: the first try may fail for that reason alone.
	[ "$(id -u)" -eq 0 ] || as_root=sudo
	if $as_root apt-get update >>"$log" 2>&1 && (cd "$folder/packages" && apt-get download "$@") >>"$log" 2>&1; then
		return 0
	fi
	cat "$log" >&2
	echo "fetch-sendmail.sh: apt-get download failed for: $*; its output is above" >&2
	return 1
}

unpack() {
	local package
	for package in "$@"; do
		dpkg -x "$folder"/packages/"${package}"_*.deb "$root"
	done
}

is_complete() {
	[ -f "$folder/complete" ] && [ -x "$program" ] && [ -z "$(missing_libraries)" ]
}

is_complete && exit 0
# Tests that run side by side fetch it once.
exec 9>"$folder/lock"
flock 9
is_complete && exit 0
rm -rf "$root" "$folder/complete" "$folder/packages"
mkdir -p "$root" "$folder/packages"

packages="sendmail-bin sendmail-base sendmail-cf"
# shellcheck disable=SC2086
download $packages
# shellcheck disable=SC2086
unpack $packages
# Debian's is setgid mail, and the dynamic linker ignores LD_LIBRARY_PATH for such programs.
chmod 0755 "$program"

while missing=$(missing_libraries) && [ -n "$missing" ]; do
	wanted=
	for library in $missing; do
		package=$(package_of "$library") || {
			echo "fetch-sendmail.sh: sendmail needs $library, and no package is known that has it" >&2
			exit 3
		}
		case " $packages $wanted " in
		*" $package "*) ;;
		*) wanted="$wanted $package" ;;
		esac
	done
	if [ -z "$wanted" ]; then
		echo "fetch-sendmail.sh: sendmail still misses these libraries:" "$missing" >&2
		exit 3
	fi
	# shellcheck disable=SC2086
	download $wanted
	# shellcheck disable=SC2086
	unpack $wanted
	packages="$packages$wanted"
done
library_path >"$folder/libs"
rm -f "$folder/apt.log"
: >"$folder/complete"
echo "fetch-sendmail.sh: unpacked $packages into $BUILD/sendmail"
