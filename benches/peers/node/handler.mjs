// The change of status with the AWS SDK v3.
import { ConditionalCheckFailedException, DynamoDBClient, UpdateItemCommand } from "@aws-sdk/client-dynamodb";

const TableName = process.env.RATCHET_TABLE;
const client = new DynamoDBClient({});

// The scopes that may set each status.
const SCOPES = { cancelled: ["write", "admin"], completed: ["admin"], failed: ["admin"] };

const answer = (statusCode, body) => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

export async function handler(event) {
  const caller = event.requestContext.authorizer.lambda;
  let body;
  try {
    body = JSON.parse(event.body);
  } catch {
    return answer(422, { detail: "the body is no JSON" });
  }
  const allowed = SCOPES[body.status];
  if (!allowed) return answer(422, { detail: "no such status" });
  const scopes = caller.scopes.split(",");
  if (!allowed.some((scope) => scopes.includes(scope))) return answer(403, { detail: "the key's scope" });
  const details = body.error_info ?? {};
  const id = event.pathParameters.execution_id;
  try {
    const output = await client.send(
      new UpdateItemCommand({
        TableName,
        Key: { pk: { S: `e#${caller.organization_id}#${id}` }, sk: { S: "h" } },
        UpdateExpression: "SET #st = :to, #em = :em, #ed = :ed, #v = #v + :one",
        ConditionExpression: "attribute_exists(pk) AND #st = :running",
        ExpressionAttributeNames: { "#st": "st", "#em": "em", "#ed": "ed", "#v": "v" },
        ExpressionAttributeValues: {
          ":to": { S: body.status },
          ":em": { S: String(details.message ?? "") },
          ":ed": { S: JSON.stringify(details) },
          ":one": { N: "1" },
          ":running": { S: "running" },
        },
        ReturnValues: "ALL_NEW",
      }),
    );
    const status = output.Attributes.st.S;
    return answer(200, {
      success: true,
      execution_id: id,
      previous_status: "running",
      current_status: status,
      message: `Status changed from running to ${status}`,
    });
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) {
      return answer(400, { detail: "the execution is not running" });
    }
    throw error;
  }
}
