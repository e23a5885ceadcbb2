//! The status of an execution and the transitions that are allowed (contract, "Status").
//!
//! [`Status::allowed_sources`] is the only definition of the rule: the store builds its write condition from it, and
//! explains a rejection with it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::wire_name::WireName;

/// What an execution is doing, as its writers report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(rename_all = "lowercase", description = description())
)]
pub enum Status {
    /// Accepted; nobody has taken it yet.
    Pending,
    /// Waiting in somebody's queue.
    Queued,
    /// A worker says that it is at work.
    Running,
    /// An attempt failed and the next one is being prepared.
    Retrying,
    /// Nobody has heard from the worker. Not terminal: it may have been alive after all.
    Interrupted,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Ended because its time was up.
    Timeout,
}

use Status::{Cancelled, Completed, Failed, Interrupted, Pending, Queued, Retrying, Running, Timeout};

impl Status {
    /// Every status, in the order of the contract's table.
    pub const ALL: [Self; 9] = [Pending, Queued, Running, Retrying, Interrupted, Completed, Failed, Cancelled, Timeout];

    /// The terminal ones: nothing leaves them, and their result is frozen.
    pub const TERMINAL: [Self; 4] = [Completed, Failed, Cancelled, Timeout];

    /// The statuses from which this one may be entered.
    ///
    /// The two transitions to `retrying` have another condition: `retry_count < max_retries`
    /// ([`Status::counts_a_retry`]).
    #[must_use]
    pub const fn allowed_sources(self) -> &'static [Self] {
        match self {
            Pending => &[],
            Queued => &[Pending, Retrying, Interrupted],
            Running => &[Pending, Queued, Retrying, Interrupted],
            // Before the first running, too: a launch can fail.
            Retrying => &[Pending, Queued, Running, Interrupted],
            Interrupted => &[Running],
            // Completed, too: reports arrive out of order, and a result that is there is not refused because the `running`
            // before it is late.
            Completed | Failed | Cancelled | Timeout => &[Pending, Queued, Running, Retrying, Interrupted],
        }
    }

    /// Whether nothing leaves this status.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Completed | Failed | Cancelled | Timeout => true,
            Pending | Queued | Running | Retrying | Interrupted => false,
        }
    }

    /// Whether entering this status adds 1 to `retry_count` and needs a retry to be left.
    #[must_use]
    pub const fn counts_a_retry(self) -> bool {
        match self {
            Retrying => true,
            Pending | Queued | Running | Interrupted | Completed | Failed | Cancelled | Timeout => false,
        }
    }

    /// Whether entering this status begins an attempt: a worker claims the execution.
    #[must_use]
    pub const fn begins_an_attempt(self) -> bool {
        match self {
            Running => true,
            Pending | Queued | Retrying | Interrupted | Completed | Failed | Cancelled | Timeout => false,
        }
    }

    /// The name on the wire and in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Queued => "queued",
            Running => "running",
            Retrying => "retrying",
            Interrupted => "interrupted",
            Completed => "completed",
            Failed => "failed",
            Cancelled => "cancelled",
            Timeout => "timeout",
        }
    }
}

/// The description of [`Status`]: the table of transitions, created from the rule that enforces it.
#[cfg(feature = "openapi")]
fn description() -> String {
    let row = |from: Status| {
        let to: Vec<&str> =
            Status::ALL.into_iter().filter(|to| to.allowed_sources().contains(&from)).map(Status::as_str).collect();
        let to = if to.is_empty() { "nothing: it is terminal".to_owned() } else { to.join(", ") };
        format!("| {from} | {to} |")
    };
    let rows: Vec<String> = Status::ALL.into_iter().map(row).collect();
    format!(
        "What an execution is doing, as its writers report it. `interrupted` says that nobody has heard from the \
         worker; it may have been alive after all and may still complete. The allowed changes:\n\n\
         | from | to |\n| --- | --- |\n{}\n\n\
         `retrying` is entered only while `retry_count` is less than `max_retries`, and adds 1 to `retry_count`. A \
         change to the status that the execution already has is not allowed.",
        rows.join("\n")
    )
}

impl WireName for Status {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        // The inherent method: a `const fn`, which a trait's cannot be.
        Self::as_str(self)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's table, written by hand: one line per `from`, one column per `to` in the order of [`Status::ALL`].
    #[rustfmt::skip]
    const TABLE: [(Status, [bool; 9]); 9] = {
        const Y: bool = true;
        const N: bool = false;
        [
            //             pending queued running retrying interrupted completed failed cancelled timeout
            (Pending,     [N,      Y,     Y,      Y,       N,          Y,        Y,     Y,        Y]),
            (Queued,      [N,      N,     Y,      Y,       N,          Y,        Y,     Y,        Y]),
            (Running,     [N,      N,     N,      Y,       Y,          Y,        Y,     Y,        Y]),
            (Retrying,    [N,      Y,     Y,      N,       N,          Y,        Y,     Y,        Y]),
            (Interrupted, [N,      Y,     Y,      Y,       N,          Y,        Y,     Y,        Y]),
            (Completed,   [N,      N,     N,      N,       N,          N,        N,     N,        N]),
            (Failed,      [N,      N,     N,      N,       N,          N,        N,     N,        N]),
            (Cancelled,   [N,      N,     N,      N,       N,          N,        N,     N,        N]),
            (Timeout,     [N,      N,     N,      N,       N,          N,        N,     N,        N]),
        ]
    };

    #[test]
    fn every_pair_is_as_the_contract_says() {
        for (from, row) in TABLE {
            for (to, allowed) in Status::ALL.into_iter().zip(row) {
                assert_eq!(to.allowed_sources().contains(&from), allowed, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn terminal_means_that_no_status_has_it_as_a_source() {
        for status in Status::ALL {
            let left = Status::ALL.iter().any(|to| to.allowed_sources().contains(&status));
            assert_eq!(status.is_terminal(), !left, "{status}");
            assert_eq!(Status::TERMINAL.contains(&status), status.is_terminal());
        }
    }

    #[test]
    fn names_go_there_and_back() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("Running"), None);
    }
}
