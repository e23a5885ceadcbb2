//! The service under mixed load, for a given time: every answer is due, no write is lost, and memory does not grow.
//!
//! ```text
//! cargo test -p local --test soak -- --nocapture                              20 seconds, on a file
//! RATCHET_SOAK_SECONDS=1800 cargo test --profile lab -p local --test soak -- --nocapture
//! tools/with-dynamodb-local.sh cargo test ...                                 on DynamoDB Local
//! ```
//!
//! The clients work on a few executions at a time, and each waits for its answer before it sends the next request: allowed
//! transitions and others, fields, repeats, conditions, reads and lists. Others have executions that the service itself has to
//! end: overdue ones, and such as are cancelled or fall silent. Each answer is checked when it arrives (`client`),
//! all answers about an execution when it is done (`model`), and every execution once more at the end.
//!
//! `RATCHET_SEED` decides the requests of each client; how they interleave depends on the machine. `RATCHET_SOAK_CLIENTS` sets
//! how many clients there are.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

mod client;
mod memory;
mod model;
#[path = "../service/mod.rs"]
mod service;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::client::{Client, Met};
use crate::memory::Watched;
use crate::service::{Service, setting};
use crate::world::World;

/// How many clients there are. On two processors that they share with the service, more clients do not get more answers, and
/// each waits longer.
const CLIENTS: u64 = 4;

/// How many clients more have executions that supervision is to end: one each.
const SUPERVISED: usize = 6;

/// How much the service's memory may grow over the last two thirds of the time, in KiB.
const MOST_GROWTH: f64 = 8.0 * 1024.0;

/// How many executions an organization gets on a DynamoDB at an endpoint before the next organization begins. DynamoDB Local
/// takes some 0.4 ms for each index entry that it counts, so that a list of some thousands takes longer than the service
/// waits.
const OF_AN_ORGANIZATION: u64 = 500;

/// The same on the embedded DynamoDB, which counts faster. A count ends at 10,000.
const FOR_EVER: u64 = 1_000_000_000;

/// One of this many requests may be answered 503, because DynamoDB took longer than allowed. On a machine that does nothing
/// else none is.
const MOST_UNAVAILABLE: u64 = 1_000;

/// Writes the figures of a run to standard error, past the test runner, which shows nothing of a test that passes.
fn report(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The figures as tables.
fn figures(met: &mut Met, seconds: f64) -> String {
    let mut text = String::new();
    let requests: usize = met.took.values().map(Vec::len).sum();
    let _ = writeln!(
        text,
        "soak: {requests} requests in {seconds:.0} s, {:.0} a second; {} writes applied, {} of them known by their token",
        f64::from(u32::try_from(requests).unwrap_or(u32::MAX)) / seconds,
        met.settled.writes,
        met.settled.recovered
    );
    let _ = writeln!(text, "{:>10} {:>9} {:>9} {:>9}", "count", "p50 ms", "p99 ms", "most ms");
    for (purpose, took) in &mut met.took {
        took.sort_unstable();
        let at = |percent: usize| {
            let place = (took.len() * percent / 100).min(took.len() - 1);
            f64::from(took[place]) / 1e3
        };
        let _ = writeln!(text, "{:>10} {:>9.1} {:>9.1} {:>9.1}  {purpose}", took.len(), at(50), at(99), at(100));
    }
    for (code, count) in &met.refused {
        let _ = writeln!(text, "{count:>10} {code}, as was due");
    }
    for (what, count) in &met.settled.supervised {
        let by = if *what == "revived" { "by a heartbeat" } else { "by supervision" };
        let _ = writeln!(text, "{count:>10} {what} {by}");
    }
    let _ = writeln!(text, "soak: the latest was {} ms late", met.settled.latest);
    for (code, count) in &met.unavailable {
        let _ = writeln!(text, "{count:>10} {code}, after an attempt at DynamoDB took too long");
    }
    text
}

/// The answers per second in each tenth of the time, from pairs of seconds and the answers so far.
fn rates(answered: &[(f64, u64)]) -> String {
    let at = |tenth: usize| answered.get((answered.len() * tenth / 10).saturating_sub(1)).copied().unwrap_or_default();
    let rate = |tenth: usize| {
        let ((from, before), (to, after)) = (at(tenth - 1), at(tenth));
        let requests = f64::from(u32::try_from(after - before).unwrap_or(u32::MAX));
        if to > from { format!("{:.0}", requests / (to - from)) } else { "-".to_owned() }
    };
    (1..=10).map(rate).collect::<Vec<_>>().join(" ")
}

fn merge(all: &mut Met, one: Met) {
    for (purpose, took) in one.took {
        all.took.entry(purpose).or_default().extend(took);
    }
    for (code, count) in one.refused {
        *all.refused.entry(code).or_default() += count;
    }
    for (code, count) in one.unavailable {
        *all.unavailable.entry(code).or_default() += count;
    }
    all.settled.add(one.settled);
}

/// What every run must have met. A run without one of these would prove less than it seems to.
const MUST_HAPPEN: [&str; 5] = [
    "INVALID_STATUS_TRANSITION",
    "EXECUTION_FINISHED",
    "INVALID_RETRY_COUNT",
    "PRECONDITION_FAILED",
    "IDEMPOTENCY_KEY_REUSED",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_is_lost_and_memory_stays() {
    let seconds = setting("RATCHET_SOAK_SECONDS").unwrap_or(20);
    let clients = setting("RATCHET_SOAK_CLIENTS").unwrap_or(CLIENTS);
    let seed = setting("RATCHET_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let clients = usize::try_from(clients).expect("not that many");
    let endpoint = std::env::var("RATCHET_TEST_DYNAMODB").ok();
    let folder = std::env::temp_dir().join(format!("ratchet-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).expect("a folder");
    let mut service = Service::start(0, |command| {
        for organization in 0..world::ORGANIZATIONS {
            command.arg("--api-key").arg(format!("{}=organization-{organization}", world::key(organization)));
        }
        match &endpoint {
            None => command.arg("--db").arg(folder.join("executions.db")),
            Some(endpoint) => command
                .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
                .env("RATCHET_TABLE", format!("ratchet-{}", uuid::Uuid::new_v4())),
        };
    });
    let place = endpoint.as_deref().unwrap_or("the embedded DynamoDB, in a file");
    report(&format!("soak: RATCHET_SEED={seed} RATCHET_SOAK_SECONDS={seconds}, {clients} clients, {place}\n"));
    let mut watched = vec![Watched::new("the service", service.child.id())];
    if let Some(process) = endpoint.as_deref().and_then(memory::dynamodb_local) {
        watched.push(Watched::new("DynamoDB Local", process));
    }

    let of_an_organization = if endpoint.is_some() { OF_AN_ORGANIZATION } else { FOR_EVER };
    let world = Arc::new(World::new(clients + SUPERVISED, clients, of_an_organization));
    let mut first = Client::new(clients + SUPERVISED, seed, &service.url, Arc::clone(&world));
    for slot in 0..clients {
        first.begin(slot).await;
    }
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for name in 0..clients {
        workers.spawn(Client::new(name, seed, &service.url, Arc::clone(&world)).work());
    }
    for name in clients..clients + SUPERVISED {
        workers.spawn(Client::new(name, seed, &service.url, Arc::clone(&world)).work_supervised(clients));
    }
    let mut ticks = tokio::time::interval(memory::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = Vec::new();
    while begun.elapsed() < Duration::from_secs(seconds) {
        ticks.tick().await;
        for process in &mut watched {
            process.look(begun);
        }
        answered.push((begun.elapsed().as_secs_f64(), world.answered.load(Ordering::Relaxed)));
        // A client that has failed ends the test now, not at its end.
        if let Some(ended) = workers.try_join_next() {
            panic!("a client ended: {:?}", ended.err());
        }
    }
    world.over.store(true, Ordering::Relaxed);
    let mut met = Met::default();
    while let Some(worker) = workers.join_next().await {
        merge(&mut met, worker.expect("a client that has not failed"));
    }
    let seconds = begun.elapsed().as_secs_f64();
    for slot in &world.slots {
        let run = slot.lock().expect("no panic while it is held").take();
        if let Some(run) = run {
            first.finish(&run).await;
        }
    }
    met.settled.add(first.met.settled);
    report(&figures(&mut met, seconds));
    report(&format!("soak: requests a second, in each tenth of the time: {}\n", rates(&answered)));
    for process in &watched {
        report(&format!("{}\n", process.figures()));
    }

    let compared = compare_all(&world, clients, seed, &service.url).await;
    report(&format!("soak: {compared} executions are what their models are, and the lists have each of them once\n"));

    let trend = watched[0].trend().expect("more than a second");
    assert!(
        trend.growth < MOST_GROWTH,
        "the service's memory grew by {:.1} MiB over the last two thirds of the time",
        trend.growth / 1024.0
    );
    let (unavailable, requests) = (met.unavailable.values().sum::<u64>(), world.answered.load(Ordering::Relaxed));
    assert!(unavailable * MOST_UNAVAILABLE <= requests, "{unavailable} of {requests} requests were answered 503");
    for code in MUST_HAPPEN {
        assert!(met.refused.contains_key(code), "no {code}");
    }
    for purpose in ["end a run", "repeat", "reused key", "two at once", "get if changed", "page of a walk", "heartbeat"]
    {
        assert!(met.took.contains_key(purpose), "no {purpose}");
    }
    // What takes longer than the shortest run must not be missing from longer ones.
    let long: &[&str] = if seconds < 60.0 { &[] } else { &["interrupted", "cancelled", "revived"] };
    for what in ["timeout"].iter().chain(long) {
        assert!(met.settled.supervised.contains_key(what), "no {what} by supervision");
    }
    service.kill();
    std::fs::remove_dir_all(&folder).expect("the folder can go");
}

/// Compares every execution with its model at the time when it was done, and the lists with all of them. Returns how many
/// there are.
async fn compare_all(world: &Arc<World>, clients: usize, seed: u64, url: &str) -> usize {
    let mut ids = BTreeMap::<u64, BTreeSet<String>>::new();
    let (mut numbers, mut counts) = (BTreeSet::new(), BTreeMap::<(u64, String), u64>::new());
    for (id, kept) in world.kept.lock().expect("no panic while it is held").iter() {
        ids.entry(kept.organization).or_default().insert(id.clone());
        assert!(numbers.insert((kept.flow.clone(), kept.number)), "a number twice: {kept:?}");
        for filter in [
            format!("status={}", kept.status),
            format!("trigger_type={}", kept.trigger),
            format!("flow_id={}", kept.flow),
            format!("flow_id={}&status={}", kept.flow, kept.status),
        ] {
            *counts.entry((kept.organization, filter)).or_default() += 1;
        }
    }
    for (organization, ids) in &ids {
        assert_eq!(ids.len(), world.total(*organization).0, "executions that were answered, and that were checked");
    }

    let all: Vec<(u64, String)> =
        ids.iter().flat_map(|(organization, ids)| ids.iter().map(|id| (*organization, id.clone()))).collect();
    let mut workers = JoinSet::new();
    for name in 0..clients {
        let mut client = Client::new(name, seed, url, Arc::clone(world));
        let share: Vec<(u64, String)> = all.iter().skip(name).step_by(clients).cloned().collect();
        workers.spawn(async move {
            for (organization, id) in share {
                client.compare(organization, &id).await;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.expect("executions as they were");
    }
    let mut client = Client::new(0, seed, url, Arc::clone(world));
    for (organization, ids) in &ids {
        let walked = client.walk_through_all(*organization).await;
        assert_eq!(walked, *ids, "a walk meets each execution once, and no other");
    }
    for ((organization, filter), count) in counts {
        assert_eq!(client.count(organization, &filter).await, count.min(10_000), "{filter}");
    }
    all.len()
}
