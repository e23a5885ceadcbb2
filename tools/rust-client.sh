#!/usr/bin/env bash
# Holds the Rust client to the conformance list of the clients, against a running `local` behind a fault proxy, and what the
# command line depends on to what its users are told. The client's and the command line's own tests are Cargo's.
#
#   tools/rust-client.sh [--only TEXT]      all cases, or those whose names contain a text
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target="${CARGO_TARGET_DIR:-target}/debug"

cargo build --quiet --locked --workspace --bin local --bin ratchet --example conformance_driver

# `cargo install --path cli` is for whoever has jobs to run, and not ten minutes for the AWS SDK.
if cargo tree --locked --offline --package ratchet-cli --edges normal --prefix none | grep -E '^(aws-|lambda)'; then
  echo "FAILED the command line has the AWS SDK in its tree"
  exit 1
fi
echo "ok the command line has no AWS SDK in its tree"
"$target/ratchet" --version
echo "ok the command line starts"

python3 clients/conformance/run.py --local "$target/local" "$@" -- "$target/examples/conformance_driver"
