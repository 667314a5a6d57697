#!/bin/bash
# fetch-playwright.sh - brings playwright-core, which drives a browser, into $BUILD/playwright with npm, and says so in one line.
# usage: tests/e2e/fetch-playwright.sh
# Does nothing when it is already there. No browser comes with it: contrib/deps.sh brings Debian's Chromium.
set -euo pipefail

BUILD=${BUILD:-build}
VERSION=1.58.0 # the last known to run on Debian 12's nodejs 18
mkdir -p "$BUILD/playwright"
folder=$(cd "$BUILD/playwright" && pwd)

is_complete() {
	[ -f "$folder/node_modules/playwright-core/package.json" ] && [ -f "$folder/complete-$VERSION" ]
}

is_complete && exit 0
exec 9>"$folder/lock"
flock 9
is_complete && exit 0
if ! command -v npm >/dev/null 2>&1; then
	echo "fetch-playwright.sh: npm is missing: contrib/deps.sh test" >&2
	exit 3
fi
rm -rf "$folder/node_modules"
echo '{ "private": true }' >"$folder/package.json"
if ! (cd "$folder" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --no-save --no-audit --no-fund --ignore-scripts "playwright-core@$VERSION") \
	>"$folder/npm.log" 2>&1; then
	cat "$folder/npm.log" >&2
	echo "fetch-playwright.sh: npm could not install playwright-core; its output is above" >&2
	exit 3
fi
rm -f "$folder/npm.log"
: >"$folder/complete-$VERSION"
echo "fetch-playwright.sh: playwright-core $VERSION in $BUILD/playwright"
