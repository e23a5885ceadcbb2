//! The names in the table. Those of attributes are short, because every write pays for the size of the whole item.

/// The environment variable that names the table, for every program that opens one.
pub const TABLE_VARIABLE: &str = "RATCHET_TABLE";

/// Partition key of the table.
pub const PK: &str = "pk";
/// Sort key of the table.
pub const SK: &str = "sk";
/// When the item may be removed, in epoch seconds. Reserved: nothing sets it yet.
pub const TTL: &str = "ttl";

/// `sk` of an execution's head.
pub const HEAD_SK: &str = "h";
/// `sk` of an execution's inputs: its trigger data and variables, which never change.
pub const INPUTS_SK: &str = "i";
/// What the `sk` of an execution's steps begins with; the step's id follows. It sorts after the head and the inputs, so that
/// one query from the head on reads all three.
pub const STEP_PREFIX: &str = "s#";
/// `sk` of a flow's counter.
pub const COUNTER_SK: &str = "c";
/// `sk` of an API key.
pub const API_KEY_SK: &str = "k";

/// Sort key of every index but that by deadline: when the execution or API key was created, and its id. It never changes.
pub const ORDER: &str = "t";
/// Partition key of the index by organization.
pub const BY_ORGANIZATION: &str = "go";
/// Partition key of the index by status.
pub const BY_STATUS: &str = "gs";
/// Partition key of the index by flow.
pub const BY_FLOW: &str = "gf";
/// Partition key of the index by deadline; absent: nothing to watch.
pub const BY_DEADLINE: &str = "dp";
/// Sort key of the index by deadline: the bound of a watched execution, in epoch milliseconds. It is never later than the
/// moment at which the execution is due (`ratchet_model::supervision`). No heartbeat writes it.
pub const BOUND: &str = "dd";

/// Status, by its name.
pub const STATUS: &str = "st";
/// How often the record was written, from 1.
pub const VERSION: &str = "v";
/// `attempt`: how often `running` was entered; absent: 0
pub const ATTEMPT: &str = "at";
/// `flow_id`
pub const FLOW_ID: &str = "fl";
/// `agent_id`; absent: `unassigned`
pub const AGENT_ID: &str = "ag";
/// `execution_number`
pub const NUMBER: &str = "nu";
/// `trigger_type`
pub const TRIGGER_TYPE: &str = "tt";
/// `trigger_data` as JSON text; absent: `{}`
pub const TRIGGER_DATA: &str = "td";
/// `variables` as JSON text; absent: `{}`
pub const VARIABLES: &str = "va";
/// Whether `trigger_data` and `variables` are in an item of their own; absent: they are in the head.
pub const INPUTS_APART: &str = "in";
/// Whether there are steps, which are items of their own; absent: there are none.
pub const WITH_STEPS: &str = "ws";
/// `priority`; absent: `normal`
pub const PRIORITY: &str = "pr";
/// When it first ran, in epoch milliseconds; absent: never
pub const STARTED_AT: &str = "sa";
/// `completed_at` in epoch milliseconds
pub const COMPLETED_AT: &str = "co";
/// `duration_ms`, if a writer gave it; version 0.1 stored it in each ended execution
pub const DURATION: &str = "du";
/// `timeout_seconds`
pub const TIMEOUT: &str = "tm";
/// `heartbeat_timeout_seconds`; absent: none
pub const HEARTBEAT_TIMEOUT: &str = "hs";
/// `start_timeout_seconds`; absent: none
pub const START_TIMEOUT: &str = "ss";
/// The lesser of the timeout and the heartbeat timeout as they were at the creation, in milliseconds: how long after the
/// first `running` it can be overdue at the earliest. Absent: created by version 0.1.
pub const WATCH_INTERVAL: &str = "wt";
/// When its worker was last heard, in epoch milliseconds: by a heartbeat, or by the claim; absent: never
pub const LAST_HEARTBEAT: &str = "hb";
/// `cancel_requested_at` in epoch milliseconds
pub const CANCEL_REQUESTED_AT: &str = "cr";
/// From when on a requested cancel is forced, in epoch milliseconds
pub const FORCE_AT: &str = "cf";
/// The first reason of a requested cancel, cut as the transition log cuts it
pub const CANCEL_REASON: &str = "cn";
/// How often supervision interrupted it; absent: never
pub const INTERRUPTIONS: &str = "ni";
/// `final_output` as JSON text
pub const FINAL_OUTPUT: &str = "fo";
/// `error_message`
pub const ERROR_MESSAGE: &str = "em";
/// `error_details` as JSON text
pub const ERROR_DETAILS: &str = "ed";
/// `retry_count`
pub const RETRY_COUNT: &str = "rc";
/// `max_retries`
pub const MAX_RETRIES: &str = "mr";
/// `parent_execution_id`
pub const PARENT: &str = "pe";
/// `tokens_used`
pub const TOKENS: &str = "tk";
/// `tool_calls_count`; absent: 0
pub const TOOL_CALLS: &str = "tc";
/// `cost_estimate` as the JSON text of the number that was sent
pub const COST: &str = "ce";
/// `performance_metrics` as JSON text; absent: `{}`
pub const METRICS: &str = "pm";
/// `metadata` as JSON text; absent: `{}`
pub const METADATA: &str = "md";
/// `created_at` in epoch milliseconds
pub const CREATED_AT: &str = "ca";
/// `updated_at` in epoch milliseconds
pub const UPDATED_AT: &str = "ua";
/// `scheduled_at` in epoch milliseconds
pub const SCHEDULED_AT: &str = "sd";

/// `step_name`; absent: the step's id
pub const STEP_NAME: &str = "sn";
/// `step_type`; absent: `task`
pub const STEP_TYPE: &str = "sy";
/// `tool_name`
pub const TOOL_NAME: &str = "to";
/// `input_data` as JSON text
pub const INPUT_DATA: &str = "ip";
/// `output_data` as JSON text
pub const OUTPUT_DATA: &str = "op";
/// When a step was first reported, in epoch milliseconds, if as running; else 0.
pub const BEGUN_AT: &str = "bg";
/// When a step was first reported as running in so many words, in epoch milliseconds; absent: never
pub const RAN_AT: &str = "fr";

/// The write token of the request that created the record: nonce and body hash (see `dedup`). Of a step it is the id of the
/// write that created it.
pub const CREATED_BY: &str = "wm";
/// The transition log, a map from a write's id to its transition. Each entry holds its write's token, too.
pub const TRANSITIONS: &str = "tr";
/// The version after each transition, a map from a write's id.
pub const TRANSITION_VERSIONS: &str = "tv";

/// The last time bucket in which an update of fields without an Idempotency-Key began; absent: none did (see `dedup`).
pub const FENCE: &str = "uf";

/// The last execution number of a flow.
pub const LAST_NUMBER: &str = "n";

/// The partition of the index by organization that holds every API key. One for all organizations: keys are few, and a
/// function that may read executions by organization, status or flow must not be able to read it (docs/adr/0006).
pub const API_KEYS: &str = "k#";

/// SHA-256 of an API key.
pub const API_KEY_DIGEST: &str = "hs";
/// An API key's organization.
pub const API_KEY_ORGANIZATION: &str = "og";
/// An API key's name; absent: none
pub const API_KEY_NAME: &str = "na";
/// An API key's scopes.
pub const API_KEY_SCOPES: &str = "sp";
/// From when on an API key is refused, in epoch milliseconds.
pub const API_KEY_VALID_UNTIL: &str = "vu";

/// The table's indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// All of an organization.
    ByOrganization,
    /// All in one status. The only one that a change of status touches.
    ByStatus,
    /// All of one flow.
    ByFlow,
    /// All that may become overdue, of all organizations.
    ByDeadline,
}

impl Index {
    /// Every index.
    pub const ALL: [Self; 4] = [Self::ByOrganization, Self::ByStatus, Self::ByFlow, Self::ByDeadline];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByOrganization => "by_organization",
            Self::ByStatus => "by_status",
            Self::ByFlow => "by_flow",
            Self::ByDeadline => "by_deadline",
        }
    }

    /// The attribute that is its partition key.
    #[must_use]
    pub const fn partition_key(self) -> &'static str {
        match self {
            Self::ByOrganization => BY_ORGANIZATION,
            Self::ByStatus => BY_STATUS,
            Self::ByFlow => BY_FLOW,
            Self::ByDeadline => BY_DEADLINE,
        }
    }

    /// The attribute that is its sort key.
    #[must_use]
    pub const fn sort_key(self) -> &'static str {
        match self {
            Self::ByOrganization | Self::ByStatus | Self::ByFlow => ORDER,
            Self::ByDeadline => BOUND,
        }
    }

    /// The attributes that it holds besides its keys: those that a second filter needs. None of them ever changes, so
    /// that no later write pays for them again. With none it holds its keys and those of the table alone.
    #[must_use]
    pub const fn projected(self) -> &'static [&'static str] {
        match self {
            Self::ByOrganization | Self::ByFlow => &[TRIGGER_TYPE],
            Self::ByStatus => &[FLOW_ID, TRIGGER_TYPE],
            Self::ByDeadline => &[],
        }
    }
}
