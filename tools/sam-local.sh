#!/usr/bin/env bash
# Runs every event of events/ with `sam local invoke`, and one story through `sam local start-api`, in containers, with
# DynamoDB Local behind them. Sets up what is missing, and says so:
#
# - a Docker engine: started from the Debian package docker.io where this runs as root and none answers; ended afterwards
# - Lambda's base image: pulled, or where no registry can be reached made of a minimal Debian, which has the same interfaces
#   (the SAM CLI adds the runtime interface emulator to either)
#
# Ends with 2 where no engine can be had: then nothing was tested.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { echo "sam-local: $*" >&2; }

[[ "$(uname -m)" == x86_64 ]] && machine=x86_64 || machine=arm64
repository=public.ecr.aws/lambda/provided
work="$(mktemp -d)"
engine=
finish() {
  # Only the engine that this started.
  if [[ -n $engine ]]; then
    kill "$engine" 2>/dev/null && wait "$engine" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT

if ! docker info >/dev/null 2>&1; then
  if ! command -v dockerd >/dev/null; then
    tools/apt-install.sh docker.io || { say "NOT RUN: there is no Docker engine on this machine and none could be installed"; exit 2; }
  fi
  say "no Docker engine answers: starting one"
  [[ $EUID -eq 0 ]] || { say "NOT RUN: an engine can be started by root only"; exit 2; }
  dockerd --data-root "$work/docker" --exec-root "$work/exec" --pidfile "$work/docker.pid" >"$work/dockerd.log" 2>&1 &
  engine=$!
  for _ in $(seq 60); do
    if docker info >/dev/null 2>&1; then break; fi
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
  done
  if ! docker info >/dev/null 2>&1; then
    tail -n 20 "$work/dockerd.log" >&2
    say "NOT RUN: the Docker engine does not start on this machine"
    exit 2
  fi
fi

image="$repository:al2023-$machine"
if ! docker image inspect "$image" >/dev/null 2>&1; then
  if timeout 300 docker pull --quiet "$image" >/dev/null 2>"$work/pull.log"; then
    say "pulled $image"
  else
    say "$image cannot be pulled ($(tail -n 1 "$work/pull.log")): making one of a minimal Debian in its place"
    command -v debootstrap >/dev/null || tools/apt-install.sh debootstrap
    debootstrap --variant=minbase bookworm "$work/root" >"$work/debootstrap.log" 2>&1 || {
      tail -n 20 "$work/debootstrap.log" >&2
      say "NOT RUN: no base image can be had"
      exit 2
    }
    tar --directory "$work/root" --create . | docker import - "$image" >/dev/null
  fi
fi
docker tag "$image" "$repository:al2023"

tools/setup-e2e.sh
.tools/e2e/bin/python tests/e2e/run_events.py sam
