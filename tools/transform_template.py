"""Prints, as JSON, the CloudFormation template that the SAM transform makes of template.yaml.

Run with the Python of the SAM CLI's environment (.tools/sam/bin/python). Nothing is asked of AWS.
"""

import json
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """In place of the loader that lists an account's managed policies: the template names none."""

    def load(self) -> dict[str, str]:
        return {}


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The transform refuses a folder: `sam deploy` replaces it by the uploaded package first.
            resource["Properties"]["CodeUri"] = "s3://bucket/package"
    json.dump(transform(template, {}, NoManagedPolicies()), sys.stdout, indent=2)


if __name__ == "__main__":
    main(sys.argv[1])
