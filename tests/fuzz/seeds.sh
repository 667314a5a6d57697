#!/bin/sh
# seeds.sh FUZZER FOLDER - fills a fuzzer's corpus with what the tests know: the policy fixtures, or a few control files.
set -eu
case "$1" in
fuzz_load)
	n=0
	for f in tests/policy/valid/*/policy.json tests/policy/invalid/*/policy.json policy.json.example; do
		n=$((n + 1))
		cp "$f" "$2/seed-$n"
	done
	;;
fuzz_qfile | fuzz_events)
	cp tests/fuzz/qfile-seeds/* "$2/"
	;;
*)
	echo "seeds.sh: no seeds known for $1" >&2
	exit 2
	;;
esac
