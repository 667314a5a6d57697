#!/bin/sh
# seeds.sh FUZZER FOLDER - fills a fuzzer's corpus with what the tests know: the policy fixtures, or a few control files,
# or patterns with texts.
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
fuzz_qtext)
	cp tests/fuzz/qfile-seeds/* tests/fuzz/qtext-seeds/* "$2/"
	;;
fuzz_pattern)
	n=0
	# glob|regular expression|text
	while IFS='|' read -r glob regex text; do
		n=$((n + 1))
		printf '%s\n%s\n%s' "$glob" "$regex" "$text" >"$2/seed-$n"
	done <<'SEEDS'
example.com|user unknown|EXAMPLE.com
*.example.com|example\.(com)$|mx.example.com
*[0-9a-f]@*.[!a]?*|(?i)^[a-z]+\d@|News7@example.org
[]a-c\-][^x]\*|(.)\1|]y*
*a*a*a*aab*ab|^(a+)+$|aaaaaaaaaaaaaaaaaaaaaaaaaab
[a|(?<n>x)(?&n)?+|xx
a\|(*UTF)a{1,3}?|aaa
?*?**|^(x(?R)?y)+(?=z)|xxyyz
SEEDS
	;;
*)
	echo "seeds.sh: no seeds known for $1" >&2
	exit 2
	;;
esac
