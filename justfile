# Short names for the commands of README.md and CONTRIBUTING.md, for those who have `just`. Nothing needs it.

# Lists these recipes
default:
    @just --list

# All tiers of CI, or these: just ci fuzz mutations
ci *tiers:
    bash .ci/run {{ tiers }}

# The tiers that a pull request must pass
quick:
    bash .ci/run format clippy tests readme tables

# The development server: just dev --db target/executions.db
dev *options:
    cargo run -p local -- {{ options }}

# The API key tool: just keys list
keys *arguments:
    cargo run -q -p keys -- {{ arguments }}

# Formats all Rust code
format:
    cargo fmt --all

# clippy, as CI runs it
check:
    cargo clippy --workspace --all-targets --locked -- --deny warnings

# The tests of the API, or those of this name
test *name:
    cargo test -p tests --test api {{ name }}

# The tests of the API on AWS's own DynamoDB Local, or those of this name
test-dynamodb-local *name:
    tools/with-dynamodb-local.sh cargo test -p tests --test api {{ name }}

# Generates openapi/openapi.json from the types
openapi:
    cargo run -q -p local -- --print-openapi > openapi/openapi.json

# Runs the README's walk and compares the answers
readme:
    python3 tools/check_readme.py

# Writes the tables of docs/ that are made of measured figures
tables:
    python3 tools/tables.py

# Lints template.yaml
template:
    tools/setup-lint.sh && tools/lint-template.sh

# Builds the functions: just build x86_64
build *options:
    tools/build.sh {{ options }}

# Deploys the stack to an emulator on this machine, until Ctrl-C
deploy-local:
    tools/deploy-local.sh

# The end-to-end suite; arguments go to pytest: just e2e -k authorizer
e2e *arguments:
    tools/e2e.sh {{ arguments }}

# Counts what the functions cost: just bench --check
bench *options:
    tools/bench.sh {{ options }}

# Generates clients from the OpenAPI document and drives them
clients:
    tools/clients.sh

# Holds the Rust client to the conformance list: just rust-client --only wait
rust-client *options:
    tools/rust-client.sh {{ options }}

# Tests the Python client, or these of its tests: just python-client -k wait
python-client *options:
    tools/python-client.sh {{ options }}

# Writes docs/cli.md anew, from the help
cli-reference:
    cargo run -q -p ratchet-cli -- reference > docs/cli.md

# Tests the web console in a browser: just console list.test.js
console *files:
    tools/console.sh {{ files }}

# Measures the development server beside what one would run instead: just servers --quick
servers *options:
    tools/servers.sh {{ options }}

# Fuzzes every target: just fuzz 100000
fuzz *runs:
    tools/fuzz.sh {{ runs }}

# Breaks the code on purpose to see tests fail: just mutations --sample 12
mutations *options:
    python3 tools/mutations.py {{ options }}

# Everything that tries to break the guarantees, for two hours
lab *options:
    python3 tools/lab.py {{ options }}
