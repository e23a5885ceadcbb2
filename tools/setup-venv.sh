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

# Wheels only: a package that would build itself here runs code at installation and needs compilers. No dependencies: the
# file lists them all, so there is nothing to work out; a check finds one that is missing all the same.
only=(--quiet --require-hashes --only-binary :all: --no-deps --requirement)
# uv takes seconds for what takes pip minutes. It is installed by pip, and then installs the others.
pip="$root/.tools/uv/bin/pip" uv="$root/.tools/uv/bin/uv"
export UV_SYSTEM_CERTS=1 UV_NO_CONFIG=1

for name in uv "$@"; do
  venv="$root/.tools/$name" requirements="$root/tools/python/requirements-$name.txt"
  sum="$(sha256sum <"$requirements")"
  if [[ -f "$venv/.stamp" && "$(<"$venv/.stamp")" == "$sum" ]]; then
    continue
  fi
  # From nothing: an upgrade in place would keep packages that the new file no longer names.
  rm -rf "$venv"
  if [[ $name == uv ]]; then
    python3 -m venv "$venv"
    "$pip" install --disable-pip-version-check "${only[@]}" "$requirements"
  else
    # uv does not read pip's settings, and a network may have an index of its own. Not `pip config get`: that reads one file.
    if [[ -z "${UV_DEFAULT_INDEX:-}" ]]; then
      index="$("$pip" config list | sed -n "s/^\(:env:\|global\)\.index-url='\(.*\)'$/\2/p" | head -n 1)"
      [[ -z $index ]] || export UV_DEFAULT_INDEX="$index"
    fi
    python3 -m venv --without-pip "$venv"
    "$uv" pip install --python "$venv/bin/python" "${only[@]}" "$requirements"
    "$uv" pip check --quiet --python "$venv/bin/python"
  fi
  # Last, so that an installation that was cut short is done again.
  printf '%s\n' "$sum" >"$venv/.stamp"
done
