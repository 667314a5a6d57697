#!/bin/bash
# fetch-sendmail.sh - brings Debian's sendmail into $BUILD/sendmail without installing it, and says so in one line.
# usage: tests/e2e/fetch-sendmail.sh
# Does nothing when it is already there. The packages come through apt-get download and are unpacked by dpkg -x; shared
# libraries that the machine lacks come the same way, and lib.sh finds them through $BUILD/sendmail/libs.
set -euo pipefail
. "$(dirname "$0")/fetch.sh"

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

is_complete() {
	[ -f "$folder/complete" ] && [ -x "$program" ] && [ -z "$(fetch_missing_libraries "$program")" ]
}

fetch_begin is_complete
packages="sendmail-bin sendmail-base sendmail-cf"
# shellcheck disable=SC2086
fetch_packages $packages
# Debian's is setgid mail, and the dynamic linker ignores LD_LIBRARY_PATH for such programs.
chmod 0755 "$program"

while missing=$(fetch_missing_libraries "$program") && [ -n "$missing" ]; do
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
	fetch_packages $wanted
	packages="$packages$wanted"
done
fetch_library_path >"$folder/libs"
fetch_end "$packages"
