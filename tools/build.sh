#!/usr/bin/env bash
# Builds every function of template.yaml with the SAM CLI, as it is deployed, and checks what came out.
#
#   tools/build.sh [arm64|x86_64]
#
# The architecture is that of template.yaml, arm64, unless another is given; deploy with the same. The result is in
# .aws-sam/build, where `sam deploy` and `sam local` look for it.
#
# Reproducible: the same commit, compiler and architecture give the same binaries, whatever the folder that they are
# built in (tools/check_reproducible.sh).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
architecture="${1:-arm64}"

say() { echo "build: $*" >&2; }

case "$architecture" in
  arm64) target=aarch64-unknown-linux-gnu ;;
  x86_64) target=x86_64-unknown-linux-gnu ;;
  *) say "there is no architecture $architecture: use arm64 or x86_64"; exit 2 ;;
esac
if ! [[ -d "$(rustc --print target-libdir --target "$target")" ]]; then
  say "the Rust target $target is not installed: rustup target add $target (or build for the other architecture)"
  exit 1
fi

tools/setup-venv.sh sam build
# cargo-lambda, which `sam build` calls, and the zig that links for it.
export PATH="$PWD/.tools/build/bin:$PATH" SAM_CLI_TELEMETRY=0
# SAM looks regions up, and asks nothing of the one that it is given.
export AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-us-east-1}"
# The places of the crates' sources end up in panic messages. Cargo joins this with the flags that cargo-lambda sets;
# RUSTFLAGS would replace them.
export CARGO_BUILD_RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

# cargo-lambda knows no --locked: this fails where Cargo.lock does not fit Cargo.toml, and what follows finds it fitting.
cargo fetch --locked --quiet
.tools/sam/bin/sam build --parameter-overrides "Stage=dev Architecture=$architecture"
.tools/build/bin/python tools/check_build.py "$architecture"
