//! The pass of supervision: looks for executions that are overdue, and changes them as one more writer (contract,
//! "Supervision").
//!
//! The index by deadline has a *bound* for each watched execution, never later than the moment at which it is due. A pass
//! reads what is past its bound, looks at the heads, and decides by [`Watch::due`]:
//!
//! - due: the ordinary change, with two more rules: version and last heartbeat are what the decision was made by. It can
//!   lose to any report and any heartbeat, and overwrite none.
//! - due much later: filed anew, at the moment at which it is due. Within one version that moment only moves later, so that
//!   the new bound holds even where it is written late.
//! - due soon: left where it is, for to look at it again is cheaper than to file it anew. A shard leaves a bounded number.
//! - damaged: pushed on by an hour, so that it cannot hide the rest.
//!
//! Everything of one pass is judged by one reading of the clock, less [`CLOCK_TOLERANCE`].

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use ratchet_model::caller::Caller;
use ratchet_model::change::{Change, Judged, RequestedTransition};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::id::{ExecutionId, OrganizationId};
use ratchet_model::status::Status;
use ratchet_model::supervision::{CLOCK_TOLERANCE, Cause, Due, MASS_SILENCE_DELAY, is_mass_silence};
use serde::Serialize;

use crate::Store;
use crate::attempts::failed_read;
use crate::batch::Read;
use crate::expression::{Expression, number, text};
use crate::item::{Item, WATCH_ATTRIBUTES, read_cancel, read_version, read_watch};
use crate::schema::{self as a, Index};
use crate::table_keys as k;

/// How many entries a page of a shard has: as many heads as one batch can read.
const PAGE: i32 = 100;

/// How many executions that are not due yet a shard leaves in front of its range. Those beyond are filed anew: else a pass
/// that does not get through would see the same front for ever.
pub const LEFT_IN_PLACE: usize = 2_000;

/// An entry that is due more than this later is filed anew: three write units are as dear as thirty looks, one a minute.
pub const REFILED_BEYOND: Duration = Duration::from_mins(30);

/// For how long a damaged execution is not looked at again.
pub const DAMAGED_FOR: Duration = Duration::from_hours(1);

/// How many writes are under way at once.
const WRITES_AT_ONCE: usize = 64;

/// How many requests a pass sends at once before it writes: one for each shard.
pub const READS_AT_ONCE: usize = k::DEADLINE_SHARDS as usize;

/// What a pass saw and did: what the function returns, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pass {
    /// How many entries it read.
    pub looked: u64,
    /// How many executions it ended, or interrupted, by the status that it entered.
    pub ended: BTreeMap<&'static str, u64>,
    /// How many entries it filed anew.
    pub refiled: u64,
    /// How many executions it did not change, for the silence is the service's own.
    pub held: u64,
    /// How many of its changes were refused, for somebody was faster.
    pub lost: u64,
    /// How many executions cannot be read.
    pub damaged: u64,
    /// How many requests failed: what they were about waits for the next pass.
    pub failed: u64,
    /// By how many seconds the longest overdue of all was overdue when it was read.
    pub overdue_seconds: i64,
    /// Whether it read every entry that was past its bound, and wrote all that it had to.
    pub complete: bool,
}

/// An entry of the index.
#[derive(Debug, Clone)]
struct Entry {
    organization: OrganizationId,
    id: ExecutionId,
    /// The bound, in epoch milliseconds, as the index has it.
    bound: i64,
}

/// What is to be done about one entry.
#[derive(Debug)]
enum Decision {
    /// The change of an overdue execution.
    Change { entry: Entry, due: Due, judged: Judged, reason: Option<String> },
    /// A new bound, if the record has this version still; `None`: whatever it has.
    Refile { entry: Entry, bound: Timestamp, version: Option<i64> },
}

/// What a shard's entries say.
#[derive(Debug, Default)]
struct Shard {
    decisions: Vec<Decision>,
    looked: u64,
    damaged: u64,
    failed: u64,
    /// How many watched executions are silent.
    silent: usize,
    /// How many of them were heard in time.
    heard: usize,
    overdue_seconds: i64,
    complete: bool,
}

/// The outcome of one write.
enum Written {
    Ended(Status),
    Refiled,
    Lost,
    Failed,
}

impl Store {
    /// Looks at every execution whose bound has passed, and changes those that are overdue. Begins nothing after `stop`: what
    /// is left is the next pass's.
    ///
    /// Two passes at once are harmless, and so is one that ends anywhere: each write stands by itself.
    pub async fn enforce_deadlines(&self, stop: Instant) -> Pass {
        let begun = Instant::now();
        // Half of the time is for reading: what is read and not written is read again.
        let stop_reading = begun + stop.saturating_duration_since(begun) / 2;
        let now = self.clock.now();
        let judged_at = now.minus(CLOCK_TOLERANCE);
        let shards = join_all((0..k::DEADLINE_SHARDS).map(|shard| self.look(shard, judged_at, stop_reading))).await;

        let (silent, heard) =
            shards.iter().fold((0, 0), |(silent, heard), shard| (silent + shard.silent, heard + shard.heard));
        let mass = is_mass_silence(silent, heard);
        let mut pass = Pass { complete: shards.iter().all(|shard| shard.complete), ..Pass::default() };
        let mut decisions = Vec::new();
        for shard in shards {
            pass.looked += shard.looked;
            pass.damaged += shard.damaged;
            pass.failed += shard.failed;
            pass.overdue_seconds = pass.overdue_seconds.max(shard.overdue_seconds);
            for decision in shard.decisions {
                match &decision {
                    Decision::Change { due, .. } if mass && waits(*due, judged_at) => pass.held += 1,
                    _ => decisions.push(decision),
                }
            }
        }
        // The longest overdue first, whatever their shard: a pass that runs out of time leaves the youngest.
        decisions.sort_by_key(|decision| match decision {
            Decision::Change { due, .. } => due.at,
            Decision::Refile { bound, .. } => *bound,
        });
        let mut writes =
            stream::iter(decisions)
                .map(|decision| async move {
                    if Instant::now() >= stop { None } else { Some(self.settle(&decision).await) }
                })
                .buffer_unordered(WRITES_AT_ONCE);
        while let Some(written) = writes.next().await {
            match written {
                None => pass.complete = false,
                Some(Written::Ended(status)) => *pass.ended.entry(status.as_str()).or_default() += 1,
                Some(Written::Refiled) => pass.refiled += 1,
                Some(Written::Lost) => pass.lost += 1,
                Some(Written::Failed) => pass.failed += 1,
            }
        }
        pass.complete &= pass.failed == 0;
        pass
    }

    /// Reads what is past its bound in one shard, oldest first, and decides about it.
    async fn look(&self, shard: u8, now: Timestamp, stop: Instant) -> Shard {
        let mut seen = Shard::default();
        let mut left = 0;
        let mut start = None;
        loop {
            if Instant::now() >= stop {
                return seen;
            }
            let page = match self.page_of_bounds(shard, now, start).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(shard, reason = %error, "a shard of deadlines could not be read");
                    seen.failed += 1;
                    return seen;
                }
            };
            let (entries, next) = page;
            seen.looked += entries.len() as u64;
            if !entries.is_empty() {
                match self.heads(&entries).await {
                    Ok(heads) => {
                        for entry in entries {
                            // The index may lag behind a head that is gone, or was never there.
                            let Some(head) = heads.get(&entry.id) else { continue };
                            judge(entry, head, now, &mut left, &mut seen);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(shard, reason = %error, "overdue executions could not be read");
                        seen.failed += 1;
                        return seen;
                    }
                }
            }
            if next.is_none() {
                seen.complete = true;
                return seen;
            }
            start = next;
        }
    }

    /// A page of the entries of a shard whose bound is not after `until`, and where the next page starts.
    async fn page_of_bounds(
        &self,
        shard: u8,
        until: Timestamp,
        start: Option<Item>,
    ) -> Result<(Vec<Entry>, Option<Item>), Error> {
        let index = Index::ByDeadline;
        let mut expression = Expression::default();
        let (partition, bound) = (expression.name(index.partition_key()), expression.name(index.sort_key()));
        let own = expression.value(text(k::deadline_partition(shard)));
        let until = expression.value(number(until.millis()));
        let (names, values) = expression.into_maps();
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index.name())
            .key_condition_expression(format!("{partition} = {own} AND {bound} <= {until}"))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .set_exclusive_start_key(start)
            .limit(PAGE)
            .send()
            .await
            .map_err(|error| failed_read(&error))?;
        let entries = output.items.unwrap_or_default().iter().filter_map(read_entry).collect();
        Ok((entries, output.last_evaluated_key))
    }

    /// The heads of entries, eventually consistent: what is decided by an old one is refused by its version.
    async fn heads(&self, entries: &[Entry]) -> Result<HashMap<ExecutionId, Item>, Error> {
        let keys = entries.iter().map(|entry| {
            let keys = [(a::PK, k::execution_pk(&entry.organization, &entry.id)), (a::SK, a::HEAD_SK.to_owned())];
            keys.into_iter().map(|(name, key)| (name.to_owned(), text(key))).collect()
        });
        let heads: Vec<Item> =
            self.fetch_batch(keys.collect(), Some(WATCH_ATTRIBUTES), Read::Eventual, failed_read).await?;
        let id = |head: &Item| Some(k::parse_execution_pk(head.get(a::PK)?.as_s().ok()?)?.1);
        Ok(heads.into_iter().filter_map(|head| Some((id(&head)?, head))).collect())
    }

    /// Writes a decision.
    async fn settle(&self, decision: &Decision) -> Written {
        let (id, written) = match decision {
            Decision::Change { entry, due, judged, reason } => {
                let transition = RequestedTransition::supervise(due.cause);
                let change = Change {
                    transition: Some(transition),
                    reason: reason.clone(),
                    judged: Some(*judged),
                    ..Change::default()
                };
                let caller = Caller::service(entry.organization.clone());
                let changed = self.change(&caller, &entry.id, &change).await;
                (&entry.id, changed.map(|_| Written::Ended(transition.to())))
            }
            Decision::Refile { entry, bound, version } => {
                let refiled = self.refile(entry, *bound, *version).await;
                (&entry.id, refiled.map(|refiled| if refiled { Written::Refiled } else { Written::Lost }))
            }
        };
        match written {
            Ok(written) => written,
            // A report, a heartbeat or another pass was faster, or the execution is gone.
            Err(Error::Rejected(_) | Error::NotFound) => Written::Lost,
            Err(error) => {
                tracing::warn!(execution_id = %id, reason = %error, "an overdue execution was not changed");
                Written::Failed
            }
        }
    }

    /// Sets the bound of an entry, if it is still the one that was read and the record has this version. No version: it
    /// cannot be read. Whether it was set.
    async fn refile(&self, entry: &Entry, bound: Timestamp, version: Option<i64>) -> Result<bool, Error> {
        let mut expression = Expression::default();
        let present = expression.name(a::BOUND);
        let seen = expression.value(number(entry.bound));
        expression.require(format!("{present} = {seen}"));
        if let Some(version) = version {
            let (present, version) = (expression.name(a::VERSION), expression.value(number(version)));
            expression.require(format!("{present} = {version}"));
        }
        expression.assign(a::BOUND, number(bound.millis()));
        let outcome =
            self.update_item(k::execution_pk(&entry.organization, &entry.id), a::HEAD_SK, expression).send().await;
        match outcome {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(failed_read(&error)),
            },
        }
    }
}

/// Whether an overdue execution waits in a mass silence: five minutes from its own due time on. Cancels do not.
fn waits(due: Due, now: Timestamp) -> bool {
    due.cause != Cause::Cancel && due.at.plus(MASS_SILENCE_DELAY) > now
}

/// Decides about an entry by its head.
fn judge(entry: Entry, head: &Item, now: Timestamp, left: &mut usize, seen: &mut Shard) {
    let read = || Ok::<_, Error>((read_watch(head)?, read_version(head)?, read_cancel(head)?));
    let (watch, version, cancel) = match read() {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(execution_id = %entry.id, reason = %error, "a watched execution cannot be read");
            seen.damaged += 1;
            seen.decisions.push(Decision::Refile { entry, bound: now.plus(DAMAGED_FOR), version: None });
            return;
        }
    };
    if let Some(silent_at) = watch.silent_at() {
        if silent_at <= now {
            seen.silent += 1;
        } else {
            seen.heard += 1;
        }
    }
    // The index lags behind an execution that has ended.
    let Some(due) = watch.due() else { return };
    if due.at <= now {
        seen.overdue_seconds = seen.overdue_seconds.max((now.millis() - due.at.millis()) / 1_000);
        let reason = due.cause.reason(&watch).or(cancel.map(|cancel| cancel.reason));
        let judged = Judged { version, last_heartbeat: watch.last_heartbeat };
        seen.decisions.push(Decision::Change { entry, due, judged, reason });
    } else if due.at > now.plus(REFILED_BEYOND) || *left >= LEFT_IN_PLACE {
        seen.decisions.push(Decision::Refile { entry, bound: due.at, version: Some(version) });
    } else {
        *left += 1;
    }
}

/// Reads an entry of the index; `None` for one that no execution has.
fn read_entry(item: &Item) -> Option<Entry> {
    let (organization, id) = k::parse_execution_pk(item.get(a::PK)?.as_s().ok()?)?;
    let bound = item.get(a::BOUND)?.as_n().ok()?.parse().ok()?;
    Some(Entry { organization, id, bound })
}
