"""The same change behind FastAPI and Mangum, with the body read by pydantic."""

from typing import Any, Literal

from bare import SCOPES, change
from fastapi import FastAPI, HTTPException, Request
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()


class Update(BaseModel):
    status: Literal["cancelled", "completed", "failed"]
    error_info: dict[str, Any] | None = None


class Updated(BaseModel):
    success: bool
    execution_id: str
    previous_status: str
    current_status: str
    message: str


@app.patch("/api/v1/executions/{execution_id}")
def update(execution_id: str, update: Update, request: Request) -> Updated:
    caller = request.scope["aws.event"]["requestContext"]["authorizer"]["lambda"]
    if not SCOPES[update.status] & set(caller["scopes"].split(",")):
        raise HTTPException(403, "the key's scope")
    status = change(caller["organization_id"], execution_id, update.status, update.error_info or {})
    if status is None:
        raise HTTPException(400, "the execution is not running")
    return Updated(
        success=True,
        execution_id=execution_id,
        previous_status="running",
        current_status=status,
        message=f"Status changed from running to {status}",
    )


handler = Mangum(app, lifespan="off")
