#!/bin/bash
# The documents say what the program does, and all of it: options in usage texts, man page, completion and source; keys of
# the policy; environment; events; what is installed; the example policy. And the man pages are well formed.
. "$(dirname "$0")/lib.sh"
e2e_begin
cd "$E2E/../.." || exit 3
MAN8=contrib/man/qfwatch.8 MAN5=contrib/man/qfwatch-policy.5

# missing A B: what stands in the list A and not in B; both are sorted.
missing() {
	comm -23 "$1" "$2" | tr '\n' ' '
}

# same WHAT A B
same() {
	is "$1: nothing too little" "$(missing "$2" "$3")" ""
	is "$1: nothing too much" "$(missing "$3" "$2")" ""
}

# options_of COMMAND: those that its usage text explains.
options_of() {
	"$QFWATCH" "$1" -h | sed -nE 's/^ {2,6}(-[a-z], )?(-[-a-z]+).*/\1\2/p' | tr -d ' ' | tr ',' '\n' | sort -u
}

# man_options FROM: those of the section of the man page that begins with this line, up to the next of its kind.
man_options() {
	awk -v from="$1" '$0 == from { on = 1; next } on && /^\.(It Cm|Ss|Sh)/ { exit } on && /^\.It Fl/' "$MAN8" |
		grep -oE '(Fl|,) -?[a-z][-a-z]*' | sed -E 's/^(Fl|,) /-/' | sort -u
}

# completed WORD...: what the completion offers for these words.
completed() {
	(
		# shellcheck disable=SC1091
		. contrib/completions/qfwatch.bash
		# shellcheck disable=SC2034
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_qfwatch
		printf '%s\n' "${COMPREPLY[@]}" | sort -u
	)
}

# source_options COMMAND: the long ones that its source takes.
source_options() {
	local file
	file=watcher/cmd_$(tr - _ <<<"$1").c
	{
		cat "$file"
		grep -q QUERY_OPTIONS "$file" && sed -n '/define QUERY_OPTIONS/,/^$/p' include/qfwatch/query.h
	} | tr '\n' ' ' | grep -oE '"[a-z-]+",[[:space:]\\]*(required|no)_argument' | sed -E 's/^"([^"]*)".*/--\1/' | sort -u
}

# ---- commands and their options
"$QFWATCH" help | sed -nE 's/^  ([a-z-]+) .*/\1/p' | sort >"$T/commands"
ok "help lists the commands" [ "$(wc -l <"$T/commands")" -ge 13 ]
sed -n 's/^\.It Cm //p' "$MAN8" | sort >"$T/man"
same "commands of the man page" "$T/commands" "$T/man"
completed qfwatch "" | grep -v -e '^-' -e '^help$' >"$T/words"
same "commands of the completion" "$T/commands" "$T/words"
awk '/^\.Ss Commands/ { exit } /^\.Sh DESCRIPTION/ { on = 1 } on && /^\.It Fl/' "$MAN8" | grep -oE '(Fl|,) -?[a-z][-a-z]*' |
	sed -E 's/^(Fl|,) /-/' | sort -u >"$T/common"
while read -r command; do
	options_of "$command" >"$T/options"
	{
		man_options ".It Cm $command"
		[ "$command" = shape ] && man_options '.It Cm list'
		cat "$T/common"
	} | sort -u >"$T/man"
	# The man page says that it has no policy.
	[ "$command" = import-qctrl ] && sed -i -e '/^-c$/d' -e '/^--config$/d' "$T/man"
	same "options of $command in the man page" "$T/options" "$T/man"
	completed qfwatch "$command" - >"$T/words"
	same "options of $command in the completion" "$T/options" "$T/words"
	source_options "$command" >"$T/source"
	grep '^--' "$T/options" >"$T/long"
	same "options of $command in its source" "$T/source" "$T/long"
	is "help $command is $command -h" "$("$QFWATCH" help "$command")" "$("$QFWATCH" "$command" -h)"
	is "lines of $command -h that are too long" "$("$QFWATCH" "$command" -h | awk 'length > 105')" ""
	"$QFWATCH" "$command" --no-such-option </dev/null >"$T/out" 2>"$T/err"
	is "$command with a wrong option: exit code" "$?" 2
	matches "$command with a wrong option: who complains" "$(head -n 1 "$T/err")" "qfwatch $command: *no-such-option*"
done <"$T/commands"

# ---- policy, environment, events
jq -r '[.. | objects | .properties? // empty | keys[]] | unique[]' policy/policy-1.schema.json | sort >"$T/keys"
sed 's/\\(dq/"/g' "$MAN5" | grep -E '^\.(Li|It Li|Pq Li|Po Li)' | grep -oE '[a-z_]+' | sort -u >"$T/man"
is "keys of the schema that the man page lacks" "$(missing "$T/keys" "$T/man")" ""
grep -rhoE 'getenv\("[A-Z_]+' policy watcher | sed 's/.*"//' | sort -u >"$T/environment"
sed -n '/^\.Sh ENVIRONMENT/,/^\.Sh FILES/p' "$MAN8" | grep '^\.It' | grep -oE '[A-Z_]{3,}' | sort -u >"$T/man"
same "environment" "$T/environment" "$T/man"
jq -r '.. | objects | .enum? // empty | select(index("message-moved")) | .[]' contrib/events-1.schema.json | sort -u >"$T/actions"
ok "the schema of events lists actions" [ "$(wc -l <"$T/actions")" -ge 20 ]
sed -n '/^\.Sh EVENTS/,/^\.Sh ENV/p' "$MAN8" | grep '^\.It Li' | grep -oE '[a-z-]{5,}' | sort -u >"$T/man"
same "events" "$T/actions" "$T/man"
jq -r '.paths | keys[]' contrib/openapi-1.json | sed 's/{.*}/ID/' | grep -vE '^/(page|icon)\.' | sort -u >"$T/paths"
sed -n '/^\.Ss HTTP/,/^\.Ss Hidden/p' "$MAN8" | grep '^\.It Pa' | grep -oE '/[a-zA-Z0-9/]*' | sort -u >"$T/man"
is "paths of HTTP that the man page lacks" "$(missing "$T/paths" "$T/man")" ""

# ---- the example policy
awk '/^```json/ { on = 1; next } /^```/ { if (on) exit } on' README.md >"$T/readme.json"
is "README shows policy.json.example" "$(diff "$T/readme.json" policy.json.example)" ""
sed "s|/home/openemm/var/spool|$T|" policy.json.example >"$T/example.json"
is "check of the example: nothing to say" "$("$QFWATCH" check -c "$T/example.json" 2>&1)" \
	"$T/example.json: the policy is right: 3 tiers, 3 rules"
is "the example listens" "$(jq -r .listen policy.json.example)" "unix:/run/qfwatch/http.sock"

# ---- what is installed
ok "make install" make --no-print-directory BUILD="${BUILD#"$PWD"/}" -o all install DESTDIR="$T/root" PREFIX=/usr
for file in sbin/qfwatch share/man/man8/qfwatch.8 share/man/man5/qfwatch-policy.5 share/bash-completion/completions/qfwatch \
	lib/systemd/system/qfwatch.service; do
	ok "installed: $file" [ -s "$T/root/usr/$file" ]
done
ok "installed: the example policy" [ -s "$T/root/etc/qfwatch/policy.json.example" ]
# All of contrib that is for use, and no other name, under the same one.
find contrib policy/policy-1.schema.json -type f | grep -vE '^contrib/(completions|demo|man|systemd|deps.sh)|\.test\.yml$' |
	sed -E 's,^(contrib|policy)/,,' | sort >"$T/wanted"
(cd "$T/root/usr/share/qfwatch" && find . -type f | sed 's,^\./,,' | sort) >"$T/installed"
same "installed in share/qfwatch" "$T/wanted" "$T/installed"
grep -hoE 'contrib/[a-zA-Z0-9./_-]+' README.md | sed 's/\.$//' | sort -u >"$T/named"
is "files that README names and that are not there" "$(while read -r f; do [ -e "$f" ] || echo "$f"; done <"$T/named")" ""
if command -v systemd-analyze >/dev/null; then
	# The manual pages are where man does not look.
	sed -e "s|/usr/sbin/qfwatch|$T/root/usr/sbin/qfwatch|" -e '/^Documentation=/d' "$T/root/usr/lib/systemd/system/qfwatch.service" >"$T/qfwatch.service"
	is "the unit is well formed" "$(systemd-analyze verify "$T/qfwatch.service" 2>&1; echo "$?")" 0
fi

# ---- well formed
if command -v groff >/dev/null; then
	for page in "$MAN8" "$MAN5"; do
		is "$page is well formed" "$(groff -ww -man -Tutf8 -z "$page" 2>&1)" ""
	done
fi
e2e_end
