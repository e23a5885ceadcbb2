#!/usr/bin/env bash
# Runs every event of events/ through the built functions in AWS's own runtime interface emulator, with DynamoDB Local behind
# them, no container needed; and each function without its settings, which must not start.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup-e2e.sh
exec .tools/e2e/bin/python tests/e2e/run_events.py rie
