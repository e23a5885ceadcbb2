//! What a worker that asks is told to do (contract, "Record heartbeat"; a report of steps is answered with the same).

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::status::Status;
use crate::wire_name::{self, WireName};

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "lowercase"))]
pub enum Action {
    /// Go on.
    Continue,
    /// Stop soon and report: a cancel is requested.
    Cancel,
    /// Stop at once: the attempt is over, and nothing more of it counts.
    Stop,
    /// Go on, and report `running` when the work begins: nobody has claimed the execution.
    Claim,
}

impl WireName for Action {
    const ALL: &'static [Self] = &[Self::Continue, Self::Cancel, Self::Stop, Self::Claim];

    fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Cancel => "cancel",
            Self::Stop => "stop",
            Self::Claim => "claim",
        }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire_name::serialize(self, serializer)
    }
}

/// A cancel that was requested while the execution ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequested {
    /// When it was first requested.
    pub requested_at: Timestamp,
    /// From when on the service writes `cancelled` itself.
    pub force_at: Timestamp,
    /// Why: the first reason that was given.
    pub reason: String,
}

/// An action, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What to do.
    pub action: Action,
    /// Why to cancel or to stop.
    pub reason: Option<String>,
}

/// What a worker that speaks for the attempt `spoken` is told; `None` speaks for whichever is the present one.
///
/// An interrupted execution whose worker is heard is running again, so that both are answered alike.
#[must_use]
pub fn order(status: Status, attempt: i64, cancel: Option<&CancelRequested>, spoken: Option<i64>) -> Order {
    let (action, reason) = match spoken {
        Some(spoken) if spoken < attempt => {
            (Action::Stop, Some(format!("Attempt {spoken} is over: attempt {attempt} is the present one")))
        }
        Some(spoken) if spoken > attempt => {
            (Action::Stop, Some(format!("There is no attempt {spoken} yet: attempt {attempt} is the present one")))
        }
        _ => match status {
            Status::Running | Status::Interrupted => match cancel {
                Some(cancel) => (Action::Cancel, Some(cancel.reason.clone())),
                None => (Action::Continue, None),
            },
            Status::Pending | Status::Queued | Status::Retrying => (Action::Claim, None),
            Status::Completed | Status::Failed | Status::Cancelled | Status::Timeout => {
                (Action::Stop, Some(format!("The execution is {status}")))
            }
        },
    };
    Order { action, reason }
}

/// After how many seconds to send the next heartbeat: a third of the timeout, so that two may be lost.
#[must_use]
pub const fn heartbeat_interval(heartbeat_timeout_seconds: Option<i64>) -> i64 {
    match heartbeat_timeout_seconds {
        Some(timeout) => timeout / 3,
        None => 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's table, written by hand: by status, what is told without a cancel request and with one.
    #[test]
    fn every_status_is_answered_as_the_contract_says() {
        let cancel = CancelRequested {
            requested_at: Timestamp::from_millis(0).unwrap(),
            force_at: Timestamp::from_millis(60_000).unwrap(),
            reason: "Not needed any more".to_owned(),
        };
        for (status, without, with) in [
            (Status::Pending, Action::Claim, Action::Claim),
            (Status::Queued, Action::Claim, Action::Claim),
            (Status::Running, Action::Continue, Action::Cancel),
            (Status::Retrying, Action::Claim, Action::Claim),
            (Status::Interrupted, Action::Continue, Action::Cancel),
            (Status::Completed, Action::Stop, Action::Stop),
            (Status::Failed, Action::Stop, Action::Stop),
            (Status::Cancelled, Action::Stop, Action::Stop),
            (Status::Timeout, Action::Stop, Action::Stop),
        ] {
            for spoken in [None, Some(2)] {
                assert_eq!(order(status, 2, None, spoken).action, without, "{status}");
                assert_eq!(order(status, 2, Some(&cancel), spoken).action, with, "{status}, cancel requested");
            }
            for spoken in [0, 1, 3] {
                let order = order(status, 2, Some(&cancel), Some(spoken));
                assert_eq!(order.action, Action::Stop, "{status}, attempt {spoken}");
                assert!(order.reason.unwrap().contains("attempt 2 is the present one"));
            }
        }
        assert_eq!(order(Status::Running, 1, Some(&cancel), None).reason.unwrap(), "Not needed any more");
        assert_eq!(order(Status::Timeout, 1, None, None).reason.unwrap(), "The execution is timeout");
    }

    #[test]
    fn the_next_heartbeat_is_asked_for_after_a_third_of_the_timeout() {
        for (timeout, interval) in [(None, 60), (Some(15), 5), (Some(100), 33), (Some(86_400), 28_800)] {
            assert_eq!(heartbeat_interval(timeout), interval);
        }
    }
}
