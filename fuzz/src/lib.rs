//! What the fuzz targets have in common: every operation's way from an event to the store's door, and what must hold of
//! the answer.
//!
//! The handlers' own first lines stand in [`Operation::read`] once more, because what follows them needs a table. Each
//! goes through [`endpoint::answer`], as in the functions, so that what a caller would read is checked, too.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use serde_json::value::RawValue;
use shared::auth::Scope;
use shared::clock::{Clock, Timestamp};
use shared::endpoint;
use shared::error::Error;
use shared::request::event::Event;
use shared::request::execute::NewExecution;
use shared::request::list::ListQuery;
use shared::request::update::Change;
use shared::request::{ExecutionId, Request, update_status};
use shared::response::Response;
use shared::store::cursor::CursorKey;

/// The secret of the targets' cursors.
pub const SECRET: &[u8] = b"a secret of the fuzz targets, long enough to be one";

/// A clock that stands still: what an input does must not depend on when it runs.
#[derive(Debug)]
pub struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000).expect("a time of this age")
    }
}

/// The endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `POST /flows/execute`
    Execute,
    /// `GET /flows/executions`
    List,
    /// `GET /flows/executions/{execution_id}`
    Get,
    /// `PATCH /flows/executions/{execution_id}`
    Update,
    /// `PATCH /executions/{execution_id}`
    UpdateStatus,
    /// `GET /executions/{execution_id}/transitions`
    Transitions,
}

/// What an operation made of a request.
#[derive(Debug)]
pub enum Read {
    /// An execution to make.
    New(NewExecution),
    /// A page to list.
    Page(ListQuery),
    /// An execution to show, and whether the caller has its version 7 already.
    Id(ExecutionId, bool),
    /// A change to make, and whether the answer shall have no body.
    Change(ExecutionId, Change, bool),
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 6] =
        [Self::Execute, Self::List, Self::Get, Self::Update, Self::UpdateStatus, Self::Transitions];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Execute => "execute_flow",
            Self::List => "list_executions",
            Self::Get => "get_execution",
            Self::Update => "update_execution",
            Self::UpdateStatus => "update_execution_status",
            Self::Transitions => "list_transitions",
        }
    }

    /// Reads a request as the operation's handler does, up to the call of the store.
    ///
    /// # Errors
    ///
    /// What the handler answers with.
    pub fn read(self, request: &Request) -> Result<Read, Error> {
        match self {
            Self::Execute => {
                request.caller.require(Scope::Write)?;
                NewExecution::read(self.name(), request).map(Read::New)
            }
            Self::List => {
                request.caller.require(Scope::Read)?;
                ListQuery::read(request, &CursorKey::new(SECRET)).map(Read::Page)
            }
            Self::Get | Self::Transitions => {
                request.caller.require(Scope::Read)?;
                Ok(Read::Id(request.execution_id()?, request.none_match("\"7\"")))
            }
            Self::Update => {
                request.caller.require(Scope::Write)?;
                let change = Change::read(self.name(), request)?;
                Ok(Read::Change(request.execution_id()?, change, request.prefers_minimal()))
            }
            Self::UpdateStatus => {
                let change = update_status::read(self.name(), request)?;
                Ok(Read::Change(request.execution_id()?, change, false))
            }
        }
    }

    /// Reads a request, and checks the answer if it is refused. `trusted`: the event has a good authorizer context.
    pub fn check(self, event: Event, trusted: bool) -> Option<Read> {
        let mut read = None;
        let response = endpoint::answer(self.name(), &Stopped, event, async |request| {
            read = Some(self.read(&request)?);
            // In the place of the record, which only a table has.
            Ok(Response::minimal())
        });
        let response = response.now_or_never().expect("nothing to wait for");
        check_answer(&response, read.is_some(), trusted);
        read
    }
}

/// What must hold of an answer to anything at all.
fn check_answer(response: &Response, read: bool, trusted: bool) {
    let text = serde_json::to_string(response).expect("an answer is JSON");
    let known: &[u16] = if read { &[204] } else { &[403, 404, 413, 415, 422] };
    // Without an authorizer nobody is served, and that is not the caller's mistake.
    let known = known.contains(&response.status_code) || (!trusted && !read && response.status_code == 500);
    assert!(known, "{text}");
    let name = response.headers.get(endpoint::CORRELATION_ID).expect("every answer names its request");
    if read {
        return;
    }
    assert_eq!(response.headers.get("content-type").map(String::as_str), Some("application/json"));
    let body = response.body.as_deref().expect("a refusal has a body");
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).expect("a refusal is a JSON object");
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    if response.status_code == 422 {
        assert_eq!(names, ["detail"], "{body}");
        check_problems(members["detail"].get());
        // Lambda returns 6 MB at most.
        assert!(body.len() < 6 * 1024 * 1024, "{} bytes", body.len());
    } else {
        assert_eq!(names, ["correlation_id", "detail", "error_code", "timestamp"], "{body}");
        assert_eq!(serde_json::from_str::<String>(members["correlation_id"].get()).ok().as_ref(), Some(name));
        let time: String = serde_json::from_str(members["timestamp"].get()).expect("a string");
        assert!(Timestamp::parse(&time).is_ok(), "{time}");
    }
}

/// Every problem says where, what and of which type, and shows what was sent.
fn check_problems(detail: &str) {
    let problems: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(detail).expect("a list of problems");
    assert!(!problems.is_empty(), "a refusal without a reason");
    assert!(problems.len() <= 1_001, "{} problems", problems.len());
    for problem in problems {
        let loc: Vec<serde_json::Value> = serde_json::from_str(problem["loc"].get()).expect("loc is a list");
        let place = loc.first().and_then(serde_json::Value::as_str).expect("loc starts with a place");
        assert!(["body", "query", "path", "header"].contains(&place), "{place}");
        assert!(loc.iter().all(|step| step.is_string() || step.is_u64()), "{loc:?}");
        for name in ["msg", "type"] {
            let text: String = serde_json::from_str(problem[name].get()).expect("a string");
            assert!(!text.is_empty(), "{name}");
        }
        assert!(problem.contains_key("input"), "no input in {problem:?}");
        assert!(problem.keys().all(|name| ["loc", "msg", "type", "input", "ctx"].contains(&name.as_str())));
    }
}
