"""Prints, as JSON, the CloudFormation template that the SAM transform makes of template.yaml.

`transform_template.py TEMPLATE [NAME=VALUE ...]`: parameters that the transform looks at, as AWS gives them to it. Run
with the Python of the SAM CLI's environment (.tools/sam/bin/python). Nothing is asked of AWS.
"""

import json
import logging
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """In place of the loader that lists an account's managed policies: the template names none."""

    def load(self) -> dict[str, str]:
        return {}


# It tells of every feature that it does not have.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


def main(path: str, *parameters: str) -> None:
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The transform refuses a folder: `sam deploy` replaces it by the uploaded package first.
            resource["Properties"]["CodeUri"] = "s3://bucket/package"
    values = dict(parameter.split("=", 1) for parameter in parameters)
    json.dump(transform(template, values, NoManagedPolicies()), sys.stdout, indent=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
