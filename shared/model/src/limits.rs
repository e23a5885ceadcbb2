//! The bounds and defaults of what callers send (contract, "The record"). Each is defined here once: the readers of
//! requests check it, and the OpenAPI document shows it.

/// The greatest integer in any field: 2^53 - 1, the last that every JSON reader keeps exactly.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// How large a request body may be, in bytes (contract, "Errors").
pub const MAX_BODY: usize = 1024 * 1024;

/// How large a stored record may be, in bytes: DynamoDB's 400 KB an item.
pub const MAX_RECORD: usize = 400 * 1024;

/// The longest name of a flow, an agent or a parent, in characters.
pub const MAX_NAME: usize = 256;

/// The greatest `timeout_seconds`: a week.
pub const MAX_TIMEOUT_SECONDS: i64 = 604_800;

/// The least `heartbeat_timeout_seconds`.
pub const MIN_HEARTBEAT_TIMEOUT_SECONDS: i64 = 15;

/// The greatest `heartbeat_timeout_seconds`: a day.
pub const MAX_HEARTBEAT_TIMEOUT_SECONDS: i64 = 86_400;

/// The greatest `start_timeout_seconds`: thirty days.
pub const MAX_START_TIMEOUT_SECONDS: i64 = 2_592_000;

/// The greatest `grace_seconds` of a cancel: an hour.
pub const MAX_GRACE_SECONDS: i64 = 3_600;

/// The `grace_seconds` of a cancel whose caller names none.
pub const DEFAULT_GRACE_SECONDS: i64 = 60;

/// The reason of a cancel whose caller names none.
pub const DEFAULT_CANCEL_REASON: &str = "Cancel requested";

/// How often supervision interrupts one execution: each interruption and each revival is an entry of its log.
pub const MAX_INTERRUPTIONS: i64 = 100;

/// The `timeout_seconds` of an execution whose caller names none, where the service is not set to another.
pub const DEFAULT_TIMEOUT_SECONDS: i64 = 300;

/// The greatest `retry_count` and `max_retries`.
pub const MAX_RETRIES: i64 = 100;

/// The `max_retries` of an execution whose caller names none.
pub const DEFAULT_MAX_RETRIES: i64 = 3;

/// The longest `error_message`, in characters: the text of an exception with its traceback.
pub const MAX_ERROR_MESSAGE: usize = 65_536;

/// How much of a reason the transition log keeps, in characters: a few long ones must not fill the record.
pub const MAX_LOGGED_REASON: usize = 1_024;

/// The longest name of an API key, in characters.
pub const MAX_KEY_NAME: usize = 64;

/// The longest Idempotency-Key, in characters.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The longest id of a step, in characters.
pub const MAX_STEP_ID: usize = 128;

/// The greatest number of steps that one request may report.
pub const MAX_STEPS: usize = 25;

/// How large one report of a step may be, in bytes. What is known of the step already comes to it, and what the service
/// keeps beside it, within [`MAX_RECORD`].
pub const MAX_STEP_REPORT: usize = 350 * 1024;

/// How many steps a record shows, and a page of the list of steps has at most.
pub const MAX_SHOWN_STEPS: usize = 100;

/// The greatest number of executions of one page.
pub const MAX_PAGE_SIZE: i64 = 100;

/// How many executions a page has where the caller names no number.
pub const DEFAULT_PAGE_SIZE: usize = 20;

/// Up to where the pages of a list are reached by their number, in executions.
pub const PAGE_REACH: usize = 10_000;

/// The greatest `count_limit`: up to how many executions of a list can be counted.
pub const MAX_COUNT_LIMIT: i64 = 10_000;

/// The `count_limit` where the caller names none.
pub const DEFAULT_COUNT_LIMIT: usize = 1_000;

/// The longest that wait execution waits, in seconds: less than API Gateway waits for a function.
pub const MAX_WAIT_SECONDS: i64 = 25;

/// How long wait execution waits where the caller does not say, in seconds.
pub const DEFAULT_WAIT_SECONDS: i64 = 20;

/// The `agent_id` of an execution whose caller names none.
pub const UNASSIGNED: &str = "unassigned";
