#!/usr/bin/env bash
# Runs a command beside a DynamoDB Local of its own, in memory, on a free port, which RATCHET_TEST_DYNAMODB names:
#
#   tools/with-dynamodb-local.sh cargo test --package tests --test api
#
# What it says goes to target/dynamodb-local.log.
set -euo pipefail

[[ $# -gt 0 ]] || { sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
folder="$("$root/tools/setup-dynamodb-local.sh" | tail -n 1)"
port=18000
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
mkdir -p "$root/target"
log="$root/target/dynamodb-local.log"
(cd "$folder" && exec java -Xmx2g -Djava.library.path=DynamoDBLocal_lib -jar DynamoDBLocal.jar \
  -inMemory -disableTelemetry -port "$port") >"$log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null || true' EXIT
for _ in $(seq 200); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
  kill -0 "$pid" 2>/dev/null || { echo "DynamoDB Local ended:" >&2; cat "$log" >&2; exit 1; }
  sleep 0.3
done
export RATCHET_TEST_DYNAMODB="http://127.0.0.1:$port"
"$@"
