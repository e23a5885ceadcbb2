"""The change of status with boto3 alone, as a handler of Lambda's own runtime client."""

import json
import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

TABLE = os.environ["RATCHET_TABLE"]
dynamodb = boto3.client("dynamodb")

# The scopes that may set each status.
SCOPES = {"cancelled": {"write", "admin"}, "completed": {"admin"}, "failed": {"admin"}}


def answer(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def change(organization: str, execution_id: str, status: str, details: dict[str, Any]) -> str | None:
    """The status after the change, or None if the execution is not running."""
    try:
        output = dynamodb.update_item(
            TableName=TABLE,
            Key={"pk": {"S": f"e#{organization}#{execution_id}"}, "sk": {"S": "h"}},
            UpdateExpression="SET #st = :to, #em = :em, #ed = :ed, #v = #v + :one",
            ConditionExpression="attribute_exists(pk) AND #st = :running",
            ExpressionAttributeNames={"#st": "st", "#em": "em", "#ed": "ed", "#v": "v"},
            ExpressionAttributeValues={
                ":to": {"S": status},
                ":em": {"S": str(details.get("message", ""))},
                ":ed": {"S": json.dumps(details)},
                ":one": {"N": "1"},
                ":running": {"S": "running"},
            },
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return None
        raise
    return output["Attributes"]["st"]["S"]


def updated(execution_id: str, status: str) -> dict[str, Any]:
    return {
        "success": True,
        "execution_id": execution_id,
        "previous_status": "running",
        "current_status": status,
        "message": f"Status changed from running to {status}",
    }


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    caller = event["requestContext"]["authorizer"]["lambda"]
    try:
        body = json.loads(event["body"])
        allowed, details = SCOPES[body["status"]], body.get("error_info") or {}
    except (ValueError, KeyError, TypeError):
        return answer(422, {"detail": "the body is no update"})
    if not allowed & set(caller["scopes"].split(",")):
        return answer(403, {"detail": "the key's scope"})
    execution_id = event["pathParameters"]["execution_id"]
    status = change(caller["organization_id"], execution_id, body["status"], details)
    if status is None:
        return answer(400, {"detail": "the execution is not running"})
    return answer(200, updated(execution_id, status))
