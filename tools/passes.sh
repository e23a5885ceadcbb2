#!/usr/bin/env bash
# Measures passes of supervision over many executions, all overdue and all alive (docs/performance.md).
#
#   tools/passes.sh --record [--executions N]
#
# Writes target/bench/passes.json; with --record benches/passes.json, or benches/passes-dynamodb-local.json where
# RATCHET_TEST_DYNAMODB names one (tools/with-dynamodb-local.sh sets it), and the tables in docs/.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
record= arguments=()
for argument; do
  if [[ $argument == --record ]]; then record=yes; else arguments+=("$argument"); fi
done

mkdir -p target/bench
cargo build --quiet --locked --profile lab --package benches --bin passes
"${CARGO_TARGET_DIR:-target}/lab/passes" --output target/bench/passes.json ${arguments[@]+"${arguments[@]}"}
if [[ -n $record ]]; then
  [[ -n ${RATCHET_TEST_DYNAMODB:-} ]] && figures=passes-dynamodb-local.json || figures=passes.json
  cp target/bench/passes.json "benches/$figures"
  python3 tools/tables.py
fi
