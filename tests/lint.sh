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
# Not asked for:
# uninitvar  takes what a called function fills for what it reads (valgrind and the compilers look for the real ones).
# identicalInnerCondition  takes "if (*p && ...) return *p" for a second question.
# It does not look into the system's headers: macros that are no function calls are told to it.
if command -v cppcheck >/dev/null; then
	echo "lint: cppcheck"
	mkdir -p "$build"
	cat >"$build/lint-macros.h" <<-'END'
		#define json_array_foreach(array, index, value) for (index = 0; (value = json_array_get(array, index)); index++)
		#define json_object_foreach(object, key, value) while ((key = next_key(object)) && (value = json_object_get(object, key)))
		#define LIST_HEAD(name, type) struct name { struct type *first; }
		#define LIST_ENTRY(type) struct { struct type *next; }
		#define LIST_FOREACH(one, head, field) for ((one) = (head)->first; (one); (one) = (one)->field.next)
		#define TAILQ_HEAD LIST_HEAD
		#define TAILQ_ENTRY LIST_ENTRY
		#define TAILQ_FOREACH LIST_FOREACH
	END
	cppcheck --quiet --std=c11 --include="$build/lint-macros.h" --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=ctuuninitvar --suppress=uninitvar --suppress=identicalInnerCondition \
		--error-exitcode=1 -Iinclude -DQFWATCH_VERSION='"0"' -D_GNU_SOURCE policy watcher || bad=1
fi
# Not asked for:
# easily-swappable-parameters, assignment-in-if-condition, reserved-identifier (_GNU_SOURCE)  style.
# implicit-widening-of-multiplication-result  finds constants, such as 64 * 1024.
# narrowing-conversions  finds what tolower() returns.
# not-null-terminated-result  what is copied is counted, and needs no NUL.
# sizeof-expression  finds arrays of pointers.
# branch-clone  steps one after the other, each of which may fail in the same way.
# core.uninitialized.Assign, CallAndMessage, UndefinedBinaryOperatorResult  it holds that errno may be 0 after a failure, and so that a
#   function may return 0 and have filled nothing (valgrind and AddressSanitizer look for the real ones).
tidy='-*,bugprone-*,clang-analyzer-*'
for check in easily-swappable-parameters assignment-in-if-condition reserved-identifier implicit-widening-of-multiplication-result \
	narrowing-conversions not-null-terminated-result sizeof-expression branch-clone; do
	tidy+=,-bugprone-$check
done
for check in 'security.insecureAPI.*' core.uninitialized.Assign core.CallAndMessage core.UndefinedBinaryOperatorResult; do
	tidy+=,-clang-analyzer-$check
done
if command -v clang-tidy >/dev/null; then
	echo "lint: clang-tidy"
	printf '%s\n' policy/*.c watcher/*.c | xargs -P "$(nproc)" -I{} clang-tidy --quiet --warnings-as-errors='*' --checks="$tidy" {} -- \
		-std=gnu17 -Iinclude -D_GNU_SOURCE -DQFWATCH_VERSION='"0"' 2>/dev/null || bad=1
fi
if command -v shellcheck >/dev/null; then
	echo "lint: shellcheck"
	# SC2153: "free_port PORT" assigns by name.
	shellcheck -x -e SC2153 contrib/*.sh tests/*.sh tests/*/*.sh || bad=1
fi
exit "$bad"
