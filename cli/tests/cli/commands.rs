//! All commands but `run`.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{Way, World, done, finish};

/// Each line of a text as JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn start_prints_the_id_and_what_it_was_given_arrives() {
    let world = World::new();
    let run = done(world.ratchet(&[
        "start",
        "--flow",
        "ocr",
        "--var",
        "limit=1.0",
        "--metadata",
        "team=growth",
        "--timeout",
        "1h",
        "--heartbeat-timeout",
        "2m",
        "--start-timeout",
        "1d",
        "--max-retries",
        "5",
        "--agent",
        "a",
        "--trigger",
        "event",
        "--trigger-data",
        r#"{"k": 1e2}"#,
    ]));
    run.assert(0);
    let execution = world.execution();
    assert_eq!(run.stdout.trim(), execution["id"]);
    for (field, expected) in [
        ("timeout_seconds", json!(3_600)),
        ("heartbeat_timeout_seconds", json!(120)),
        ("start_timeout_seconds", json!(86_400)),
        ("max_retries", json!(5)),
        ("metadata", json!({"team": "growth"})),
        ("trigger_type", json!("event")),
    ] {
        assert_eq!(execution[field], expected, "{field}");
    }
    let shown = done(world.ratchet(&["show", "--json", run.stdout.trim()]));
    assert!(shown.stdout.contains(r#""trigger_data":{"k":1e2},"variables":{"limit":1.0}"#), "{}", shown.stdout);
}

#[test]
fn start_reads_variables_from_a_file_and_from_standard_input() {
    let world = World::new();
    std::fs::write(world.path("v.json"), "{\"a\": 1}").unwrap();
    let from = format!("@{}", world.path("v.json").display());
    done(world.ratchet(&["start", "--flow", "f", "--variables", &from])).assert(0);
    let begun = Instant::now();
    let mut child =
        world.ratchet(&["start", "--flow", "f", "--variables", "@-", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"{\"a\": 2}").unwrap();
    let run = finish(child, begun);
    assert_eq!(lines(&run.assert(0).stdout)[0]["variables"], json!({"a": 2}));
    assert_eq!(world.executions()[0]["variables"], json!({"a": 1}));
    done(world.ratchet(&["start", "--flow", "f", "--variables", "[1]"])).assert(2);
    done(world.ratchet(&["start", "--flow", "f", "--variables", "@/nowhere"])).assert(2);
}

#[test]
fn the_same_idempotency_key_gives_the_same_execution() {
    let world = World::new();
    let start = || done(world.ratchet(&["start", "--flow", "f", "--idempotency-key", "nightly-2026-11-30"])).stdout;
    assert_eq!(start(), start());
    assert_eq!(world.executions().len(), 1);
}

#[test]
fn report_changes_and_says_what_it_is_refused() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
    done(world.ratchet(&["report", &id, "--status", "running"])).assert(0).says("is running, attempt 1");
    let again = done(world.ratchet(&["report", &id, "--status", "running"]));
    again.assert(1).says("it is running already (INVALID_STATUS_TRANSITION, correlation id ");
    assert_eq!(again.stdout, "");
    let mut of_a_command = world.ratchet(&["report", "--tokens", "7", "--cost", "0.10"]);
    of_a_command.env("RATCHET_EXECUTION_ID", &id);
    done(of_a_command).assert(0);
    let end = ["report", &id, "--status", "completed", "--attempt", "1", "--output", r#"{"rows": 1}"#, "--json"];
    let ended = done(world.ratchet(&end));
    assert!(ended.assert(0).stdout.contains(r#""cost_estimate":0.10,"#), "{}", ended.stdout);
    let execution = world.execution();
    assert_eq!((&execution["tokens_used"], &execution["final_output"]), (&json!(7), &json!({"rows": 1})));
    done(world.ratchet(&["report", "--tokens", "7"])).assert(2).says("RATCHET_EXECUTION_ID is not set");
    done(world.ratchet(&["report", &id, "--cost", "-1"])).assert(2);
}

#[test]
fn lists_are_filtered_walked_and_whole() {
    let world = World::new();
    for number in 0..130 {
        let flow = if number % 13 == 0 { "b" } else { "a" };
        world.create(&format!(r#"{{"flow_id": "{flow}", "trigger_type": "api", "agent_id": "agent-{}"}}"#, number % 2));
    }
    let json =
        |arguments: &[&str]| lines(&done(world.ratchet(&[&["ls", "--json"], arguments].concat())).assert(0).stdout);
    assert_eq!(json(&[]).len(), 20);
    assert_eq!(json(&["-n", "105"]).len(), 105);
    let all = json(&["--all"]);
    assert_eq!(all.len(), 130);
    let ids: BTreeSet<&str> = all.iter().map(|execution| execution["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 130);
    // A summary: lists do not load what is large.
    assert!(all[0].get("variables").is_none());
    assert_eq!(json(&["--flow", "b", "--all"]).len(), 10);
    assert_eq!(json(&["--agent", "agent-1", "--all"]).len(), 65);
    assert_eq!(json(&["--status", "pending,queued", "--all"]).len(), 130);
    assert_eq!(json(&["--status", "failed"]).len(), 0);
    assert_eq!(json(&["--since", "1h", "-n", "1"]).len(), 1);
    assert_eq!(json(&["--until", "1h"]).len(), 0);
    let table = done(world.ratchet(&["ls", "-n", "2"]));
    let rows: Vec<&str> = table.assert(0).stdout.lines().collect();
    assert_eq!(rows.len(), 3);
    assert!(rows[0].starts_with("STATUS") && rows[1].starts_with("pending"), "{}", table.stdout);
    assert!(!table.stdout.contains('\u{1b}'));
    let none = done(world.ratchet(&["ls", "--status", "failed"]));
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "No executions.\n"));
    done(world.ratchet(&["ls", "--status", "broken"])).assert(2).says("it is none of pending, queued, running");
}

#[test]
fn what_callers_sent_cannot_move_the_cursor() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "\u001b[2Jx\ny\u202ez", "trigger_type": "api", "agent_id": "a\tb"}"#);
    world.call(
        "PATCH",
        &format!("/flows/executions/{id}"),
        r#"{"status": "failed", "error_message": "one\n\u001b]0;title\u0007two"}"#,
    );
    for arguments in [&["ls"][..], &["show", &id], &["history", &id]] {
        let run = done(world.ratchet(arguments));
        assert!(!run.assert(0).stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", run.stdout);
    }
}

#[test]
fn show_and_history_say_what_happened() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "f", "trigger_type": "api", "variables": {"limit": 1.0}}"#);
    done(world.ratchet(&["history", &id])).assert(0).says("No transitions");
    world.call("PATCH", &format!("/flows/executions/{id}"), r#"{"status": "running"}"#);
    let running = done(world.ratchet(&["show", &id]));
    assert!(running.assert(0).stdout.contains("last heard     20"), "{}", running.stdout);
    assert!(running.stdout.contains("deadline       20"), "{}", running.stdout);
    world.call(
        "PATCH",
        &format!("/flows/executions/{id}"),
        r#"{"status": "failed", "error_message": "no space left"}"#,
    );
    let shown = done(world.ratchet(&["show", &id]));
    for line in [
        "status         failed",
        "variables      {\"limit\":1.0}",
        "error          no space left",
        "flow           f #1",
    ] {
        assert!(shown.assert(0).stdout.contains(line), "{line:?}:\n{}", shown.stdout);
    }
    let history = done(world.ratchet(&["history", &id]));
    assert_eq!(history.assert(0).stdout.lines().count(), 3);
    let transitions = lines(&done(world.ratchet(&["history", &id, "--json"])).stdout);
    assert_eq!(transitions[1]["reason"], "no space left");
    done(world.ratchet(&["show", "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e"])).assert(1).says("EXECUTION_NOT_FOUND");
    done(world.ratchet(&["show", "x"])).assert(2).says("an id looks like");
}

#[test]
fn show_follows_an_execution_to_its_end() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
    let begun = Instant::now();
    let child = world.ratchet(&["show", &id, "--watch", "--json"]).spawn().unwrap();
    world.wait_for(|world| (world.gate.seen() > 0).then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    world.call("PATCH", &format!("/flows/executions/{id}"), r#"{"status": "completed"}"#);
    let seen: Vec<Value> = lines(&finish(child, begun).assert(0).stdout);
    assert_eq!(seen.last().unwrap()["status"], "completed");
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn steps_are_listed_and_shown() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
    world.call("PATCH", &format!("/flows/executions/{id}"), r#"{"status": "running"}"#);
    let (status, answer) = world.call(
        "POST",
        &format!("/executions/{id}/steps"),
        r#"{"attempt": 1, "steps": [{"step_id": "0001", "step_name": "fetch", "status": "completed", "output_data": {"n": 1.0}},
            {"step_id": "0002", "step_name": "think", "step_type": "llm", "status": "failed", "error_message": "too long"}]}"#,
    );
    assert_eq!(status, 200, "{answer}");
    let table = done(world.ratchet(&["steps", &id])).assert(0).stdout.clone();
    assert!(table.lines().nth(1).unwrap().starts_with("0001  completed  fetch"), "{table}");
    let json = done(world.ratchet(&["steps", &id, "--json"])).assert(0).stdout.clone();
    assert!(json.contains(r#""output_data":{"n":1.0}"#), "{json}");
    let shown = done(world.ratchet(&["show", &id])).assert(0).stdout.clone();
    assert!(shown.contains("0002  failed     think  llm"), "{shown}");
}

#[test]
fn wait_ends_as_the_execution_does() {
    let world = World::new();
    for (status, code) in [("completed", 0), ("failed", 1), ("cancelled", 3), ("timeout", 4)] {
        let id = world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
        let begun = Instant::now();
        let child = world.ratchet(&["wait", &id, "--timeout", "1m"]).spawn().unwrap();
        let seen = world.gate.seen();
        world.wait_for(|world| (world.gate.seen() > seen).then_some(()));
        world.call("PATCH", &format!("/flows/executions/{id}"), &format!(r#"{{"status": "{status}"}}"#));
        let run = finish(child, begun);
        assert_eq!(run.assert(code).stdout, format!("{status}\n"));
        assert!(run.took < Duration::from_secs(30), "{:?}", run.took);
    }
    let id = world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
    let in_vain = done(world.ratchet(&["wait", &id, "--timeout", "1s"]));
    assert_eq!(in_vain.assert(124).stdout, "pending\n");
    done(world.ratchet(&["wait", "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e"])).assert(1).says("EXECUTION_NOT_FOUND");
    world.gate.set(Way::Closed);
    done(world.ratchet(&["wait", &id, "--timeout", "2s"])).assert(1).says("not available");
}

#[test]
fn a_wait_outlasts_an_outage() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
    world.gate.set(Way::Closed);
    let begun = Instant::now();
    let child = world.ratchet(&["wait", &id, "--timeout", "1m", "--json"]).spawn().unwrap();
    world.wait_for(|world| (world.gate.seen() > 2).then_some(()));
    world.call("PATCH", &format!("/flows/executions/{id}"), r#"{"status": "completed"}"#);
    world.gate.set(Way::Open);
    assert_eq!(lines(&finish(child, begun).assert(0).stdout)[0]["status"], "completed");
}

#[test]
fn cancels_have_an_outcome_each() {
    let world = World::new();
    let create = || world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
    let (pending, running, ended) = (create(), create(), create());
    world.call("PATCH", &format!("/flows/executions/{running}"), r#"{"status": "running"}"#);
    world.call("PATCH", &format!("/flows/executions/{ended}"), r#"{"status": "completed"}"#);
    let unknown = "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e";
    let without = done(world.ratchet(&["cancel", &pending, &running]));
    without.assert(2).says("--reason is required to cancel 2 executions");
    let run = done(world.ratchet(&["cancel", &pending, &running, &ended, unknown, "--reason", "wrong input"]));
    run.assert(1).says("1 cancelled, 1 failed, 1 requested, 1 too late");
    let printed: BTreeSet<&str> = run.stdout.lines().collect();
    let lines =
        [format!("{pending}  cancelled"), format!("{running}  asked to stop"), format!("{ended}  too late: completed")];
    assert!(lines.iter().all(|line| printed.contains(line.as_str())), "{printed:?}");
    assert!(
        printed.iter().any(|line| line.starts_with(unknown) && line.contains("EXECUTION_NOT_FOUND")),
        "{printed:?}"
    );
}

#[test]
fn a_filter_cancels_what_it_finds_and_what_changes_meanwhile_is_told() {
    let world = World::new();
    // How many executions the filter finds; RATCHET_CANCELS for more of them.
    let found: usize = std::env::var("RATCHET_CANCELS").map_or(120, |text| text.parse().expect("a number"));
    let ids: Vec<String> = (0..2 * found)
        .map(|number| {
            let flow = if number % 2 == 0 { "a" } else { "b" };
            world.create(&format!(r#"{{"flow_id": "{flow}", "trigger_type": "api"}}"#))
        })
        .collect();
    world.call("PATCH", &format!("/flows/executions/{}", ids[0]), r#"{"status": "completed"}"#);
    let dry = done(world.ratchet(&["cancel", "--flow", "a", "--dry-run"]));
    dry.assert(0).says(&format!("{} would be cancelled", found - 1));
    assert_eq!(dry.stdout.lines().count(), found - 1);
    assert_eq!(world.history(&ids[2]), [""; 0]);

    let begun = Instant::now();
    let child = world.ratchet(&["cancel", "--flow", "a", "--reason", "wrong input", "--json"]).spawn().unwrap();
    // From the last to the first of them, the other way than the cancels: somewhere they meet.
    let completed: Vec<&String> = ids
        .iter()
        .step_by(2)
        .filter(|id| world.call("PATCH", &format!("/flows/executions/{id}"), r#"{"status": "completed"}"#).0 == 200)
        .collect();
    let run = finish(child, begun);
    run.assert(0);
    let outcomes = lines(&run.stdout);
    let too_late = outcomes.iter().filter(|outcome| outcome["outcome"] == "too_late").count();
    let cancelled = outcomes.iter().filter(|outcome| outcome["outcome"] == "cancelled").count();
    assert_eq!(too_late + cancelled, outcomes.len(), "{}", run.stderr);
    // Each has ended once: cancelled by us, or completed by the other.
    assert_eq!(cancelled + completed.len(), found - 1);
    println!("{found} found: {cancelled} cancelled, {too_late} too late");
    for id in ids.iter().skip(1).step_by(2).take(5) {
        assert_eq!(world.history(id), [""; 0]);
    }
    done(world.ratchet(&["cancel", "--flow", "a"])).assert(0).says("nothing to cancel");
    done(world.ratchet(&["cancel"])).assert(2);
    done(world.ratchet(&["cancel", "--status", "completed"])).assert(2).says("what has ended cannot be cancelled");
    done(world.ratchet(&["cancel", &ids[1], "--flow", "b"])).assert(2);
}

#[test]
fn a_retry_is_a_new_execution_with_the_inputs_of_the_old_one() {
    let world = World::new();
    let id = world.create(
        r#"{"flow_id": "f", "trigger_type": "event", "trigger_data": {"k": 1e2}, "variables": {"limit": 1.0}, "priority": "high",
            "timeout_seconds": 77, "heartbeat_timeout_seconds": 33, "start_timeout_seconds": 44, "retry_config": {"max_retries": 5},
            "metadata": {"team": "x"}, "agent_id": "a"}"#,
    );
    done(world.ratchet(&["retry", &id])).assert(1).says("only one that has ended");
    world.call("PATCH", &format!("/flows/executions/{id}"), r#"{"status": "failed"}"#);
    let run = done(world.ratchet(&["retry", &id, "--json"]));
    let new = lines(&run.assert(0).stdout).remove(0);
    assert!(run.stdout.contains(r#""trigger_data":{"k":1e2},"variables":{"limit":1.0}"#), "{}", run.stdout);
    let old = world.executions().into_iter().find(|execution| execution["id"] == id.as_str()).unwrap();
    for field in [
        "flow_id",
        "trigger_type",
        "trigger_data",
        "variables",
        "priority",
        "timeout_seconds",
        "heartbeat_timeout_seconds",
        "start_timeout_seconds",
        "max_retries",
        "metadata",
        "agent_id",
    ] {
        assert_eq!(new[field], old[field], "{field}");
    }
    assert_eq!((&new["status"], &new["parent_execution_id"]), (&json!("pending"), &json!(id)));
}

#[test]
fn whoami_says_whose_the_key_is() {
    let world = World::new();
    let run = done(world.ratchet(&["whoami"]));
    assert!(
        run.assert(0).stdout.starts_with("organization acme\nkey          local-1\nscopes       read,write,admin\n")
    );
    assert_eq!(lines(&done(world.ratchet(&["whoami", "--json"])).stdout)[0]["organization_id"], "acme");
    let mut wrong = world.ratchet(&["whoami"]);
    wrong.env("RATCHET_API_KEY", "wrong");
    done(wrong).assert(1).says("the service does not accept the API key");
    world.gate.set(Way::Closed);
    let away = done(world.ratchet(&["whoami"]));
    away.assert(1).says("the service is not available (tried 4 times");
}

#[test]
fn a_reader_of_a_list_may_leave() {
    let world = World::new();
    for _ in 0..30 {
        world.create(r#"{"flow_id": "f", "trigger_type": "api"}"#);
    }
    let begun = Instant::now();
    let mut child = world.ratchet(&["ls", "--json", "--all"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(finish(child, begun).assert(0).stderr, "");
}
