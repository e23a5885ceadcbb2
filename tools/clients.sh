#!/usr/bin/env bash
# Makes clients from openapi/openapi.json with generators that people use, checks the types of what uses them, and drives
# each through the life of an execution against a running `local`: execute, running, completed, get, list, and refusals.
# What is made goes to target/clients.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/start-local.sh
root="$PWD" work="$PWD/target/clients" document="$PWD/openapi/openapi.json"

say() { echo "clients: $*" >&2; }

python3 tools/clients_cover.py

command -v npm >/dev/null || { say "needs Node 20 and npm (Debian packages nodejs and npm)"; exit 1; }
tools/setup-java.sh
tools/setup-venv.sh clients
bin="$root/.tools/clients/bin" modules="$root/.tools/clients-node"
sum="$(sha256sum <tests/clients/typescript/package-lock.json)"
if ! [[ -f "$modules/.stamp" && "$(<"$modules/.stamp")" == "$sum" ]]; then
  mkdir -p "$modules"
  cp tests/clients/typescript/package.json tests/clients/typescript/package-lock.json "$modules"
  npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent
  printf '%s\n' "$sum" >"$modules/.stamp"
fi
cargo build --quiet --locked --workspace --bin local

# Of what was made before, only what mypy knows of it remains.
rm -rf "$work"/{python,typescript,logs}
mkdir -p "$work"/{python,typescript,logs}
cp tests/clients/typescript/* "$work/typescript"
ln -s "$modules/node_modules" "$work/typescript/node_modules"

# generate NAME COMMAND...: what it says is shown if it fails, or leaves something of the document out.
generate() {
  local name="$1" log="$work/logs/$1.log"
  shift
  "$@" >"$log" 2>&1 || { cat "$log"; say "$name does not take the document"; exit 1; }
  echo "ok $name: takes the document"
}

# With the options that each has by default, as its users have them.
generate openapi-python-client "$bin/openapi-python-client" generate --path "$document" --fail-on-warning --meta none \
  --config tests/clients/python/openapi-python-client.yaml --output-path "$work/python/ratchet_client"
generate "openapi-generator python" "$bin/openapi-generator-cli" generate --input-spec "$document" \
  --generator-name python --output "$work/python/openapi-generator"
ln -s openapi-generator/openapi_client "$work/python/openapi_client"
generate openapi-typescript "$modules/node_modules/.bin/openapi-typescript" "$document" \
  --output "$work/typescript/schema.d.ts"
generate "openapi-generator typescript-fetch" "$bin/openapi-generator-cli" generate --input-spec "$document" \
  --generator-name typescript-fetch --output "$work/typescript/typescript-fetch"

# What openapi-generator makes is not annotated throughout: strict is what uses it, by the types that it has.
MYPYPATH="$work/python" "$bin/mypy" --strict --follow-imports silent --cache-dir "$work/mypy" tests/clients/python
echo "ok mypy: --strict"
"$modules/node_modules/.bin/tsc" --project "$work/typescript"
echo "ok tsc: strict"
node "$work/typescript/postman.cjs" "$document"

export RATCHET_KEY=clients-key
start_local "$work" clients

status=0
for driver in tests/clients/python/*.py; do
  PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$work/python" "$bin/python" "$driver" || status=1
done
for driver in "$work"/typescript/out/drive-*.js; do
  node "$driver" || status=1
done
exit "$status"
