#!/usr/bin/env bash
# Builds every function of template.yaml with the SAM CLI, as it is deployed, and checks what came out.
#
#   tools/build.sh [arm64|x86_64] [--twice | --binaries]
#
# The architecture is that of template.yaml, arm64, unless another is given; deploy with the same. The result is in
# .aws-sam/build, where `sam deploy` and `sam local` look for it. With --binaries it is the binaries alone, in target/lambda: what is
# in .aws-sam/build stays as it is, for whoever runs it meanwhile.
#
# Reproducible: the same commit, compiler and architecture give the same binaries, whatever the folder that they are
# built in. --twice proves it: one function is built again from nothing in another folder, and must come out the same.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$PWD" architecture=arm64 twice= binaries=

say() { echo "build: $*" >&2; }

for argument; do
  case "$argument" in
    arm64 | x86_64) architecture="$argument" ;;
    --twice) twice=yes ;;
    --binaries) binaries=yes ;;
    *) say "what is $argument? Usage: tools/build.sh [arm64|x86_64] [--twice | --binaries]"; exit 2 ;;
  esac
done
case "$architecture" in
  arm64) target=aarch64-unknown-linux-gnu flag=--arm64 ;;
  x86_64) target=x86_64-unknown-linux-gnu flag=--x86-64 ;;
esac
if ! [[ -d "$(rustc --print target-libdir --target "$target")" ]]; then
  say "the Rust target $target is not installed: rustup target add $target (or build for the other architecture)"
  exit 1
fi

tools/setup-venv.sh sam build
# cargo-lambda, which `sam build` calls, and the zig that links for it.
export PATH="$root/.tools/build/bin:$PATH" SAM_CLI_TELEMETRY=0
# SAM looks regions up, and asks nothing of the one that it is given.
export AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-us-east-1}"
# The places of the crates' sources end up in panic messages. Cargo joins this with the flags that cargo-lambda sets;
# RUSTFLAGS would replace them.
export CARGO_BUILD_RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

# cargo-lambda knows no --locked: this fails where Cargo.lock does not fit Cargo.toml, and what follows finds it fitting.
cargo fetch --locked --quiet
# All side by side: linking takes most of the time, and a single core. `sam build` goes through the functions one by
# one, and finds each done.
packages=()
for folder in functions/*/; do packages+=(--package "$(basename "$folder")"); done
cargo lambda build --release "$flag" "${packages[@]}"
if [[ -n $binaries ]]; then exit; fi
.tools/sam/bin/sam build --parameter-overrides "Stage=dev Architecture=$architecture"
.tools/build/bin/python tools/check_build.py "$architecture"

if [[ -n $twice ]]; then
  other="$(mktemp -d)"
  trap 'rm -rf "$other"' EXIT
  git ls-files -z | xargs --null cp --parents --target-directory "$other"
  say "building the authorizer again, in $other"
  (cd "$other" && env --unset CARGO_TARGET_DIR cargo lambda build --quiet --release "$flag" --package authorizer)
  if ! cmp "$other/target/lambda/authorizer/bootstrap" .aws-sam/build/AuthorizerFunction/bootstrap; then
    say "the authorizer came out different in another folder: the build is not reproducible"
    exit 1
  fi
  echo "ok the authorizer came out the same, byte for byte, in another folder"
fi
