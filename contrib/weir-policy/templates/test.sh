#!/bin/sh
# Starts @NAME@, and plays weir's part. Exit status 0: it does as it should.
set -eu
cd "$(dirname "$0")"
weir_policy=${WEIR_POLICY:-@WEIR_POLICY@}
sdk=${WEIR_SDK:-@SDK@}	# where the package for policies is, if not installed
place=$(mktemp -d)
pid=
trap 'kill $pid 2>/dev/null || :; rm -rf "$place"' EXIT

start()		# NAME=VALUE...: with this environment
{
	[ -z "$pid" ] || kill "$pid"
	rm -f "$place/sock"
	env "$@" @RUN@ 2>"$place/log" &
	pid=$!
	tries=100
	until [ -S "$place/sock" ]; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || fail "it does not listen"
		kill -0 "$pid" 2>/dev/null ||
		    fail "it does not start; README.md says what it needs"
		sleep 0.1
	done
}

fail()		# WHY
{
	tail -n 20 "$place/log" "$place/out" 2>/dev/null || :
	echo "FAILED: $1"
	exit 1
}

says()		# WORDS BODY OPTION...: of a message, weir-policy send says so
{
	words=$1 body=$2
	shift 2
	printf 'From: a@example.org\nTo: b@example.net\nSubject: x\n\n%s\n' \
	    "$body" | "$weir_policy" send "unix:$place/sock" - \
	    --expect "$words" "$@" >"$place/out" 2>&1 || fail "$words"
}

@BUILD@
@TESTS@
start
"$weir_policy" check "unix:$place/sock" >"$place/out" || fail "the contract"
echo "@NAME@ does as it should"
