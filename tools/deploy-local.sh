#!/usr/bin/env bash
# Deploys the stack with `sam deploy` to an AWS emulator on this machine, makes an API key, says how to call the API, and
# keeps it until Ctrl-C. Builds the functions if they are not built yet; after a change, run tools/build.sh yourself.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup-e2e.sh
exec .tools/e2e/bin/python tests/e2e/stack.py
