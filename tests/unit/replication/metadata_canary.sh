#!/bin/sh
# An acceptor that forgets its votes over a restart must be caught by metadata_sim: else it judges nothing.
here=$(dirname "$0")
sim=tests/unit/replication/metadata_sim
[ -x "$sim" ] || sim=$here/metadata_sim
out=$("$sim" --canary 2>&1)
[ $? -eq 1 ] || { echo "metadata_sim did not fail"; exit 1; }
echo "$out" | grep -q 'appends another entry' || { echo "it failed otherwise: $out"; exit 1; }
