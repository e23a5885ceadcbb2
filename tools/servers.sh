#!/usr/bin/env bash
# Measures Ratchet's development server beside what one would run instead: a service by hand, Prefect and MLflow
# (benches/servers/stages.py says how). Installs them under .tools/ from their packages, and builds Ratchet for speed.
#
#   tools/servers.sh [--quick] [--stage race|work|start|kills]... [--record]
#
# All of it takes half an hour, on a machine that has nothing else to do, and 6 GB of memory. Writes
# target/servers/figures.json; with --record benches/servers/figures.json as well, and the pages that are made of it. --quick
# tries everything once, in some minutes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ "$(uname -s)" != Linux ]]; then
  echo "NOT RUN: reads CPU time and memory from /proc, and this is $(uname -s)"
  exit 2
fi
# Compiled, so that a start is measured as the second one and ever after: the first would compile what it imports.
UV_COMPILE_BYTECODE=1 tools/setup-venv.sh servers-hand servers-prefect servers-mlflow
cargo build --quiet --locked --profile server --package local --package generator
exec python3 benches/servers/driver.py "$@"
