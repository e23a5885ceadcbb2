//! The steps of an execution: what its worker did, one by one, as the worker reports it (contract, "Report steps").
//!
//! A report merges into what is known of a step. [`judge`] is the only definition of the rule, a pure function. The store
//! says in one condition what the usual reports need, and asks `judge` about a report that the condition refuses.

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::error_code::ErrorCode;
use crate::idempotency::IdempotencyKey;
use crate::json::JsonText;
use crate::limits::MAX_STEP_ID;
use crate::status::Status;
use crate::wire_name::{self, WireName};

/// The `step_type` of a step whose reports name none.
pub const DEFAULT_STEP_TYPE: &str = "task";

/// The status of a step whose first report names none.
pub const DEFAULT_STEP_STATUS: Status = Status::Running;

/// The id of a step: 1 to 128 characters of the caller's choice. Steps are ordered by the bytes of their ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(String);

impl StepId {
    /// Parses an id; `None` for text that is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (1..=MAX_STEP_ID).contains(&text.chars().count()).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for StepId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A step, as the API shows it. The order of the fields is the order in the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A part of an execution's work, as its worker reports it."))]
pub struct Step {
    /// The step's id, of the worker's choice. Steps are ordered by its bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 128))]
    pub step_id: StepId,
    /// Its name; by default its id.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    pub step_name: String,
    /// Its kind; by default `task`.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    pub step_type: String,
    /// The tool that it calls.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 256))]
    pub tool_name: Option<String>,
    /// Where it stands. In an execution that has ended, a step whose end was not reported is shown as `interrupted`.
    pub status: Status,
    /// What went into it; comes back exactly as sent.
    #[serde(skip_serializing_if = "is_left_out")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Map<String, serde_json::Value>>, required))]
    pub input_data: Option<JsonText>,
    /// What came out of it; comes back exactly as sent.
    #[serde(skip_serializing_if = "is_left_out")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Map<String, serde_json::Value>>, required))]
    pub output_data: Option<JsonText>,
    /// What went wrong, for people.
    #[cfg_attr(feature = "openapi", schema(required, max_length = 65536))]
    pub error_message: Option<String>,
    /// When it first ran, unless the worker gave another time; null where it never did.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub started_at: Option<Timestamp>,
    /// When it ended; set by the service on entering a terminal status unless the worker gives it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub completed_at: Option<Timestamp>,
    /// `completed_at` less `started_at`, in milliseconds, unless the worker gave another value; null where one of both is
    /// not known.
    #[cfg_attr(feature = "openapi", schema(required, minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub duration_ms: Option<i64>,
    /// How often it was retried, as the worker counts.
    #[cfg_attr(feature = "openapi", schema(required, minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub retry_count: Option<i64>,
    /// Whatever the worker wants to find again; comes back exactly as sent.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>))]
    pub metadata: JsonText,
    /// How often it was written. It is not shown: the `ETag` of a record has it.
    #[serde(skip)]
    pub version: i64,
}

/// What a summary of a step leaves out: the objects that may be large.
pub const NOT_IN_STEP_SUMMARY: [&str; 2] = ["input_data", "output_data"];

/// Whether a view leaves the value out. Null is a value.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn is_left_out(value: &Option<JsonText>) -> bool {
    value.as_ref().is_some_and(JsonText::is_left_out)
}

impl Step {
    /// The step without the members in [`NOT_IN_STEP_SUMMARY`].
    #[must_use]
    pub fn into_summary(self) -> Self {
        Self { input_data: Some(JsonText::left_out()), output_data: Some(JsonText::left_out()), ..self }
    }
}

/// The status that a step is shown with: in an execution that has ended nobody will report the end of a step that has none.
/// Nothing is rewritten, and a report that comes after all is shown.
#[must_use]
pub const fn shown_status(step: Status, execution: Status) -> Status {
    if execution.is_terminal() && !step.is_terminal() { Status::Interrupted } else { step }
}

/// What a report says of a step besides its status, or what is known of it; `None`: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepFields {
    /// `step_name`
    pub step_name: Option<String>,
    /// `step_type`
    pub step_type: Option<String>,
    /// `tool_name`
    pub tool_name: Option<String>,
    /// `input_data`
    pub input_data: Option<JsonText>,
    /// `output_data`
    pub output_data: Option<JsonText>,
    /// `error_message`
    pub error_message: Option<String>,
    /// `started_at`
    pub started_at: Option<Timestamp>,
    /// `completed_at`
    pub completed_at: Option<Timestamp>,
    /// `duration_ms`
    pub duration_ms: Option<i64>,
    /// `retry_count`
    pub retry_count: Option<i64>,
    /// `metadata`
    pub metadata: Option<JsonText>,
}

impl StepFields {
    /// The names of the fields that are set and that a terminal status freezes (contract, "Report steps").
    #[must_use]
    pub fn frozen(&self) -> Vec<&'static str> {
        // Destructured, so that a new field does not compile until this list decides about it.
        let Self {
            step_name: _,
            step_type: _,
            tool_name: _,
            input_data: _,
            output_data,
            error_message,
            started_at: _,
            completed_at,
            duration_ms,
            retry_count: _,
            metadata: _,
        } = self;
        [
            ("output_data", output_data.is_some()),
            ("error_message", error_message.is_some()),
            ("completed_at", completed_at.is_some()),
            ("duration_ms", duration_ms.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect()
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those of these fields that `keep` accepts, which gets a field of `self` and the same field of `other`.
    fn select(self, other: &Self, keep: Keep) -> Self {
        fn pick<T: PartialEq>(own: Option<T>, other: Option<&T>, keep: Keep) -> Option<T> {
            own.filter(|own| match keep {
                Keep::Different => other != Some(own),
                Keep::Lacking => other.is_none(),
            })
        }
        Self {
            step_name: pick(self.step_name, other.step_name.as_ref(), keep),
            step_type: pick(self.step_type, other.step_type.as_ref(), keep),
            tool_name: pick(self.tool_name, other.tool_name.as_ref(), keep),
            input_data: pick(self.input_data, other.input_data.as_ref(), keep),
            output_data: pick(self.output_data, other.output_data.as_ref(), keep),
            error_message: pick(self.error_message, other.error_message.as_ref(), keep),
            started_at: pick(self.started_at, other.started_at.as_ref(), keep),
            completed_at: pick(self.completed_at, other.completed_at.as_ref(), keep),
            duration_ms: pick(self.duration_ms, other.duration_ms.as_ref(), keep),
            retry_count: pick(self.retry_count, other.retry_count.as_ref(), keep),
            metadata: pick(self.metadata, other.metadata.as_ref(), keep),
        }
    }

    /// These fields without those that a terminal status freezes.
    fn without_frozen(self) -> Self {
        Self { output_data: None, error_message: None, completed_at: None, duration_ms: None, ..self }
    }
}

/// Which fields [`StepFields::select`] keeps.
#[derive(Clone, Copy)]
enum Keep {
    /// Those that differ from the other's.
    Different,
    /// Those that the other lacks.
    Lacking,
}

/// What a worker says of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// Which step.
    pub step_id: StepId,
    /// Where it stands; `None` leaves that as it is, and a first report without it says `running`.
    pub status: Option<Status>,
    /// What else it says.
    pub fields: StepFields,
}

/// Reports of the steps of one execution, sent in one request.
#[derive(Debug, Clone)]
pub struct StepReports {
    /// The attempt for which the worker speaks; `None`: for whichever is the present one.
    pub attempt: Option<i64>,
    /// 1 to [`MAX_STEPS`](crate::limits::MAX_STEPS) of them, each of another step.
    pub reports: Vec<StepReport>,
    /// The Idempotency-Key, hashed with its body.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What is known of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownStep {
    /// Where it stands.
    pub status: Status,
    /// What its reports said, and the `completed_at` that the service filled in.
    pub fields: StepFields,
    /// When it first ran by the service's clock; `None`: it was never reported as running.
    pub first_ran: Option<Timestamp>,
    /// How often it was written, from 1.
    pub version: i64,
}

impl KnownStep {
    /// When it started: as its reports say, else when it first ran.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        self.fields.started_at.or(self.first_ran)
    }

    /// How long it took: as its reports say, else from its start to its end, and never below 0.
    #[must_use]
    pub fn duration_ms(&self) -> Option<i64> {
        let derived = || Some((self.fields.completed_at?.millis() - self.started_at()?.millis()).max(0));
        self.fields.duration_ms.or_else(derived)
    }

    /// The step as it is shown in an execution with the status `execution`.
    #[must_use]
    pub fn shown(self, step_id: StepId, execution: Status) -> Step {
        let (started_at, duration_ms) = (self.started_at(), self.duration_ms());
        let fields = self.fields;
        Step {
            step_name: fields.step_name.unwrap_or_else(|| step_id.as_str().to_owned()),
            step_type: fields.step_type.unwrap_or_else(|| DEFAULT_STEP_TYPE.to_owned()),
            tool_name: fields.tool_name,
            status: shown_status(self.status, execution),
            input_data: fields.input_data,
            output_data: fields.output_data,
            error_message: fields.error_message,
            started_at,
            completed_at: fields.completed_at,
            duration_ms,
            retry_count: fields.retry_count,
            metadata: fields.metadata.unwrap_or_else(JsonText::empty_object),
            version: self.version,
            step_id,
        }
    }

    /// What is known, with the times that the service derives: a report of these is a report of what is known.
    fn with_derived(&self) -> StepFields {
        StepFields { started_at: self.started_at(), duration_ms: self.duration_ms(), ..self.fields.clone() }
    }
}

/// What became of the report of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "lowercase"))]
pub enum StepOutcome {
    /// It was the first report of the step.
    Created,
    /// It changed the step.
    Updated,
    /// It said nothing that was not known.
    Unchanged,
    /// It says of an earlier moment than others did before: the status stays, and what the step lacked was filled in.
    Stale,
    /// It contradicts how the step ended, or does not fit into the record; nothing of it was written.
    Refused,
    /// The answer of the store was lost: repeat it.
    Unknown,
}

impl WireName for StepOutcome {
    const ALL: &'static [Self] =
        &[Self::Created, Self::Updated, Self::Unchanged, Self::Stale, Self::Refused, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl Serialize for StepOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire_name::serialize(self, serializer)
    }
}

/// Why the report of a step was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRefusal {
    /// The step has ended, and otherwise.
    Ended {
        /// Its status.
        current: Status,
        /// The end that was reported.
        requested: Status,
    },
    /// The step has ended, and its result is another one.
    Frozen {
        /// Its status.
        current: Status,
        /// The fields of the report that differ.
        fields: Vec<&'static str>,
    },
    /// The step, together with what is known of it, would be larger than an item may be.
    TooLarge {
        /// The report's own size, in bytes: the step's is not known without another request.
        size: usize,
        /// How many bytes the step may have.
        limit: usize,
    },
    /// The Idempotency-Key came with another report of this step before.
    KeyReused,
    /// A repeat of a request that wrote other steps: before it wrote this one, another attempt began.
    Superseded {
        /// The attempt for which the worker speaks.
        requested: i64,
        /// The present attempt.
        current: i64,
    },
}

impl StepRefusal {
    /// The reason, for programs.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Ended { .. } | Self::Frozen { .. } => ErrorCode::ExecutionFinished,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::KeyReused => ErrorCode::IdempotencyKeyReused,
            Self::Superseded { .. } => ErrorCode::AttemptSuperseded,
        }
    }
}

/// What a report does to a step that is known.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart where it is made")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The table allows the transition: the status and every field of the report are written.
    Enter(Status),
    /// These fields are written, and the status stays. They may be none.
    Merge {
        /// What that is called.
        outcome: StepOutcome,
        /// The fields to write.
        fields: StepFields,
    },
    /// Nothing is written.
    Refuse(StepRefusal),
}

/// Decides about a report of a step that is known (contract, "Report steps").
#[must_use]
pub fn judge(known: &KnownStep, report: &StepReport) -> Verdict {
    let current = known.status;
    let to = report.status.unwrap_or(current);
    if to == current {
        let fields = report.fields.clone().select(&known.with_derived(), Keep::Different);
        let frozen = if current.is_terminal() { fields.frozen() } else { Vec::new() };
        if !frozen.is_empty() {
            return Verdict::Refuse(StepRefusal::Frozen { current, fields: frozen });
        }
        let outcome = if fields.is_empty() { StepOutcome::Unchanged } else { StepOutcome::Updated };
        return Verdict::Merge { outcome, fields };
    }
    if to.allowed_sources().contains(&current) {
        return Verdict::Enter(to);
    }
    if to.is_terminal() {
        return Verdict::Refuse(StepRefusal::Ended { current, requested: to });
    }
    let lacking = report.fields.clone().select(&known.with_derived(), Keep::Lacking);
    // The result of a step that has ended is what it was reported with, and nothing that is older.
    let fields = if current.is_terminal() { lacking.without_frozen() } else { lacking };
    Verdict::Merge { outcome: StepOutcome::Stale, fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Status::{Cancelled, Completed, Failed, Interrupted, Pending, Queued, Retrying, Running, Timeout};

    fn time(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    fn known(status: Status) -> KnownStep {
        KnownStep { status, fields: StepFields::default(), first_ran: None, version: 1 }
    }

    fn report(status: Option<Status>, fields: StepFields) -> StepReport {
        StepReport { step_id: StepId::parse("s").unwrap(), status, fields }
    }

    /// What a report without fields does, by hand: one line per status of the step, one column per reported status in the
    /// order of [`Status::ALL`]. E: enters it. U: unchanged. S: stale. R: refused.
    #[rustfmt::skip]
    const TABLE: [(Status, [char; 9]); 9] = [
        //             pending queued running retrying interrupted completed failed cancelled timeout
        (Pending,     ['U',   'E',   'E',    'E',     'S',        'E',      'E',   'E',      'E']),
        (Queued,      ['S',   'U',   'E',    'E',     'S',        'E',      'E',   'E',      'E']),
        (Running,     ['S',   'S',   'U',    'E',     'E',        'E',      'E',   'E',      'E']),
        (Retrying,    ['S',   'E',   'E',    'U',     'S',        'E',      'E',   'E',      'E']),
        (Interrupted, ['S',   'E',   'E',    'E',     'U',        'E',      'E',   'E',      'E']),
        (Completed,   ['S',   'S',   'S',    'S',     'S',        'U',      'R',   'R',      'R']),
        (Failed,      ['S',   'S',   'S',    'S',     'S',        'R',      'U',   'R',      'R']),
        (Cancelled,   ['S',   'S',   'S',    'S',     'S',        'R',      'R',   'U',      'R']),
        (Timeout,     ['S',   'S',   'S',    'S',     'S',        'R',      'R',   'R',      'U']),
    ];

    #[test]
    fn every_pair_of_statuses_is_as_the_contract_says() {
        for (from, row) in TABLE {
            for (to, expected) in Status::ALL.into_iter().zip(row) {
                let verdict = match judge(&known(from), &report(Some(to), StepFields::default())) {
                    Verdict::Enter(entered) => {
                        assert_eq!(entered, to);
                        'E'
                    }
                    Verdict::Merge { outcome, fields } => {
                        assert!(fields.is_empty(), "{from} -> {to}");
                        match outcome {
                            StepOutcome::Unchanged => 'U',
                            StepOutcome::Stale => 'S',
                            other => panic!("{from} -> {to}: {other:?}"),
                        }
                    }
                    Verdict::Refuse(StepRefusal::Ended { current, requested }) => {
                        assert_eq!((current, requested), (from, to));
                        'R'
                    }
                    Verdict::Refuse(other) => panic!("{from} -> {to}: {other:?}"),
                };
                assert_eq!(verdict, expected, "{from} -> {to}");
            }
        }
    }

    /// A report of every field, each with a value of its own.
    fn every_field() -> StepFields {
        StepFields {
            step_name: Some("name".to_owned()),
            step_type: Some("tool".to_owned()),
            tool_name: Some("search".to_owned()),
            input_data: Some(JsonText::new_unchecked(r#"{"in":1.0}"#.to_owned())),
            output_data: Some(JsonText::new_unchecked(r#"{"out":1e300}"#.to_owned())),
            error_message: Some("oops".to_owned()),
            started_at: Some(time(1_000)),
            completed_at: Some(time(3_000)),
            duration_ms: Some(1_500),
            retry_count: Some(2),
            metadata: Some(JsonText::new_unchecked(r#"{"k":{}}"#.to_owned())),
        }
    }

    #[test]
    fn a_report_without_a_status_or_with_the_same_merges_what_differs() {
        let now = KnownStep { fields: every_field(), ..known(Running) };
        for status in [None, Some(Running)] {
            let same = judge(&now, &report(status, every_field()));
            assert_eq!(same, Verdict::Merge { outcome: StepOutcome::Unchanged, fields: StepFields::default() });
            let other = StepFields { error_message: Some("worse".to_owned()), ..every_field() };
            let fields = StepFields { error_message: Some("worse".to_owned()), ..StepFields::default() };
            assert_eq!(judge(&now, &report(status, other)), Verdict::Merge { outcome: StepOutcome::Updated, fields });
        }
    }

    #[test]
    fn a_terminal_step_keeps_its_result_and_takes_the_rest() {
        let done = KnownStep { fields: every_field(), ..known(Completed) };
        for status in [None, Some(Completed)] {
            let same = judge(&done, &report(status, every_field()));
            assert_eq!(same, Verdict::Merge { outcome: StepOutcome::Unchanged, fields: StepFields::default() });
            let all_other = StepFields {
                step_name: Some("another".to_owned()),
                output_data: Some(JsonText::empty_object()),
                error_message: Some(String::new()),
                completed_at: Some(time(3_001)),
                duration_ms: Some(1_501),
                ..StepFields::default()
            };
            let fields = vec!["output_data", "error_message", "completed_at", "duration_ms"];
            let refusal = StepRefusal::Frozen { current: Completed, fields };
            assert_eq!(judge(&done, &report(status, all_other)), Verdict::Refuse(refusal));
            let rest = StepFields {
                step_name: Some("another".to_owned()),
                input_data: Some(JsonText::empty_object()),
                retry_count: Some(3),
                ..StepFields::default()
            };
            let merged = judge(&done, &report(status, rest.clone()));
            assert_eq!(merged, Verdict::Merge { outcome: StepOutcome::Updated, fields: rest });
        }
    }

    #[test]
    fn a_result_that_is_not_there_is_frozen_too() {
        let done = known(Failed);
        let late = StepFields { output_data: Some(JsonText::empty_object()), ..StepFields::default() };
        for status in [None, Some(Failed)] {
            let refusal = StepRefusal::Frozen { current: Failed, fields: vec!["output_data"] };
            assert_eq!(judge(&done, &report(status, late.clone())), Verdict::Refuse(refusal));
        }
    }

    #[test]
    fn a_stale_report_fills_in_what_is_lacking_and_nothing_else() {
        let has = StepFields { tool_name: Some("fetch".to_owned()), ..StepFields::default() };
        let lacking = StepFields { tool_name: None, ..every_field() };
        let now = KnownStep { fields: has.clone(), ..known(Running) };
        let stale = |fields| Verdict::Merge { outcome: StepOutcome::Stale, fields };
        assert_eq!(judge(&now, &report(Some(Queued), every_field())), stale(lacking.clone()));
        // Of a step that has ended its result stays as it is, also where there is none.
        let done = KnownStep { fields: has, ..known(Completed) };
        let rest =
            StepFields { output_data: None, error_message: None, completed_at: None, duration_ms: None, ..lacking };
        assert_eq!(judge(&done, &report(Some(Running), every_field())), stale(rest));
    }

    #[test]
    fn a_step_that_is_reported_as_it_is_shown_is_unchanged() {
        let fields = StepFields { completed_at: Some(time(4_000)), ..StepFields::default() };
        let done = KnownStep { first_ran: Some(time(1_000)), fields, ..known(Completed) };
        let shown = done.clone().shown(StepId::parse("s").unwrap(), Completed);
        assert_eq!((shown.started_at, shown.duration_ms), (Some(time(1_000)), Some(3_000)));
        let again = StepFields {
            started_at: shown.started_at,
            completed_at: shown.completed_at,
            duration_ms: shown.duration_ms,
            ..StepFields::default()
        };
        let verdict = judge(&done, &report(Some(Completed), again));
        assert_eq!(verdict, Verdict::Merge { outcome: StepOutcome::Unchanged, fields: StepFields::default() });
    }

    #[test]
    fn times_that_nobody_gave_are_derived_where_they_can_be() {
        let step = |started: Option<i64>, ran: Option<i64>, completed: Option<i64>, duration_ms: Option<i64>| {
            let (started_at, completed_at) = (started.map(time), completed.map(time));
            let fields = StepFields { started_at, completed_at, duration_ms, ..StepFields::default() };
            let known = KnownStep { first_ran: ran.map(time), fields, ..known(Completed) };
            (known.started_at().map(Timestamp::millis), known.duration_ms())
        };
        assert_eq!(step(None, None, Some(5), None), (None, None));
        assert_eq!(step(None, Some(2), Some(5), None), (Some(2), Some(3)));
        assert_eq!(step(Some(1), Some(2), Some(5), None), (Some(1), Some(4)));
        assert_eq!(step(Some(1), Some(2), Some(5), Some(9)), (Some(1), Some(9)));
        assert_eq!(step(Some(1), None, None, None), (Some(1), None));
        // Who says that a step started after its end gets both times back, and no duration below 0.
        assert_eq!(step(Some(7), None, Some(5), None), (Some(7), Some(0)));
    }

    #[test]
    fn a_step_without_an_end_is_shown_as_interrupted_in_an_execution_that_has_ended() {
        for step in Status::ALL {
            for execution in Status::ALL {
                let expected = match (step, execution) {
                    (Pending | Queued | Running | Retrying | Interrupted, Completed | Failed | Cancelled | Timeout) => {
                        Interrupted
                    }
                    _ => step,
                };
                assert_eq!(shown_status(step, execution), expected, "{step} in {execution}");
            }
        }
    }

    #[test]
    fn an_id_has_1_to_128_characters_of_any_kind() {
        for id in ["a", "a#b", "#", "s#", "\0", "\u{1}\n", "é", "\u{10ffff}", &"é".repeat(128)] {
            assert_eq!(StepId::parse(id).unwrap().as_str(), id);
        }
        for other in ["", &"a".repeat(129)] {
            assert!(StepId::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_summary_leaves_the_payloads_out() {
        let known = KnownStep { fields: every_field(), ..known(Completed) };
        let summary = known.shown(StepId::parse("s").unwrap(), Running).into_summary();
        let text = serde_json::to_string(&summary).unwrap();
        assert!(!text.contains("input_data") && !text.contains("output_data"), "{text}");
        assert!(text.contains("error_message") && text.contains("metadata"), "{text}");
    }
}
