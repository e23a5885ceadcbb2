#!/usr/bin/env bash
# Installs Debian packages, where this runs as root and there is apt-get. Ends with 2 elsewhere, and says what is needed; with 1
# where apt-get fails.
#
#   tools/apt-install.sh PACKAGE...
set -euo pipefail

if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
  echo "apt-install: needs $*: install that and run this again" >&2
  exit 2
fi
# One at a time: apt-get does not wait for another one, and some tiers of CI run side by side.
exec 9>"${TMPDIR:-/tmp}/ratchet-apt-install.lock"
flock 9
echo "apt-install: installing the Debian packages $*" >&2
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
{ apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@"; } \
  >"$log" 2>&1 9>&- || { cat "$log" >&2; exit 1; }
