#!/usr/bin/env bash
# Fuzzing by coverage (cargo-fuzz, libFuzzer): every target of fuzz/ at once, each RUNS times, from the inputs in fuzz/seeds
# and events/. A panic, a property that does not hold and an input that takes ten seconds are failures; the input is kept.
# So is an operation of openapi/openapi.json that the targets do not know: they name it and end at their start.
#
#   tools/fuzz.sh [RUNS [SEED]]     # RUNS per target, 100000; SEED random
#
# With the stable toolchain: the sanitizers are what needs a nightly one, and there is no unsafe code here to watch. Overflow
# checks and debug assertions are on. A seed repeats a run as far as the order of Rust's hash maps, which is random, lets it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs="${1:-100000}" seed="${2:-$RANDOM$RANDOM}"

tools/setup-fuzz.sh >/dev/null
# cargo-fuzz knows no --locked: this fails where fuzz/Cargo.lock does not fit what the workspace depends on.
cargo fetch --locked --quiet --manifest-path fuzz/Cargo.toml
echo "fuzz: $runs runs per target, seed $seed"
.tools/cargo/bin/cargo-fuzz build --sanitizer none
host="$(rustc --version --verbose | sed -n 's/^host: //p')"

names=() pids=()
for target in $(.tools/cargo/bin/cargo-fuzz list); do
  work="target/fuzz/$target"
  rm -rf "$work"
  mkdir -p "$work/corpus" "fuzz/artifacts/$target"
  options=(-runs="$runs" -seed="$seed" -max_len=4096 -timeout=10 -artifact_prefix="fuzz/artifacts/$target/")
  inputs=("$work/corpus")
  [[ ! -f "fuzz/dictionaries/$target.dict" ]] || options+=(-dict="fuzz/dictionaries/$target.dict")
  [[ ! -d "fuzz/seeds/$target" ]] || inputs+=("fuzz/seeds/$target")
  [[ $target != event ]] || inputs+=(events)
  "fuzz/target/$host/release/$target" "${options[@]}" "${inputs[@]}" >"$work/log" 2>&1 &
  names+=("$target") pids+=($!)
done

status=0
for index in "${!names[@]}"; do
  target="${names[$index]}" log="target/fuzz/${names[$index]}/log"
  if wait "${pids[$index]}" && done_line="$(grep "^#$runs[[:space:]]DONE" "$log")"; then
    coverage="$(sed 's/.*\(cov: [0-9]*\) \(ft: [0-9]*\).*/\1, \2/' <<<"$done_line")"
    echo "ok fuzz $target: $runs runs, seed $seed, $coverage, $(sed -n 's/^Done .* in \(.*\)/\1/p' "$log")"
  else
    status=1
    echo "FAILED fuzz $target, seed $seed:"
    grep -v -E '^#[0-9]+[[:space:]]+(NEW|REDUCE|RELOAD|pulse|INITED)' "$log" | tail -n 40
    echo "repeat it with: fuzz/target/$host/release/$target fuzz/artifacts/$target/..."
  fi
done
exit "$status"
