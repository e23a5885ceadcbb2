#!/usr/bin/env bash
# Installs DynamoDB Local into .tools/dynamodb-local, and a Java runtime for it (setup-java.sh). Does nothing when both are
# there. The last line printed is the folder of the jar.
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

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
folder="$root/.tools/dynamodb-local"

say() { echo "setup-dynamodb-local: $*" >&2; }

"$root/tools/setup-java.sh"

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
