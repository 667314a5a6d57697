# bash completion for qfwatch(8)
_qfwatch()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	case $previous in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
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
		mapfile -t COMPREPLY < <(compgen -W 'run check status top list shape explain plan replay move events doctor import-qctrl --help --version' -- "$current")
		return
	fi
	case ${COMP_WORDS[1]} in
	run) mapfile -t COMPREPLY < <(compgen -W '-c --config --once --dry-run -h --help' -- "$current") ;;
	move) mapfile -t COMPREPLY < <(compgen -W '-c --config -t --to -h --help' -- "$current") ;;
	check) mapfile -t COMPREPLY < <(compgen -W '-c --config --sendmail-cf --json -h --help' -- "$current") ;;
	status) mapfile -t COMPREPLY < <(compgen -W '-c --config --json -h --help' -- "$current") ;;
	top) mapfile -t COMPREPLY < <(compgen -W '-c --config -d --delay -b --batch -n --number --json -h --help' -- "$current") ;;
	list) mapfile -t COMPREPLY < <(compgen -W '-c --config --tier --domain --sender --recipient --attempts --age --status --state --limit --json --spool -h --help' -- "$current") ;;
	shape) mapfile -t COMPREPLY < <(compgen -W '-c --config --by --each --tier --domain --sender --recipient --attempts --age --status --state --limit --json --spool -h --help' -- "$current") ;;
	explain) mapfile -t COMPREPLY < <(compgen -W '-c --config --at --tier --json -h --help' -- "$current") ;;
	plan) mapfile -t COMPREPLY < <(compgen -W '-c --config --at --hours --sizes --json -h --help' -- "$current") ;;
	replay) mapfile -t COMPREPLY < <(compgen -W '-c --config --json -h --help' -f -- "$current") ;;
	events) mapfile -t COMPREPLY < <(compgen -W '-c --config --since --until --action --id --rule --tier --follow --json --utc -h --help' \
		-f -- "$current") ;;
	doctor) mapfile -t COMPREPLY < <(compgen -W '-c --config -u --user --sendmail-cf --root --proc --list --json -h --help' -- "$current") ;;
	import-qctrl) mapfile -t COMPREPLY < <(compgen -W '--home --set -h --help' -- "$current") ;;
	esac
}
complete -F _qfwatch qfwatch
