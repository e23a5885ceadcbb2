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

for name; do
  venv="$root/.tools/$name" requirements="$root/tools/python/requirements-$name.txt"
  sum="$(sha256sum <"$requirements")"
  if [[ -f "$venv/.stamp" && "$(<"$venv/.stamp")" == "$sum" ]]; then
    continue
  fi
  # From nothing: an upgrade in place would keep packages that the new file no longer names.
  rm -rf "$venv"
  python3 -m venv "$venv"
  # Wheels only: a package that would build itself here runs code at installation and needs compilers. No dependencies:
  # the file lists them all, so pip has nothing to work out; `pip check` finds one that is missing all the same.
  "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
    --requirement "$requirements"
  "$venv/bin/pip" check
  # Last, so that an installation that was cut short is done again.
  printf '%s\n' "$sum" >"$venv/.stamp"
done
