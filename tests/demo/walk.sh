#!/usr/bin/env bash
# The whole walk: two people, each with a repository of their own and no daemon, make identities,
# befriend each other by text, publish, merge, and end with the same tree.
set -euo pipefail

front=$(realpath "${1:?usage: walk.sh path/to/archivecache}")
work=$(mktemp -d)
cd "$work"
mkdir path # only the front command, so that our cat does not hide the other one
ln -s "$front" path/archivecache
PATH=$PWD/path:$PATH
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait; rm -rf "$work"' EXIT
export ARCHIVECACHE_PATH= # every command names its repository

n=0
step() { n=$((n + 1)); printf '\n%2d. %s\n' "$n" "$1"; }
run() { printf '    $ %s\n' "$*"; bash -o pipefail -c "$*" 2>&1 | sed 's/^/      /'; }

step "Alice and Bob each make a repository and an identity."
run "archivecache initialize -repo alice; archivecache new-identity -repo alice identities/me"
run "archivecache initialize -repo bob; archivecache new-identity -repo bob identities/me"

step "They send each other their identities as text, as in a mail, and accept each other as friends."
run "archivecache message-read-reference -repo alice identities/me | base64 -w 60 > alice.txt; cat alice.txt"
run "sed 's/^/> /' alice.txt | archivecache add-friend-from-message -repo bob"
run "archivecache message-read-reference -repo bob identities/me | base64 -w 60 | archivecache add-friend-from-message -repo alice"

step "Alice adds a folder of her own, and a file to the forum that they share. Bob adds a file of the same name there."
mkdir -p notes/travel
echo "bread, olives" >notes/shopping.txt
echo "night train" >notes/travel/plan.txt
printf '#!/bin/sh\necho hello\n' >notes/hello
chmod +x notes/hello
ln -s travel/plan.txt notes/plan
run "archivecache add -repo alice notes root/notes"
run "echo 'alice was here' | archivecache add -repo alice - root/forum/guests.txt"
run "echo 'bob was here' | archivecache add -repo bob - root/forum/guests.txt"

step "Alice publishes: new-node signs what she changed. Her blocks are served on this machine."
coproc archivecache serve -repo alice -listen 127.0.0.1:0
server=$COPROC_PID
read -r url <&"${COPROC[0]}"
run "archivecache new-node -repo alice -address $url node identities/me"

step "Alice sends her node as text. Bob merges it; the blocks come over HTTP, each checked against its hash."
run "archivecache message-read-reference -repo alice node | base64 -w 60 | archivecache add-node-from-message -repo bob"
id=$(archivecache list -repo bob nodes)
run "archivecache merge -repo bob root nodes/$id/root"
run "archivecache list -repo bob root; archivecache list -repo bob root/forum"
run "archivecache export -repo bob root/notes copy && diff -r notes copy && ./copy/hello"

step "Bob publishes and sends his node, and all his blocks in a CAR file, as on a stick."
run "archivecache new-node -repo bob node identities/me"
run "archivecache message-read-reference -repo bob node | archivecache add-node-from-message -repo alice"
run "archivecache export-car -repo bob node > bob.car; archivecache import-car -repo alice < bob.car"
run "archivecache merge-all -repo alice"

step "Both have the same root now: both versions of the guest book are there, under the same names."
run "archivecache info -repo alice root | grep ^cid; archivecache info -repo bob root | grep ^cid"
run "archivecache list -repo alice root/forum; archivecache cat -repo alice root/forum/guests.txt"
run "archivecache verify -repo alice root"

step "Alice changes a file and publishes again. Only what changed travels."
echo "bread, olives, figs" >notes/shopping.txt
run "archivecache add -repo alice notes root/notes; archivecache new-node -repo alice node identities/me"
run "archivecache message-read-reference -repo alice node | archivecache add-node-from-message -repo bob"
run "archivecache merge-all -repo bob; archivecache cat -repo bob root/notes/shopping.txt"

step "Bob undoes the merge, and looks at his log."
run "archivecache undo -repo bob; archivecache log -repo bob -limit 3"

a=$(archivecache info -repo alice -json root | sed 's/.*"cid":"\([^"]*\)".*/\1/')
run "archivecache merge -repo bob root nodes/$id/root"
b=$(archivecache info -repo bob -json root | sed 's/.*"cid":"\([^"]*\)".*/\1/')
[ "$a" = "$b" ] || { echo "the roots differ: $a and $b" >&2; exit 1; }
printf '\nAlice and Bob have the same tree: %s\n' "$a"
