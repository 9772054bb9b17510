#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time, four at once.
set -euo pipefail
time=${1:-60s}
go=${GO:-go}

targets=$($go test -list '^Fuzz' ./... | awk '/^Fuzz/{names = names " " $1} /^ok/{n = split(names, t, " "); for (i = 1; i <= n; i++) print $2, t[i]; names = ""}')
[ -n "$targets" ] || { echo "no fuzz targets found" >&2; exit 1; }
# Whatever is written as a fuzz target has to be run: nothing, such as a build tag, may hide one.
written=$(grep -rh --include='*_test.go' '^func Fuzz' . | wc -l)
[ "$(wc -l <<<"$targets")" -eq "$written" ] || { echo "of $written fuzz targets only these are found:"; echo "$targets"; exit 1; } >&2
echo "$(wc -l <<<"$targets") fuzz targets, $time each"

fuzz() {
	out=$("$1" test -run '^$' -fuzz "^$4\$" -fuzztime "$2" -fuzzminimizetime 10x -parallel 1 "$3" 2>&1) || { echo "$out"; echo "FAIL $3 $4"; return 1; }
	echo "ok   $3 $4: $(grep -o 'execs: [0-9]*' <<<"$out" | tail -n 1)"
}
export -f fuzz
xargs -P 4 -L 1 bash -c 'fuzz "$@"' fuzz "$go" "$time" <<<"$targets"
