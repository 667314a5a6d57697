# bash completion for qfwatch(8)
_qfwatch()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local commands='run check status top list shape explain events doctor move plan replay import-qctrl'
	local filters='--tier --domain --sender --recipient --attempts --age --status --state --limit --spool'
	local policy='-c --config -h --help' words=
	COMPREPLY=()
	case $previous in
	-c | --config | --sendmail-cf | --root | --proc | --home)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	-u | --user)
		if [ "${COMP_WORDS[1]}" = doctor ]; then
			mapfile -t COMPREPLY < <(compgen -u -- "$current")
			return
		fi
		;;
	--by)
		mapfile -t COMPREPLY < <(compgen -W 'recipient sender' -- "$current")
		return
		;;
	--state)
		mapfile -t COMPREPLY < <(compgen -W 'new idle writing busy failed refused waiting moving bouncing' -- "$current")
		return
		;;
	esac
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands help --help --version" -- "$current")
		return
	fi
	case ${COMP_WORDS[1]} in
	run) words="--once --dry-run $policy" ;;
	check) words="--sendmail-cf --json $policy" ;;
	status) words="--json $policy" ;;
	top) words="-d --delay -b --batch -n --number --json $policy" ;;
	list) words="$filters --json $policy" ;;
	shape) words="--by --each $filters --json $policy" ;;
	explain) words="--at --tier --json --stdin $policy" ;;
	events) words="-s --since -u --until -a --action -i --id -r --rule -t --tier -f --follow --json --utc $policy" ;;
	doctor) words="-u --user --sendmail-cf --root --proc --list --json $policy" ;;
	move) words="-t --to $policy" ;;
	plan) words="--at --hours --sizes --json $policy" ;;
	replay) words="--json $policy" ;;
	import-qctrl) words='--home --set -h --help' ;;
	help) words=$commands ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
# Where nothing fits, a file may be meant.
complete -o default -F _qfwatch qfwatch
