//! The executions that clients work on, and what is kept of those that are done.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::RwLock;

use crate::model::{Seen, What};

/// How many executions a flow gets before the next flow begins: so many that a walk has pages, and so few that walks do
/// not take longer from hour to hour.
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
    /// As it was accepted.
    pub created: Value,
    /// How many requests it gets.
    pub life: u64,
    /// How many it got.
    pub asked: AtomicU64,
    /// Held for reading by whoever has a request on its way; true when there shall be no more.
    pub closed: RwLock<bool>,
    live: Mutex<Live>,
    /// What its clients were told.
    pub seen: Mutex<Vec<Seen>>,
}

/// What is known of an execution.
struct Live {
    /// The newest version that somebody was told.
    version: i64,
    status: String,
    /// How many writes are on their way.
    writing: i64,
}

impl Run {
    /// One that was accepted.
    pub fn new(organization: u64, created: Value, life: u64) -> Self {
        Self {
            organization,
            id: created["id"].as_str().expect("an id").to_owned(),
            life,
            asked: AtomicU64::new(0),
            closed: RwLock::new(false),
            live: Mutex::new(Live { version: 1, status: "pending".to_owned(), writing: 0 }),
            seen: Mutex::default(),
            created,
        }
    }

    /// The newest version and status that are known.
    pub fn known(&self) -> (i64, String) {
        let live = self.live.lock().expect("no panic while it is held");
        (live.version, live.status.clone())
    }

    /// So many writes are sent. The version that an answer cannot be older than.
    pub fn ask(&self, writes: i64) -> i64 {
        let mut live = self.live.lock().expect("no panic while it is held");
        live.writing += writes;
        live.version
    }

    /// So many writes were answered, by a version or none. The version that an answer cannot be newer than: every write
    /// that was applied was told to somebody, or is still on its way.
    pub fn told(&self, writes: i64, version: Option<i64>, status: Option<&str>) -> i64 {
        let mut live = self.live.lock().expect("no panic while it is held");
        let high = live.version + live.writing;
        live.writing -= writes;
        if let Some(version) = version.filter(|version| *version >= live.version) {
            live.version = version;
            if let Some(status) = status {
                status.clone_into(&mut live.status);
            }
        }
        high
    }

    /// Keeps what somebody was told.
    pub fn keep(&self, low: i64, high: i64, what: What) {
        self.seen.lock().expect("no panic while it is held").push(Seen { low, high, what });
    }
}

/// What is kept of an execution that was checked against its model.
#[derive(Debug)]
pub struct Kept {
    /// Its organization.
    pub organization: u64,
    /// Its flow.
    pub flow: String,
    /// Its number there.
    pub number: i64,
    /// What set it off.
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

/// A hash of JSON, whatever the order of its members.
pub fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    // serde_json keeps members sorted.
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

/// What is known of a flow.
#[derive(Debug, Default, Clone)]
pub struct Flow {
    /// Its organization.
    pub organization: u64,
    /// The executions that were told.
    pub known: BTreeSet<String>,
    /// How many may have been made.
    pub asked: u64,
    /// The largest number that was told.
    pub top: i64,
}

/// All that clients share.
pub struct World {
    /// How many executions an organization gets before the next one begins.
    of_an_organization: u64,
    /// The executions that are worked on.
    pub slots: Vec<Mutex<Option<Arc<Run>>>>,
    /// Whether clients shall end.
    pub over: AtomicBool,
    /// How many requests were answered.
    pub answered: AtomicU64,
    /// How many executions were begun.
    pub begun: AtomicU64,
    /// The flows by their names.
    pub flows: Mutex<BTreeMap<String, Flow>>,
    /// What was done and checked, by id.
    pub kept: Mutex<HashMap<String, Kept>>,
}

impl World {
    /// One with room for so many executions at a time; so many go to an organization before the next one begins.
    pub fn new(slots: usize, of_an_organization: u64) -> Self {
        assert_eq!(of_an_organization % OF_A_FLOW, 0, "a flow is one organization's");
        Self {
            of_an_organization,
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

    /// What is known of a flow.
    pub fn known(&self, flow: &str) -> Flow {
        self.flows.lock().expect("no panic while it is held").get(flow).cloned().unwrap_or_default()
    }

    /// How many executions of an organization are known, and how many may have been made.
    pub fn total(&self, organization: u64) -> (usize, u64) {
        let flows = self.flows.lock().expect("no panic while it is held");
        let own = || flows.values().filter(|flow| flow.organization == organization);
        (own().map(|flow| flow.known.len()).sum(), own().map(|flow| flow.asked).sum())
    }
}
