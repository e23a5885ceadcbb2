//! What a power failure may take: the end of the write-ahead log, or a part of it that had not reached the disk when what follows
//! had. What is left is the work up to a write, and nothing of what came after it (docs/adr/0020).
//!
//! `RATCHET_CUTS` sets in how many places the log is cut (24), `RATCHET_SEED` where.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Dice, setting};
use crate::{Client, new_folder, start};

/// How many executions there are, one after the other, each with so many writes.
const EXECUTIONS: usize = 6;
const WRITES: usize = 4;

fn log_of(database: &Path) -> PathBuf {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn client(url: &str) -> Client {
    Client::new(url, &Arc::default())
}

async fn work(client: &Client) {
    for execution in 0..EXECUTIONS {
        let body = json!({ "flow_id": "f", "trigger_type": "test", "metadata": { "execution": execution } });
        let created = client.until_answered(Method::POST, "/flows/execute", Some(&body)).await;
        let path = format!("/flows/executions/{}", created["execution"]["id"].as_str().expect("an id"));
        let completed = json!({ "status": "completed", "final_output": { "rows": execution } });
        for write in [json!({ "status": "running" }), json!({ "tokens_used": 7 }), completed] {
            client.until_answered(Method::PATCH, &path, Some(&write)).await;
        }
    }
}

/// How many writes are left, and that they are the first ones.
async fn left(client: &Client) -> usize {
    let read = read_left(client);
    tokio::time::timeout(std::time::Duration::from_secs(30), read).await.expect("other answers than 503")
}

async fn read_left(client: &Client) -> usize {
    let page = client.until_answered(Method::GET, "/flows/executions?page_size=100", None).await;
    let mut records = page["executions"].as_array().expect("executions").clone();
    records.reverse();
    let mut writes = 0;
    for (place, record) in records.iter().enumerate() {
        assert_eq!(writes, place * WRITES, "later writes are there, and earlier ones are not: {page}");
        let version = record["version"].as_u64().and_then(|version| usize::try_from(version).ok()).expect("a version");
        assert!((1..=WRITES).contains(&version), "{record}");
        let status = ["pending", "running", "running", "completed"][version - 1];
        assert_eq!(
            (&record["status"], &record["metadata"]),
            (&json!(status), &json!({ "execution": place })),
            "{record}"
        );
        assert_eq!(record["tokens_used"], if version > 2 { json!(7) } else { Value::Null }, "{record}");
        let path = format!("/executions/{}/transitions", record["id"].as_str().expect("an id"));
        let log = client.until_answered(Method::GET, &path, None).await;
        let entered: Vec<&str> =
            log["transitions"].as_array().expect("a log").iter().filter_map(|step| step["to"].as_str()).collect();
        let expected: &[&str] = match version {
            1 => &[],
            2 | 3 => &["running"],
            _ => &["running", "completed"],
        };
        assert_eq!(entered, expected, "{log}");
        writes += version;
    }
    // What comes next has a number that no execution has.
    let body = json!({ "flow_id": "f", "trigger_type": "test" });
    let next = client.until_answered(Method::POST, "/flows/execute", Some(&body)).await;
    let number = |record: &Value| record["execution_number"].as_u64().expect("a number");
    assert!(records.iter().all(|record| number(record) < number(&next["execution"])), "{next} after {page}");
    writes
}

/// A file is there once all of it is: a server that is ended at its first start leaves none that is good for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_is_cut_off_leaves_no_half_a_table() {
    let folder = new_folder();
    let size = |file: &Path| file.metadata().map_or(0, |found| found.len());
    for written in (0..25).map(|step| step * 4096) {
        let file = folder.join(format!("{written}.db"));
        // What an earlier file of this name has left.
        std::fs::write(log_of(&file), b"of another database").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_local"));
        command.args(["--port", "0", "--db"]).arg(&file).stdout(std::process::Stdio::null());
        let mut first = command.stderr(std::process::Stdio::null()).spawn().expect("it starts");
        let begun = std::time::Instant::now();
        while size(&file) + size(&log_of(&file)) <= written && begun.elapsed().as_millis() < 500 {}
        first.kill().unwrap();
        first.wait().unwrap();
        let service = start(0, &file);
        assert_eq!(left(&client(&service.url)).await, 0, "killed at {written} bytes");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_failure_takes_the_last_writes_and_nothing_that_stands_before_them() {
    let cuts = setting("RATCHET_CUTS").unwrap_or(24);
    let seed = setting("RATCHET_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("RATCHET_SEED={seed} RATCHET_CUTS={cuts}");
    let folder = new_folder();
    let file = folder.join("executions.db");
    let mut service = start(0, &file);
    work(&client(&service.url)).await;
    service.kill();

    let log = std::fs::read(log_of(&file)).unwrap();
    let length = u64::try_from(log.len()).unwrap();
    let mut dice = Dice(seed);
    // How much is left, and whether the rest is there but for some bytes.
    let mut failures: Vec<(u64, bool)> = (0..cuts).map(|cut| (dice.below(length), cut % 2 == 1)).collect();
    failures.push((length, false));
    failures.sort_unstable();
    let (mut before, mut partly) = (0, 0);
    for (whole, torn) in failures {
        let copy = folder.join("copy.db");
        let mut kept = log.clone();
        let end = usize::try_from(whole).unwrap();
        if torn {
            kept[end..].iter_mut().take(512).for_each(|byte| *byte = !*byte);
        } else {
            kept.truncate(end);
        }
        std::fs::copy(&file, &copy).unwrap();
        std::fs::write(log_of(&copy), kept).unwrap();
        let mut service = start(0, &copy);
        let writes = left(&client(&service.url)).await;
        assert!(writes >= before, "{writes} writes with {whole} bytes of the log, and {before} with fewer");
        partly += usize::from(writes > 0 && writes < EXECUTIONS * WRITES);
        before = writes;
        service.kill();
        for leftover in [copy.clone(), log_of(&copy), folder.join("copy.db-shm")] {
            let _ = std::fs::remove_file(leftover);
        }
    }
    println!("{cuts} power failures over {length} bytes of the log, {partly} of which left a part of the work");
    assert_eq!(before, EXECUTIONS * WRITES, "nothing is lost of a whole log");
    assert!(cuts < 24 || partly > 0, "no power failure met the work");
    std::fs::remove_dir_all(&folder).unwrap();
}
