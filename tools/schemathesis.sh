#!/usr/bin/env bash
# schemathesis against openapi/openapi.json and a running `local`: requests from the document, well-formed and not, by
# example, at every boundary, at random and in sequences; all checks on. See tools/schemathesis_hooks.py for what is not held
# against the service, and why.
#
#   tools/schemathesis.sh [EXAMPLES [SEED]]     # EXAMPLES per operation, 100; SEED random
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/start-local.sh
root="$PWD"
examples="${1:-100}" seed="${2:-$RANDOM$RANDOM}"

tools/setup-venv.sh schemathesis
cargo build --quiet --locked --workspace --bin local
work="$root/target/schemathesis"
rm -rf "$work" && mkdir -p "$work"
export RATCHET_KEY=schemathesis-key RATCHET_SUMMARY="$work/summary"
start_local "$work" lab

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
