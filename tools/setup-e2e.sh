#!/usr/bin/env bash
# What the end-to-end tests need: the emulator, the SAM CLI, the built functions, the command line tool that makes keys.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup-venv.sh sam e2e
if ! [[ -f .aws-sam/build/template.yaml ]]; then
  [[ "$(uname -m)" == x86_64 ]] && architecture=x86_64 || architecture=arm64
  tools/build.sh "$architecture"
fi
# With the features of the whole workspace, so that what its tests have built is built already.
cargo build --quiet --locked --workspace --bin keys
