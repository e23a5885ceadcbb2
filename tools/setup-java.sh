#!/usr/bin/env bash
# Installs a Java runtime where there is none, or one that is too old, and this runs as root.
set -euo pipefail

minimum=17
package=default-jre-headless

say() { echo "setup-java: $*" >&2; }

# The major version of the `java` on the path, 0 without one.
major() {
  local major=
  if command -v java >/dev/null; then
    major="$(java -XshowSettings:properties -version 2>&1 |
      sed -n 's/^ *java\.specification\.version = \(1\.\)\{0,1\}\([0-9]*\).*/\2/p')"
  fi
  echo "${major:-0}"
}

if (($(major) < minimum)); then
  say "no Java $minimum or newer found"
  "$(dirname "${BASH_SOURCE[0]}")/apt-install.sh" "$package" || true
  if (($(major) < minimum)); then
    say "needs Java $minimum or newer: install the Debian package $package (or openjdk-$minimum-jre-headless)"
    exit 1
  fi
fi
