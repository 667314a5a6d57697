#!/usr/bin/env bash
# lint.sh - all warnings of gcc and clang, and cppcheck, clang-tidy, shellcheck where they are installed.
set -u
cd "$(dirname "$0")/.." || exit 3
build=${BUILD:-build}
bad=0

for compiler in gcc clang; do
	if command -v "$compiler" >/dev/null; then
		echo "lint: $compiler"
		make --no-print-directory -j"$(nproc)" BUILD="$build/lint-$compiler" CC="$compiler" programs >/dev/null || bad=1
	fi
done
# uninitvar: takes what a called function fills for what it reads (valgrind and the compilers look for the real ones).
if command -v cppcheck >/dev/null; then
	echo "lint: cppcheck"
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem --suppress=ctuuninitvar --suppress=uninitvar \
		--error-exitcode=1 -Iinclude -DQFWATCH_VERSION='"0"' -D_GNU_SOURCE policy watcher || bad=1
fi
if command -v clang-tidy >/dev/null; then
	echo "lint: clang-tidy"
	clang-tidy --quiet --warnings-as-errors='*' \
		--checks='-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-assignment-in-if-condition,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*' \
		policy/*.c watcher/*.c -- -std=gnu17 -Iinclude -D_GNU_SOURCE -DQFWATCH_VERSION='"0"' 2>/dev/null || bad=1
fi
if command -v shellcheck >/dev/null; then
	echo "lint: shellcheck"
	shellcheck -x contrib/*.sh tests/*.sh tests/*/*.sh || bad=1
fi
exit "$bad"
