#!/usr/bin/env bash
# Puts one deliberate bug after the other into a copy of the sources, and shows which test of the
# laws catches it. Each *.patch here is a bug: a sentence that says what it is, and the difference.
# A line "tests: PACKAGE REGEXP" in it names other tests than TestLaws.
#
#   tests/mutants/run.sh [NAME...]     all mutants, or those
#
# Exit status 1: a mutant survived, its patch does not apply any more, or the tests did not run.
set -uo pipefail
cd "$(dirname "$0")/../.."
export ARCHIVECACHE_LAWS=${ARCHIVECACHE_LAWS:-3000}
export ARCHIVECACHE_LAWS_SEED=${ARCHIVECACHE_LAWS_SEED:-1}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xf - -C "$copy" || exit 1
patches=$copy/tests/mutants

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
	for p in "$patches"/*.patch; do names+=("$(basename "$p" .patch)"); done
fi

# caught prints the tests that failed, and why the first one did.
caught() {
	grep -oE -- '--- FAIL: [^ /]+ ' "$1" | awk '{print $3}' | sort -u | paste -sd ' '
	grep -E '_test\.go:[0-9]+: ' "$1" | grep -v '\[rapid\] draw\|schedules in\|ARCHIVECACHE_LAWS=' | head -1 |
		sed 's/^ *[a-z_]*_test\.go:[0-9]*: //; s/|/\\|/g' | cut -c1-110
}

status=0
echo "| mutant | caught by |"
echo "| --- | --- |"
for name in "${names[@]}"; do
	if ! (cd "$copy" && patch -p1 -s --dry-run <"$patches/$name.patch" >/dev/null); then
		echo "| $name | THE PATCH DOES NOT APPLY |"
		status=1
		continue
	fi
	(cd "$copy" && patch -p1 -s <"$patches/$name.patch")
	read -r package tests <<<"$(sed -n 's/^tests: //p' "$patches/$name.patch" | head -1)"
	package=${package:-./tree} tests=${tests:-^TestLaws\$}
	(cd "$copy" && go test "$package" -run "$tests" -timeout 20m -rapid.nofailfile -rapid.shrinktime 1s) >"$copy/log" 2>&1
	result=$?
	if grep -q 'build failed\|setup failed' "$copy/log"; then
		echo "| $name | DOES NOT COMPILE |"
		status=1
	elif [ $result -eq 0 ]; then
		echo "| $name | SURVIVED |"
		status=1
	elif ! grep -q -- '--- FAIL: ' "$copy/log"; then
		echo "| $name | NO TEST SAYS SO: $(grep -v '^FAIL\|^ok' "$copy/log" | head -1 | cut -c1-110) |"
		status=1
	else
		echo "| $name | $(caught "$copy/log" | paste -sd ' ') |"
	fi
	(cd "$copy" && patch -p1 -s -R <"$patches/$name.patch")
done
exit $status
