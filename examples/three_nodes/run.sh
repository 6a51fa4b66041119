#!/usr/bin/env bash
# Three nodes of one cluster, until Ctrl-C. `./run.sh N` starts node N alone, for a terminal of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if [ $# -gt 0 ]; then
    exec twist streamline --config "node$1.toml"
fi
nodes=()
trap 'kill -TERM "${nodes[@]}" 2>/dev/null || true' INT TERM
for node in 1 2 3; do
    # In a session of its own, so that Ctrl-C reaches it through this script and no node is told twice.
    setsid twist streamline --config "node$node.toml" --log-format text &
    nodes+=($!)
done
while [ -n "$(jobs -pr)" ]; do wait || true; done
