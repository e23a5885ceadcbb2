#!/usr/bin/env bash
# Lints template.yaml: as it is, with cfn-lint (.cfnlintrc says how) and the SAM CLI, and once more as the plain
# CloudFormation that the SAM transform makes of it. cfn-lint does not transform, and looks at a function's properties
# only by their shape: a misspelt action in a policy, or a reference to nothing, is found only in the result.
# Needs tools/setup-lint.sh, but neither an AWS account nor a network.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

export SAM_CLI_TELEMETRY=0
# Rules and transform look resources up by region; any with all the services will do.
export AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-us-east-1}"

.tools/lint/bin/cfn-lint
echo "cfn-lint: template.yaml is clean"

.tools/sam/bin/sam validate --lint

processed="$(mktemp --suffix=.json)"
trap 'rm -f "$processed"' EXIT
.tools/sam/bin/python tools/transform_template.py template.yaml >"$processed"
# I3042, a partition written out: in the authorizer's URI, which is SAM's text. In ours the first run looks for it.
.tools/lint/bin/cfn-lint --ignore-checks I3042 -- "$processed"
echo "cfn-lint: template.yaml, transformed, is clean"
