# shellcheck shell=bash
# policy.sh - what the tests of the policy language share: many messages by one sendmail, and sendmail as rules call it.

# smtp_session MESSAGE...: what a client says to leave these messages. A message is "RECIPIENT[,RECIPIENT...]", then maybe
# words NAME=VALUE, all in one argument divided by "|": from=ADDRESS, subject=TEXT (printf's escapes), header=LINES (the same),
# body=BYTES (how many).
smtp_session() {
	local message part parts from subject header body recipient recipients
	printf 'EHLO client.example.test\r\n'
	for message in "$@"; do
		from=sender@example.test subject='a message' header= body=40
		IFS='|' read -r -a parts <<<"$message"
		for part in "${parts[@]:1}"; do
			case "$part" in
			from=*) from=${part#*=} ;;
			subject=*) subject=${part#*=} ;;
			header=*) header=${part#*=}'\r\n' ;;
			body=*) body=${part#*=} ;;
			*) echo "smtp_session: what is $part" >&2 ;;
			esac
		done
		printf 'MAIL FROM:<%s>\r\n' "$from"
		IFS=, read -r -a recipients <<<"${parts[0]}"
		for recipient in "${recipients[@]}"; do
			printf 'RCPT TO:<%s>\r\n' "$recipient"
		done
		printf 'DATA\r\nFrom: <%s>\r\nTo: <%s>\r\n' "$from" "${recipients[0]}"
		printf "Subject: $subject"'\r\n'"$header"'\r\n'
		yes 'a line of thirty-eight characters, or so' | tr '\n' '~' | sed 's/~/\r\n/g' | head -c "$body"
		printf '\r\n.\r\n'
	done
	printf 'QUIT\r\n'
}

# queue_all DIRECTORY MESSAGE...: queues these messages there, none of them tried, by one sendmail; their ids in IDS, in that
# order, the last one in ID too.
queue_all() {
	local directory=$1
	shift
	smtp_session "$@" >"$T/session" 2>/dev/null
	must sendmail -bs -odq "-OQueueDirectory=$directory" <"$T/session" >"$T/session.out" 2>&1
	mapfile -t IDS < <(sed -n 's/^250 2\.0\.0 \([[:alnum:]]*\) Message accepted.*/\1/p' "$T/session.out")
	[ "${#IDS[@]}" -eq $# ] || {
		cat "$T/session.out"
		must false "queue ${#} messages in $directory"
	}
	ID=${IDS[-1]}
}

# sendmail_program: writes $T/as-rules-do, which calls the private sendmail as a rule has to: one program, no functions of
# this shell, no environment.
sendmail_program() {
	{
		echo '#!/bin/bash'
		echo "T=$T SENDMAIL_WAY=$SENDMAIL_WAY"
		declare -f sendmail
		echo 'sendmail "$@"'
	} >"$T/as-rules-do"
	chmod +x "$T/as-rules-do"
}

# messages_for DOMAIN DIRECTORY: how many messages for it stand there.
messages_for() {
	grep -lsi "^R.*@$1>\\?\$" "$2"/qf* 2>/dev/null | wc -l
}

has_messages_for() {
	[ "$(messages_for "$1" "$2")" -eq "$3" ]
}

# told_at ACTION [POINTER=VALUE...]: when these events were told, in milliseconds since the epoch, one a line.
told_at() {
	local arguments=(-a "$1")
	shift
	while [ $# -gt 0 ]; do
		arguments+=(-w "$1")
		shift
	done
	events "${arguments[@]}" -- /@timestamp | date -f - +%s%3N
}

# most_within MILLISECONDS: the largest number of times from the input, which rise, in any such span.
most_within() {
	awk -v span="$1" '{ time[NR] = $1; while (time[NR] - time[first + 1] >= span) first++
		if (NR - first > most) most = NR - first } END { print most + 0 }'
}
