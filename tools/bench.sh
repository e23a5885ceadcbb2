#!/usr/bin/env bash
# Builds what the bench measures, and measures it: docs/performance.md says how and what.
#
#   tools/bench.sh [--record] [--only TEXT] [--pairs N]     all: the functions, the floor under them, their peers
#   tools/bench.sh --functions [--record]                   the functions alone; the peers' figures stay as they were
#   tools/bench.sh --check                                  the functions' instructions against benches/figures.json
#
# The functions are those of tools/build.sh --binaries, which this runs first. Needs valgrind and openssl: as root they are
# installed, as Debian packages. The counts are for x86_64: on another machine the check says so and ends with 2.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
check=
for argument; do if [[ $argument == --check ]]; then check=yes; fi; done

if [[ "$(uname -s) $(uname -m)" != "Linux x86_64" ]]; then
  echo "NOT RUN: the figures are instructions of x86_64 on Linux, and this is $(uname -s) $(uname -m)"
  exit 2
fi
for tool in valgrind openssl; do
  if command -v "$tool" >/dev/null; then continue; fi
  tools/apt-install.sh "$tool" || {
    status=$?
    # An apt-get that fails is a failure.
    [[ $status -ne 2 ]] || echo "NOT RUN: needs $tool (Debian package $tool)"
    exit "$status"
  }
done
mkdir -p target/bench
# Nothing to do where it has run: a count of an older build would be worth nothing.
if ! tools/build.sh x86_64 --binaries >target/bench/build.log 2>&1; then cat target/bench/build.log; exit 1; fi

if [[ -n $check ]]; then
  # The peers in Rust stand beside the workspace and use its crate: what that needs more is missing in their Cargo.lock.
  cargo fetch --quiet --locked --manifest-path benches/peers/rust/Cargo.toml
  # What counts runs in the functions: the bench itself may be slow. Of the workspace, so that it needs the same features
  # of others' crates as the tests, and finds those built.
  cargo build --quiet --locked --workspace --bin benches
  exec target/debug/benches "$@"
fi

[[ " $* " == *" --functions "* ]] || tools/setup-bench.sh
# Without the functions' link-time optimisation: it would take minutes and change nothing that is measured.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
cargo build --quiet --locked --release --package benches --target-dir target/bench/build
exec target/bench/build/release/benches "$@"
