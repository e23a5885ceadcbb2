//! The executions that clients work on, and a summary of those that are done.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::RwLock;

use crate::model::{Seen, What};

/// How many executions a flow gets before the next flow begins: enough that a walk has several pages, and so few that walks
/// do not take longer from hour to hour.
const OF_A_FLOW: u64 = 100;

/// How many organizations there are at most.
pub const ORGANIZATIONS: u64 = 200;

/// The API key of an organization.
pub fn key(organization: u64) -> String {
    format!("key-{organization}")
}

/// An execution that clients work on.
pub struct Run {
    /// Its organization.
    pub organization: u64,
    /// Its id.
    pub id: String,
    /// The record when it was accepted.
    pub created: Value,
    /// How many requests about it are sent.
    pub life: u64,
    /// How many versions supervision may write before a client learns of one: it interrupts, and it ends.
    pub unseen: i64,
    /// Whether its one cancel was sent.
    pub cancelled: AtomicBool,
    /// The newest attempt in any answer.
    pub attempt: AtomicI64,
    /// How many were sent.
    pub asked: AtomicU64,
    /// Held for reading by each client with a request about it under way; true if no more may follow.
    pub closed: RwLock<bool>,
    known_state: Mutex<Known>,
    /// The answers to its clients.
    pub seen: Mutex<Vec<Seen>>,
}

/// What the clients know of an execution.
struct Known {
    /// The newest version in any answer.
    version: i64,
    status: String,
    /// How many writes are under way.
    writing: i64,
}

impl Run {
    /// An execution that was accepted.
    pub fn new(organization: u64, created: Value, life: u64, unseen: i64) -> Self {
        Self {
            organization,
            id: created["id"].as_str().expect("an id").to_owned(),
            life,
            unseen,
            cancelled: AtomicBool::new(false),
            attempt: AtomicI64::new(0),
            asked: AtomicU64::new(0),
            closed: RwLock::new(false),
            known_state: Mutex::new(Known { version: 1, status: "pending".to_owned(), writing: 0 }),
            seen: Mutex::default(),
            created,
        }
    }

    /// The newest version and status that are known.
    pub fn known(&self) -> (i64, String) {
        let known_state = self.known_state.lock().expect("no panic while it is held");
        (known_state.version, known_state.status.clone())
    }

    /// Counts `writes` as sent. Returns the version than which no answer can be older.
    pub fn ask(&self, writes: i64) -> i64 {
        let mut known_state = self.known_state.lock().expect("no panic while it is held");
        known_state.writing += writes;
        known_state.version
    }

    /// Counts `writes` as answered, with a version or without. Returns the version than which the answer cannot be newer: every
    /// write that was applied was answered to a client, or is still under way, or is supervision's.
    pub fn answered(&self, writes: i64, version: Option<i64>, status: Option<&str>) -> i64 {
        let mut known_state = self.known_state.lock().expect("no panic while it is held");
        let high = known_state.version + known_state.writing + self.unseen;
        known_state.writing -= writes;
        if let Some(version) = version.filter(|version| *version >= known_state.version) {
            known_state.version = version;
            if let Some(status) = status {
                status.clone_into(&mut known_state.status);
            }
        }
        high
    }

    /// Learns the attempt that a record shows, if it is one.
    pub fn learn(&self, record: &Value) {
        if let Some(attempt) = record["attempt"].as_i64() {
            self.attempt.fetch_max(attempt, Ordering::Relaxed);
        }
    }

    /// Keeps an answer.
    pub fn keep(&self, low: i64, high: i64, what: What) {
        self.seen.lock().expect("no panic while it is held").push(Seen { low, high, what });
    }
}

/// A summary of an execution that was checked against its model.
#[derive(Debug)]
pub struct Kept {
    /// Its organization.
    pub organization: u64,
    /// Its flow.
    pub flow: String,
    /// Its number in the flow.
    pub number: i64,
    /// Its trigger type.
    pub trigger: String,
    /// Its last status.
    pub status: String,
    /// Its last version.
    pub version: i64,
    /// A hash of its record.
    pub record: u64,
    /// A hash of its transitions.
    pub log: u64,
    /// How many were done before it.
    pub place: usize,
}

/// A hash of JSON that does not depend on the order of members.
pub fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    // serde_json keeps members sorted.
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

/// What the clients know of a flow.
#[derive(Debug, Default, Clone)]
pub struct Flow {
    /// Its organization.
    pub organization: u64,
    /// The ids of its executions that were answered.
    pub known: BTreeSet<String>,
    /// How many may have been created.
    pub asked: u64,
    /// The largest number in any answer.
    pub top: i64,
}

/// All that clients share.
pub struct World {
    /// How many executions an organization gets before the next one begins.
    of_an_organization: u64,
    /// How many of the slots all clients share: the first ones.
    pub shared: usize,
    /// The executions that are worked on.
    pub slots: Vec<Mutex<Option<Arc<Run>>>>,
    /// Whether the clients must end.
    pub over: AtomicBool,
    /// How many requests were answered.
    pub answered: AtomicU64,
    /// How many executions were started.
    pub begun: AtomicU64,
    /// The flows by their names.
    pub flows: Mutex<BTreeMap<String, Flow>>,
    /// The executions that are done and checked, by id.
    pub kept: Mutex<HashMap<String, Kept>>,
}

impl World {
    /// A world for `slots` executions at a time, of which all clients share the first `shared` ones, and `of_an_organization` executions for each organization before the next one
    /// begins.
    pub fn new(slots: usize, shared: usize, of_an_organization: u64) -> Self {
        assert_eq!(of_an_organization % OF_A_FLOW, 0, "a flow belongs to one organization");
        Self {
            of_an_organization,
            shared,
            slots: (0..slots).map(|_| Mutex::default()).collect(),
            over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            flows: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// The flow of the n-th execution.
    pub fn flow(begun: u64) -> String {
        format!("flow-{}", begun / OF_A_FLOW)
    }

    /// The organization of the n-th execution.
    pub fn organization(&self, begun: u64) -> u64 {
        (begun / self.of_an_organization).min(ORGANIZATIONS - 1)
    }

    /// What the clients know of a flow.
    pub fn known(&self, flow: &str) -> Flow {
        self.flows.lock().expect("no panic while it is held").get(flow).cloned().unwrap_or_default()
    }

    /// How many executions of an organization are known, and how many may have been created.
    pub fn total(&self, organization: u64) -> (usize, u64) {
        let flows = self.flows.lock().expect("no panic while it is held");
        let own = || flows.values().filter(|flow| flow.organization == organization);
        (own().map(|flow| flow.known.len()).sum(), own().map(|flow| flow.asked).sum())
    }
}
