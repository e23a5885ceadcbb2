# To be sourced: starts the `local` of target/debug on a free port, with an empty store in memory, until the shell ends.
#
#   start_local WORK ORGANIZATION
#
# RATCHET_KEY becomes a key of the organization. Exports RATCHET_URL; WORK/local.log is the log.

start_local() {
  local work="$1" organization="$2"
  # Empty before the server writes to it: the address of an earlier one may stand there.
  : >"$work/local.out"
  # Without what would send it to another DynamoDB or table.
  env --unset=AWS_ENDPOINT_URL_DYNAMODB --unset=AWS_ENDPOINT_URL --unset=RATCHET_TABLE \
    "${CARGO_TARGET_DIR:-target}/debug/local" --port 0 --api-key "$RATCHET_KEY=$organization" \
    >"$work/local.out" 2>"$work/local.log" &
  server=$!
  trap 'kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true' EXIT
  for _ in $(seq 100); do
    RATCHET_URL="$(sed -n 's/^Ratchet listens on \([^ ]*\) .*/\1/p' "$work/local.out")"
    [[ -z $RATCHET_URL ]] || break
    kill -0 "$server" 2>/dev/null || { cat "$work/local.log" >&2; exit 1; }
    sleep 0.1
  done
  [[ -n $RATCHET_URL ]] || { echo "local does not start" >&2; exit 1; }
  export RATCHET_URL
}
