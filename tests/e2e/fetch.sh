# shellcheck shell=bash disable=SC2154
# fetch.sh - what the fetch-*.sh that unpack Debian's packages share. They say what it is about in $folder (their own) and $root (below
# it, where the packages are unpacked).

# fetch_begin IS_COMPLETE: ends the script when nothing is to be done; tests that run side by side fetch once.
fetch_begin() {
	"$1" && exit 0
	exec 9>"$folder/lock"
	flock 9
	"$1" && exit 0
	rm -rf "$root" "$folder/complete" "$folder/packages"
	mkdir -p "$root" "$folder/packages"
}

# fetch_packages PACKAGE...: downloads and unpacks them; ends the script when that fails.
fetch_packages() {
	local log=$folder/apt.log as_root="" package
	[ "$(id -u)" -eq 0 ] || as_root=sudo
	# Another fetch-*.sh may be at it: apt-get update locks the package lists, and does not wait.
	exec 8>"$(dirname "$folder")/apt.lock"
	flock 8
	# apt says on stderr that it does not change to its own user in a folder like this one: not a failure.
	# A machine just installed has no package lists: the first try may fail for that reason alone.
	if ! fetch_download "$@" >"$log" 2>&1 && ! { $as_root apt-get -o Acquire::Retries=3 update && fetch_download "$@"; } >>"$log" 2>&1; then
		cat "$log" >&2
		echo "$(basename "$0"): apt-get download failed for: $*; its output is above" >&2
		exit 3
	fi
	exec 8>&-
	for package in "$@"; do
		dpkg -x "$folder"/packages/"${package}"_*.deb "$root"
	done
	rm -f "$log"
}

fetch_download() {
	(cd "$folder/packages" && apt-get -o Acquire::Retries=3 download "$@")
}

# fetch_library_path: the unpacked folders that hold libraries, as LD_LIBRARY_PATH wants them.
fetch_library_path() {
	find "$root" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -s -d :
}

# fetch_missing_libraries FILE...: the libraries that these still lack.
fetch_missing_libraries() {
	LD_LIBRARY_PATH=$(fetch_library_path) ldd "$@" | awk '/not found/ { print $1 }' | sort -u
}

# fetch_end WHAT...
fetch_end() {
	rm -rf "$folder/packages"
	: >"$folder/complete"
	echo "$(basename "$0"): unpacked $* into ${folder#"$PWD"/}"
}
