//! The body of update execution status.

use super::fields::read_string;
use super::problems::{Fault, Problems};
use super::update::{Change, FieldUpdates, MAX_ERROR_MESSAGE, RequestedTransition};
use super::{Request, fields};
use crate::auth::Scope;
use crate::error::Error;
use crate::json::{self, Document};
use crate::status::Status;

/// The statuses that this operation may set.
pub const TARGETS: [Status; 3] = [Status::Cancelled, Status::Failed, Status::Completed];

/// It is for executions that got stuck: only from `running` (contract, "Update execution status").
const SOURCES: &[Status] = &[Status::Running];

/// The scope that setting `target` needs: cancelling is a user's business, the rest is cleaning up.
#[must_use]
pub fn scope(target: Status) -> Scope {
    if target == Status::Cancelled { Scope::Write } else { Scope::Admin }
}

/// Reads the request of update execution status, and lets only a key pass that may do it.
///
/// # Errors
///
/// Everything that is wrong with it; [`Error::Forbidden`] for the scope.
pub fn read(operation: &str, request: &Request) -> Result<Change, Error> {
    // Whoever may not even cancel learns nothing of the body.
    request.caller.require(Scope::Write)?;
    let body: Document = request.json()?;
    let mut problems = Problems::default();
    let problems = &mut problems;
    let mut from = fields(&body);
    let status = from.required_name("status", &TARGETS, problems);
    let error_details = from.object("error_info", problems);
    from.finish(problems);

    // A string `message` in it is what people shall read.
    let info = error_details.as_ref().and_then(|info| json::parse(info.as_str()).ok());
    let message = info.as_ref().and_then(|info| info.members()?.find(|(name, _)| *name == "message"));
    let error_message = message.and_then(|(_, text)| match read_string(text, 0, MAX_ERROR_MESSAGE) {
        Ok(message) => Some(message),
        Err(Fault::NotAString) => None,
        Err(fault) => {
            problems.add(vec!["body".into(), "error_info".into(), "message".into()], &fault, text);
            None
        }
    });

    let options = request.write_options(operation, &body, problems);
    std::mem::take(problems).finish()?;
    let to = status.ok_or_else(|| Error::internal("a required field was lost"))?;
    request.caller.require(scope(to))?;
    let fields = FieldUpdates { error_message, error_details, ..FieldUpdates::default() };
    Ok(Change { transition: Some(RequestedTransition { to, sources: SOURCES }), fields, options })
}
