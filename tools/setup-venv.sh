#!/usr/bin/env bash
# Installs Python tools, each into a virtual environment of its own: .tools/NAME from
# tools/python/requirements-NAME.txt. Does nothing for an environment whose requirement file has not changed since.
#
#   tools/setup-venv.sh NAME...
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

if ! python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup-venv: needs python3 >= 3.11 with venv (Debian packages python3 and python3-venv)" >&2
  exit 1
fi

# uv takes seconds for what takes pip minutes. It does not read pip's settings, so it is told the two that a network needs.
export UV_SYSTEM_CERTS=1 UV_NO_CONFIG=1
if [[ -z "${UV_DEFAULT_INDEX:-}" ]]; then
  index="$(python3 -m pip config get global.index-url 2>/dev/null || true)"
  index="${PIP_INDEX_URL:-$index}"
  [[ -z $index ]] || export UV_DEFAULT_INDEX="$index"
fi

# Wheels only: a package that would build itself here runs code at installation and needs compilers. No dependencies: the
# file lists them all, so there is nothing to work out; a check finds one that is missing all the same.
only=(--quiet --require-hashes --only-binary :all: --no-deps --requirement)

# venv NAME [OPTION]: makes .tools/NAME, with the option for Python's venv, and installs what its file lists, unless that was done.
venv() {
  local venv="$root/.tools/$1" requirements="$root/tools/python/requirements-$1.txt" sum
  sum="$(sha256sum <"$requirements")"
  if [[ -f "$venv/.stamp" && "$(<"$venv/.stamp")" == "$sum" ]]; then
    return
  fi
  # From nothing: an upgrade in place would keep packages that the new file no longer names.
  rm -rf "$venv"
  python3 -m venv "${@:2}" "$venv"
  if [[ $1 == uv ]]; then
    "$venv/bin/pip" install --disable-pip-version-check "${only[@]}" "$requirements"
  else
    "$uv" pip install --python "$venv/bin/python" "${only[@]}" "$requirements"
    "$uv" pip check --quiet --python "$venv/bin/python"
  fi
  # Last, so that an installation that was cut short is done again.
  printf '%s\n' "$sum" >"$venv/.stamp"
}

uv="$root/.tools/uv/bin/uv"
venv uv
for name; do venv "$name" --without-pip; done
