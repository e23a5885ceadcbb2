#!/usr/bin/env bash
# schemathesis against openapi/openapi.json and a running `local`: requests from the document, well-formed and not, by
# example, at every boundary, at random and in sequences; all checks on. See tools/schemathesis_hooks.py for what is not held
# against the service, and why.
#
#   tools/schemathesis.sh [EXAMPLES [SEED]]     # EXAMPLES per operation, 100; SEED random
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$PWD"
examples="${1:-100}" seed="${2:-$RANDOM$RANDOM}"

tools/setup-venv.sh schemathesis
cargo build --quiet --locked --package local
work="$root/target/schemathesis"
rm -rf "$work" && mkdir -p "$work" && touch "$work/local.out"
export RATCHET_KEY=schemathesis-key RATCHET_SUMMARY="$work/summary"

# Without what would send it to another DynamoDB or table.
env --unset=AWS_ENDPOINT_URL_DYNAMODB --unset=AWS_ENDPOINT_URL --unset=RATCHET_TABLE target/debug/local --port 0 \
  --api-key "$RATCHET_KEY=lab" >"$work/local.out" 2>"$work/local.log" &
server=$!
trap 'kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  RATCHET_URL="$(sed -n 's/^Ratchet listens on \([^ ]*\) .*/\1/p' "$work/local.out")"
  [[ -z $RATCHET_URL ]] || break
  kill -0 "$server" 2>/dev/null || { cat "$work/local.log" >&2; exit 1; }
  sleep 0.1
done
[[ -n $RATCHET_URL ]] || { echo "schemathesis: local does not start" >&2; exit 1; }
export RATCHET_URL

echo "schemathesis: seed $seed, $examples examples per operation and phase"
status=0
# One worker: what a request finds must follow from those before it. From a folder of its own, for it leaves files.
(cd "$work" && PYTHONPATH="$root/tools" SCHEMATHESIS_HOOKS=schemathesis_hooks "$root/.tools/schemathesis/bin/schemathesis" \
  run "$root/openapi/openapi.json" --url "$RATCHET_URL" --header "x-api-key: $RATCHET_KEY" --checks all --workers 1 \
  --max-examples "$examples" --seed "$seed" --continue-on-failure --no-color) || status=$?
cat "$work/summary"
if grep -q '^FAILED ' "$work/summary" || ! grep -q '^ok ' "$work/summary"; then status=1; fi
if grep -q 'internal error' "$work/local.log"; then
  grep 'internal error' "$work/local.log"
  status=1
fi
[[ $status -ne 0 ]] || echo "ok schemathesis: all checks, no failure, seed $seed"
exit "$status"
