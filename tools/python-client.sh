#!/usr/bin/env bash
# Tests the Python client (clients/python): its types, its tests, its package as users install it, and the conformance list of the
# clients against a running `local` behind a fault proxy.
#
#   tools/python-client.sh [PYTEST OPTION ...]      all of it; with options, those tests alone: tools/python-client.sh -k wait
#
# RATCHET_PYTHONS names further interpreters (python3.10 python3.13 ...) with which the list is run, too.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$PWD" work="$PWD/target/python-client" modules="$PWD/.tools/python-client-node" bin="$PWD/.tools/python-client/bin"
say() { echo "python-client: $*" >&2; }

command -v npm >/dev/null || { say "needs Node 20 and npm (Debian packages nodejs and npm), for pyright"; exit 1; }
tools/setup-venv.sh python-client
sum="$(sha256sum <clients/python/tests/pyright/package-lock.json)"
if ! [[ -f "$modules/.stamp" && "$(<"$modules/.stamp")" == "$sum" ]]; then
  mkdir -p "$modules"
  cp clients/python/tests/pyright/package.json clients/python/tests/pyright/package-lock.json "$modules"
  npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent
  printf '%s\n' "$sum" >"$modules/.stamp"
fi
cargo build --quiet --locked --workspace --bin local
export PYTHONDONTWRITEBYTECODE=1

# tests OPTION...: each test that passed as a line that begins with ok.
tests() {
  (cd clients/python && "$bin/python" -m pytest -q -rp "$@") | sed 's/^PASSED /ok /'
}

if [[ $# -gt 0 ]]; then
  tests "$@"
  exit
fi

"$modules/node_modules/.bin/pyright" --project clients/python --pythonpath "$bin/python"
echo "ok pyright: strict, for Python 3.10"

# As pip makes it, and installed where nothing else is: the package needs nothing, and has its types with it.
rm -rf "$work"
mkdir -p "$work"
(cd clients/python && "$bin/python" -m hatchling build -t wheel -d "$work" >"$work/build.log" 2>&1) || { cat "$work/build.log"; exit 1; }
python3 -m venv --without-pip "$work/venv"
.tools/uv/bin/uv pip install --quiet --offline --no-deps --python "$work/venv/bin/python" "$work"/ratchet-*.whl
# In a folder from which it cannot find the sources.
(cd "$work" && "$work/venv/bin/python" - <<'PYTHON'
import importlib.metadata
from importlib.resources import files

import ratchet

required = importlib.metadata.requires("ratchet") or []
assert all("extra ==" in requirement for requirement in required), required
assert importlib.metadata.version("ratchet") == ratchet.__version__
assert "venv" in ratchet.__file__, ratchet.__file__
assert files("ratchet").joinpath("py.typed").is_file()
try:
    import ratchet.langchain
except ImportError as error:
    assert "langchain_core" in str(error), error
else:
    raise AssertionError("langchain-core is there")
PYTHON
)
echo "ok the wheel: no dependencies, typed, and only ratchet.langchain asks for langchain-core"

tests

python3 clients/conformance/run.py -- "$work/venv/bin/python" clients/python/tests/driver.py
for python in ${RATCHET_PYTHONS:-}; do
  "$python" --version
  python3 clients/conformance/run.py -- "$python" clients/python/tests/driver.py
done

python3 tools/python_mutations.py --sample "${RATCHET_MUTATIONS:-12}"
