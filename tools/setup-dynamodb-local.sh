#!/usr/bin/env bash
# Installs DynamoDB Local into .tools/dynamodb-local, and a Java runtime for it where there is none and this runs as
# root. Does nothing when both are there. The last line printed is the folder of the jar.
#
# AWS publishes DynamoDB Local as an archive and a container image. The same jar is in the npm package
# amplify-dynamodb-simulator, for machines that reach no more than package registries. Its licence is Amazon's own, for
# development and tests (LICENSE.txt beside it): it is installed, and never committed or passed on.
set -euo pipefail

package=amplify-dynamodb-simulator
version=2.9.30
# Of the package's archive, in hex. `npm pack` and not a lock file with `npm ci`: that would install 318 packages that
# this one depends on, for a single jar that needs none of them.
sha512=c5379e44bbf311fab2779961ddb1f8734907bd21c79a6843e590ec1c5280439836665e89aa515dbad6908422c7cf1129e91cb5a3b4c1ea7888a17b9002749ec1
java_minimum=17
java_package=default-jre-headless

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
folder="$root/.tools/dynamodb-local"

say() { echo "setup-dynamodb-local: $*" >&2; }

# The major version of the `java` on the path, 0 without one.
java_major() {
  local major=
  if command -v java >/dev/null; then
    major="$(java -XshowSettings:properties -version 2>&1 |
      sed -n 's/^ *java\.specification\.version = \(1\.\)\{0,1\}\([0-9]*\).*/\2/p')"
  fi
  echo "${major:-0}"
}

if (($(java_major) < java_minimum)); then
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    say "no Java $java_minimum or newer found: installing the Debian package $java_package"
    apt-get update --quiet=2 >&2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$java_package" >&2
  fi
  if (($(java_major) < java_minimum)); then
    say "DynamoDB Local needs Java $java_minimum or newer: install the Debian package $java_package" \
      "(or openjdk-$java_minimum-jre-headless)"
    exit 1
  fi
fi

if [[ ! -f "$folder/.stamp" || "$(<"$folder/.stamp")" != "$sha512" ]]; then
  command -v npm >/dev/null || { say "needs npm: install the Debian package npm"; exit 1; }
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  npm pack --silent --ignore-scripts --pack-destination "$work" "$package@$version" >/dev/null
  if ! echo "$sha512  $work/$package-$version.tgz" | sha512sum --check --status; then
    say "$package@$version is not the archive that this script was written for: its checksum differs"
    exit 1
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  tar --extract --gzip --file "$work/$package-$version.tgz" --directory "$folder" --strip-components=2 \
    package/emulator
  # Last, so that an installation that was cut short is done again.
  echo "$sha512" >"$folder/.stamp"
fi

if [[ ! -f "$folder/DynamoDBLocal.jar" ]]; then
  say "no DynamoDBLocal.jar in $folder: remove that folder and run this again"
  exit 1
fi

echo "$folder"
