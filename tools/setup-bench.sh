#!/usr/bin/env bash
# Installs and builds what the functions are compared with: two virtual environments, the bundle for Node, three Rust
# binaries. Prints their versions.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$PWD"

say() { echo "setup-bench: $*" >&2; }

# Compiled, so that a process is measured as at its second start and ever after: the first would compile what it imports.
UV_COMPILE_BYTECODE=1 tools/setup-venv.sh bench-python bench-fastapi
for name in bench-python bench-fastapi; do
  .tools/$name/bin/python --version
  .tools/uv/bin/uv pip list --quiet --python .tools/$name/bin/python --format freeze |
    grep -E '^(awslambdaric|boto3|botocore|fastapi|mangum|pydantic|starlette)=='
  # What would be deployed, for its size.
  package="target/bench/${name#bench-}"
  rm -rf "$package"
  mkdir -p "$package"
  cp -r .tools/$name/lib/python3*/site-packages/. benches/peers/python/. "$package"
  find "$package" -name __pycache__ -exec rm -rf {} +
done

command -v node >/dev/null || { say "needs Node 20 and npm (Debian packages nodejs and npm)"; exit 1; }
echo "node $(node --version)"
modules="$root/.tools/bench-node"
mkdir -p "$modules" target/bench/node
sum="$(sha256sum <benches/peers/node/package-lock.json)"
if ! [[ -f "$modules/.stamp" && "$(<"$modules/.stamp")" == "$sum" ]]; then
  cp benches/peers/node/package.json benches/peers/node/package-lock.json "$modules"
  # No scripts: esbuild's own merely makes its start quicker.
  npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent
  printf '%s\n' "$sum" >"$modules/.stamp"
fi
cp benches/peers/node/*.mjs "$modules"
(cd "$modules" && node_modules/.bin/esbuild runtime.mjs --bundle --minify --platform=node --target=node20 --format=esm \
  --main-fields=module,main --log-level=warning --outfile="$root/target/bench/node/index.mjs" \
  --banner:js="import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);")
for package in @aws-sdk/client-dynamodb esbuild; do
  echo "$package $(node -p "require('$modules/node_modules/$package/package.json').version")"
done

# One by one, for features are shared by what is built together; for the processor that cargo-lambda builds for.
export CARGO_TARGET_DIR="$root/target/peers" RUSTFLAGS="-C target-cpu=haswell"
peers=(--manifest-path benches/peers/rust/Cargo.toml --quiet --locked)
cargo build "${peers[@]}" --profile tuned --package hello
cargo build "${peers[@]}" --profile tuned --package unprimed
cargo build "${peers[@]}" --release --package naive
cargo tree "${peers[@]}" --package naive --depth 1 --prefix none | sort --unique
cargo tree "${peers[@]}" --package hello --depth 1 --prefix none | sort --unique
