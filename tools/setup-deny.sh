#!/usr/bin/env bash
# Installs cargo-deny, built from source, into .tools/cargo. Does nothing when that version is there already.
set -euo pipefail

version=0.20.2
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
bin="$root/.tools/cargo/bin/cargo-deny"

if [[ ! -x "$bin" || "$("$bin" --version)" != "cargo-deny $version" ]]; then
  # A target folder of its own: the workspace's would keep hundreds of megabytes that nothing uses again.
  target="$(mktemp -d)"
  trap 'rm -rf "$target"' EXIT
  # Its own release profile takes three times as long to build, and the check two seconds either way.
  export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0
  # From the temporary folder, so that the workspace's own .cargo/config.toml, if any, does not apply.
  (cd "$target" && CARGO_TARGET_DIR="$target" cargo install --quiet --locked --root "$root/.tools/cargo" \
    --version "$version" cargo-deny)
fi

"$bin" --version
