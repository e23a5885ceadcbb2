#!/usr/bin/env bash
# Tests the web console: its vendored modules against their packages, its types, and everything that it does, in a real browser
# against a running `local`. Pictures of every page are kept in target/console.
#
#   tools/console.sh [FILE ...]      all tests, or those of some files of tests/console
#   tools/console.sh --pictures      makes the pictures of the README anew: docs/console-*.png
#
# Needs Node 20, npm and Chromium. Where this runs as root, Chromium and the pictures' font are installed as Debian packages.
# RATCHET_CHROMIUM names another executable. Ends with 2 where there is no Chromium: then nothing was tested.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$PWD" work="$PWD/target/console" modules="$PWD/.tools/console"
say() { echo "console: $*" >&2; }

browser() {
  local name
  for name in "${RATCHET_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [[ -n $name ]] && command -v "$name"; then return; fi
  done
  return 1
}

command -v npm >/dev/null || { say "needs Node 20 and npm (Debian packages nodejs and npm)"; exit 1; }
if ! browser >/dev/null; then
  tools/apt-install.sh chromium fonts-inter || { say "NOT RUN: there is no Chromium: install it, or name one in RATCHET_CHROMIUM"; exit 2; }
fi
RATCHET_CHROMIUM="$(browser)"

sum="$(sha256sum <tests/console/package-lock.json)"
if ! [[ -f "$modules/.stamp" && "$(<"$modules/.stamp")" == "$sum" ]]; then
  mkdir -p "$modules"
  cp tests/console/package.json tests/console/package-lock.json "$modules"
  npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent
  printf '%s\n' "$sum" >"$modules/.stamp"
fi

node tests/console/vendored.js "$root" "$modules/node_modules"
for project in tsconfig.json tsconfig.tests.json; do
  "$modules/node_modules/.bin/tsc" --project "tests/console/$project"
  echo "ok tsc: $project, strict"
done

# With the features that the whole workspace asks for, so that what its tests have built is built already.
cargo build --quiet --locked --workspace --bin local --bin keys
# Beside their modules, for Node looks for these in the folders above.
rm -rf "$work"
mkdir -p "$work/src"
cp tests/console/*.js tests/console/package.json "$work/src"
ln -s "$modules/node_modules" "$work/src/node_modules"
export RATCHET_ROOT="$root" RATCHET_CHROMIUM RATCHET_BINARIES="${CARGO_TARGET_DIR:-$root/target}/debug" RATCHET_OUT="$work"
export FONTCONFIG_FILE="$root/tests/console/fonts.conf"

files=()
if [[ ${1:-} == --pictures ]]; then
  files=(pictures.js)
elif [[ $# -gt 0 ]]; then
  files=("${@##*/}")
else
  for file in tests/console/*.test.js; do files+=("${file##*/}"); done
  files+=(pictures.js)
fi
# One after the other: several browsers at once would make each slow, and a list of rows late.
node --test --test-reporter=tap --test-concurrency=1 "${files[@]/#/$work/src/}"
if [[ ${1:-} == --pictures ]]; then
  cp "$work"/pictures/*.png docs/
  say "docs/console-*.png are new"
fi
