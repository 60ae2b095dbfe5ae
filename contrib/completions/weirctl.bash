# Completion of weirctl(8) for bash, with the package bash-completion.

_weirctl_options()
{
	case $1 in
	"") echo "-s --socket -c --config --url --token-file -j --json" \
		"--no-color --utc -h --help -V --version" ;;
	status) echo "--watch" ;;
	sessions) echo "--sender --recipient --client --mx --code --outcome" \
		"--policy --since --until --limit" ;;
	tail) echo "--sender --recipient --client --mx --code --outcome" \
		"--no-retry" ;;
	top) echo "--since --outcome --limit" ;;
	report) echo "--since --limit" ;;
	mx | domains) echo "--hours" ;;
	suspend) echo "--for" ;;
	operations) echo "--limit" ;;
	drain) echo "--wait" ;;
	db) echo "--since --until" ;;
	esac
}

# Names from the running weir. compgen -W would expand what it is given, and
# a group is named as some MX says: nothing but plain words may pass.
_weirctl_ask()	# COLUMN WORD...
{
	local column=$1
	shift
	COLUMNS='' "${COMP_WORDS[0]}" "${place[@]}" "$@" 2>/dev/null </dev/null |
		awk -v c="$column" 'NF == 0 { exit }
			NR > 1 { print (c > 0 ? $c : $NF) }' |
		grep -xE '[][A-Za-z0-9.:/_-]+'
}

_weirctl_arguments()
{
	case $1 in
	top) echo "senders sender-domains recipients recipient-domains" \
		"clients processes reasons codes" ;;
	db) echo "check vacuum export" ;;
	show) _weirctl_ask 0 sessions --limit 20 ;;
	mx | domains) _weirctl_ask 1 "$1" ;;
	suspend | resume) _weirctl_ask 1 sources ;;
	esac
}

_weirctl()
{
	local cur prev words cword i command='' choices='' place=()
	local commands="status sessions show tail top report mx domains policies
		sources suspend resume config operations reload drain db"

	_get_comp_words_by_ref -n :=@ cur prev words cword
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-s | --socket | -c | --config | --url | --token-file)
			place+=("${words[i]}" "${words[i + 1]}")
			((i++)) ;;
		-*) ;;
		*)
			[ -n "$command" ] || command=${words[i]} ;;
		esac
	done
	case $prev in
	-s | --socket | -c | --config | --token-file)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--outcome)
		choices="delivered deferred rejected discarded aborted"
		[ "$command" != top ] || choices="refused all" ;;
	--policy)
		choices=$(_weirctl_ask 1 policies) ;;
	--since)
		choices="1h 24h 7d"
		[ "$command" != top ] || choices="1h 24h all" ;;
	--url | --sender | --recipient | --client | --mx | --code | --until | \
	    --limit | --hours | --for)
		return ;;
	*)
		if [[ $cur == -* ]]; then
			choices="$(_weirctl_options "")"
			[ -z "$command" ] ||
				choices+=" $(_weirctl_options "$command")"
		elif [ -z "$command" ]; then
			choices=$commands
		else
			choices=$(_weirctl_arguments "$command")
		fi ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
	__ltrim_colon_completions "$cur"
}

complete -F _weirctl weirctl
