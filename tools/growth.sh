#!/usr/bin/env bash
# Measures what grows with the table and with the record (docs/performance.md), and draws it.
#
#   tools/growth.sh --record [--executions 1000,100000,1000000] [--kilobytes 1,10,100,390] [--samples N]
#
# Writes target/bench/growth.json; with --record benches/growth.json, the plots and the tables in docs/ as well. A million
# executions take some minutes and some GB of memory. With RATCHET_TEST_DYNAMODB set, on that DynamoDB instead of the
# embedded one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
record= arguments=()
for argument; do
  if [[ $argument == --record ]]; then record=yes; else arguments+=("$argument"); fi
done

mkdir -p target/bench
cargo build --quiet --locked --profile lab --package benches --bin growth
target/lab/growth --output target/bench/growth.json ${arguments[@]+"${arguments[@]}"}
if [[ -n $record ]]; then
  tools/setup-venv.sh plots
  cp target/bench/growth.json benches/growth.json
  .tools/plots/bin/python tools/plot_growth.py
  python3 tools/tables.py
fi
