#!/usr/bin/env bash
# Lints template.yaml: as it is, with cfn-lint (.cfnlintrc says how), checkov (.checkov.yaml) and the SAM CLI, and once
# more as the plain CloudFormation that the SAM transform makes of it. cfn-lint does not transform, and looks at a
# function's properties only by their shape: a reference to nothing is found only in the result.
# Needs tools/setup-lint.sh, but neither an AWS account nor a network.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

export SAM_CLI_TELEMETRY=0
# Rules and transform look resources up by region; any with all the services will do.
export AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-us-east-1}"

.tools/lint/bin/cfn-lint
echo "cfn-lint: template.yaml is clean"

.tools/sam/bin/sam validate --lint

.tools/checkov/bin/checkov --file template.yaml
echo "checkov: template.yaml is clean"

# NAME [PARAMETER=VALUE ...]: once for each shape that the transform makes.
lint_transformed() {
  local processed="$folder/$1.json"
  shift
  .tools/sam/bin/python tools/transform_template.py template.yaml "$@" >"$processed"
  # I3042, a partition written out: in the authorizer's URI, which is SAM's text. W2001 and W7001, a parameter and a
  # mapping that nothing uses: SAM has put the values in their place. W1028, a condition within the same condition: SAM writes
  # it so for a conditional route. In our own text the first run looks for all four.
  .tools/lint/bin/cfn-lint --ignore-checks I3042 --ignore-checks W2001 --ignore-checks W7001 --ignore-checks W1028 \
    -- "$processed"
  .tools/checkov/bin/checkov --file "$processed"
  echo "cfn-lint, checkov: template.yaml, transformed${*:+ with $*}, is clean"
}

folder="$(mktemp --directory)"
trap 'rm -rf "$folder"' EXIT
lint_transformed plain
lint_transformed full Deployment=Canary10Percent10Minutes CorsOrigins=https://app.example.com,https://admin.example.com
