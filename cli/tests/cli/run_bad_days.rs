//! `ratchet run` while the service is away, refuses, or says that the execution is over.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{KEY, Way, World, done, finish, is_alive, ratchet, signal};

/// A script that lasts until the test lets it end.
const UNTIL_GO: &str = "echo $$ > $FOLDER/pid; while [ ! -e $FOLDER/go ]; do sleep 0.05; done; exit 3";

fn go(world: &World) {
    std::fs::write(world.path("go"), "").unwrap();
}

#[test]
fn a_service_that_is_not_there_does_not_keep_the_command_from_running() {
    let world = World::new();
    world.gate.set(Way::Closed);
    let script = "date +%s%N > $FOLDER/began; echo ran; exit 3";
    let before = now();
    let run = done(world.impatient_run(&["--report-timeout", "2s"], script));
    run.assert(3).says("the service did not answer within 3 s: the command starts, and the report follows");
    run.says("the end of the command could not be reported");
    assert_eq!(run.stdout, "ran\n");
    let began: u128 = std::fs::read_to_string(world.path("began")).unwrap().trim().parse().unwrap();
    let waited = Duration::from_nanos(u64::try_from(began - before).unwrap());
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    assert_eq!(world.executions().len(), 0);
}

#[expect(clippy::disallowed_methods, reason = "compared with what `date` says")]
fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}

#[test]
fn a_service_that_hangs_does_not_keep_it_either() {
    let world = World::new();
    world.gate.set(Way::Silent);
    let begun = Instant::now();
    let child = world.impatient_run(&["--report-timeout", "1s"], UNTIL_GO).spawn().unwrap();
    world.file("pid");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    go(&world);
    finish(child, begun).assert(3).says("the service did not answer within 3 s");
}

#[test]
fn a_service_that_comes_back_in_the_middle_is_told_all_of_it_once() {
    let world = World::new();
    world.gate.set(Way::Closed);
    let begun = Instant::now();
    let child = world.impatient_run(&["--start-timeout", "0s"], UNTIL_GO).spawn().unwrap();
    world.file("pid");
    // Many requests are lost before one is not.
    world.wait_for(|world| (world.gate.seen() > 4).then_some(()));
    assert_eq!(world.executions().len(), 0);
    world.gate.set(Way::Open);
    world.until("running");
    go(&world);
    finish(child, begun).assert(3);
    let execution = world.execution();
    assert_eq!((&execution["status"], &execution["attempt"]), (&json!("failed"), &json!(1)));
}

#[test]
fn an_end_that_could_not_be_reported_at_once_is_reported_later() {
    let world = World::new();
    let begun = Instant::now();
    let child = world.run(&[], UNTIL_GO).spawn().unwrap();
    world.until("running");
    world.gate.set(Way::Closed);
    let seen = world.gate.seen();
    go(&world);
    world.wait_for(|world| (world.gate.seen() > seen + 2).then_some(()));
    world.gate.set(Way::Open);
    finish(child, begun).assert(3);
    let execution = world.execution();
    assert_eq!((&execution["status"], &execution["error_message"]), (&json!("failed"), &json!("exit code 3")));
    // How long the command took, and not how long the report did.
    assert!(execution["duration_ms"].as_i64().unwrap() < 30_000);
}

#[test]
fn an_end_that_cannot_be_reported_at_all_is_said() {
    let world = World::new();
    let begun = Instant::now();
    let child = world.run(&["--report-timeout", "1s"], UNTIL_GO).spawn().unwrap();
    world.until("running");
    world.gate.set(Way::Closed);
    go(&world);
    finish(child, begun).assert(3).says("the end of the command could not be reported: the service is not available");
    assert_eq!(world.execution()["status"], "running");
}

#[test]
fn a_report_that_takes_long_can_be_interrupted() {
    let world = World::new();
    let begun = Instant::now();
    let child = world.run(&[], UNTIL_GO).spawn().unwrap();
    world.until("running");
    world.gate.set(Way::Closed);
    let seen = world.gate.seen();
    go(&world);
    world.wait_for(|world| (world.gate.seen() > seen + 1).then_some(()));
    signal(child.id(), "TERM");
    let run = finish(child, begun);
    run.assert(3).says("the end of the command was not reported: SIGTERM came first");
    assert!(run.took < Duration::from_secs(40), "{:?}", run.took);
}

#[test]
fn a_wrong_key_a_wrong_url_and_no_settings_let_it_run() {
    let world = World::new();
    let run = |url: Option<&str>, key: Option<&str>| {
        let mut command = world.impatient_run(&["--report-timeout", "1s"], "echo ran; exit 3");
        match url {
            Some(url) => command.env("RATCHET_URL", url),
            None => command.env_remove("RATCHET_URL"),
        };
        match key {
            Some(key) => command.env("RATCHET_API_KEY", key),
            None => command.env_remove("RATCHET_API_KEY"),
        };
        let run = done(command);
        assert_eq!(run.assert(3).stdout, "ran\n");
        assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
        run.stderr
    };
    let url = world.url();
    assert!(run(Some(&url), Some("wrong")).contains("Forbidden"));
    assert!(run(Some(&format!("{url}/elsewhere")), Some(KEY)).contains("Not Found"));
    assert!(run(Some("not a URL"), Some(KEY)).contains("is not the URL of a service"));
    assert!(run(None, Some(KEY)).contains("RATCHET_URL"));
    assert!(run(Some(&url), None).contains("RATCHET_API_KEY"));
    assert!(run(Some("https://no-such-host.invalid"), Some(KEY)).contains("ratchet: "));
    assert_eq!(world.executions().len(), 0);
}

#[test]
fn what_the_service_refuses_is_said_and_the_command_runs() {
    let world = World::new();
    let run = done(world.run(&["--heartbeat-timeout", "1s"], "echo ran; exit 0"));
    run.assert(0).says("body.heartbeat_timeout_seconds");
    assert_eq!(run.stdout, "ran\n");
    let quiet = done(world.run(&["--quiet", "--heartbeat-timeout", "1s"], "exit 0"));
    assert_eq!(quiet.assert(0).stderr, "");
}

#[test]
fn with_require_it_runs_only_when_it_is_recorded() {
    let world = World::new();
    world.gate.set(Way::Closed);
    let run = done(world.run(&["--require", "--claim-timeout", "1s"], "echo ran > $FOLDER/ran"));
    run.assert(75).says("the command was not started");
    assert!(!world.path("ran").exists());
    world.gate.set(Way::Open);
    done(world.run(&["--require"], "exit 0")).assert(0);
    assert_eq!(world.execution()["status"], "completed");
}

/// `ratchet run --execution`, with a script.
fn worker(world: &World, id: &str, options: &[&str], script: &str) -> Command {
    let mut arguments = vec!["run", "--execution", id];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    let mut command = world.ratchet(&arguments);
    command.env("FOLDER", world.folder.path());
    command
}

#[test]
fn a_worker_claims_its_execution_and_no_other() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "ocr", "trigger_type": "api"}"#);
    done(worker(&world, &id, &[], "test \"$RATCHET_EXECUTION_ID\" = \"$EXPECTED\" || exit 9; exit 0")).assert(9);
    let id = world.create(r#"{"flow_id": "ocr", "trigger_type": "api"}"#);
    let mut command = worker(&world, &id, &[], "test \"$RATCHET_EXECUTION_ID\" = \"$EXPECTED\" || exit 9; exit 0");
    command.env("EXPECTED", &id);
    done(command).assert(0);
    assert_eq!(world.history(&id), ["running", "completed"]);
}

#[test]
fn of_two_workers_one_runs_and_the_other_says_who() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "ocr", "trigger_type": "api"}"#);
    let begun = Instant::now();
    let first = worker(&world, &id, &[], UNTIL_GO).spawn().unwrap();
    world.until("running");
    let second = done(worker(&world, &id, &[], "echo ran > $FOLDER/second"));
    second.assert(75).says("it is running already").says("running by local-1 at 20");
    assert!(!world.path("second").exists());
    go(&world);
    finish(first, begun).assert(3);
    let third = done(worker(&world, &id, &[], "echo ran > $FOLDER/second"));
    third.assert(75).says("failed is terminal");
    assert!(!world.path("second").exists());
    assert_eq!(world.history(&id), ["running", "failed"]);
}

#[test]
fn a_worker_without_a_claim_does_not_start() {
    let world = World::new();
    let unknown = "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e";
    done(worker(&world, unknown, &[], "echo ran > $FOLDER/ran")).assert(75).says("EXECUTION_NOT_FOUND");
    let id = world.create(r#"{"flow_id": "ocr", "trigger_type": "api"}"#);
    world.gate.set(Way::Closed);
    let away = done(worker(&world, &id, &["--claim-timeout", "1s"], "echo ran > $FOLDER/ran"));
    away.assert(75).says("the command was not started");
    assert!(away.took < Duration::from_secs(15), "{:?}", away.took);
    let mut command = worker(&world, &id, &[], "echo ran > $FOLDER/ran");
    command.env_remove("RATCHET_URL");
    done(command).assert(125);
    assert!(!world.path("ran").exists());
}

#[test]
fn a_claim_waits_for_a_service_that_comes_back() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "ocr", "trigger_type": "api"}"#);
    world.gate.set(Way::Closed);
    let begun = Instant::now();
    let child = worker(&world, &id, &[], "exit 0").spawn().unwrap();
    world.wait_for(|world| (world.gate.seen() > 2).then_some(()));
    world.gate.set(Way::Open);
    finish(child, begun).assert(0);
    assert_eq!(world.history(&id), ["running", "completed"]);
}

#[test]
fn an_end_after_another_worker_took_over_is_not_kept() {
    let world = World::new();
    let id = world.create(r#"{"flow_id": "ocr", "trigger_type": "api"}"#);
    let begun = Instant::now();
    let child = worker(&world, &id, &[], UNTIL_GO).spawn().unwrap();
    world.until("running");
    for status in ["retrying", "running"] {
        let (code, answer) =
            world.call("PATCH", &format!("/flows/executions/{id}"), &format!("{{\"status\": \"{status}\"}}"));
        assert_eq!(code, 200, "{answer}");
    }
    go(&world);
    finish(child, begun).assert(3).says("another worker has the execution");
    assert_eq!(world.history(&id), ["running", "retrying", "running"]);
}

/// A command that runs, with heartbeats every five seconds, and its execution.
fn running(world: &World, options: &[&str], script: &str) -> (std::process::Child, Instant, String) {
    let options = [&["--heartbeat-timeout", "15s"], options].concat();
    let begun = Instant::now();
    let child = world.run(&options, script).spawn().unwrap();
    world.file("pid");
    let id = world.until("running")["id"].as_str().unwrap().to_owned();
    (child, begun, id)
}

#[test]
fn a_cancel_stops_the_command_and_is_reported() {
    let world = World::new();
    let (child, begun, id) = running(&world, &[], UNTIL_GO);
    let pid = world.file("pid");
    let cancelled = done(world.ratchet(&["cancel", &id, "--reason", "not needed"]));
    assert_eq!(cancelled.assert(0).stdout, format!("{id}  asked to stop\n"));
    let run = finish(child, begun);
    run.assert(143).says("the execution is to be cancelled (not needed): the command is stopped");
    assert!(!is_alive(&pid));
    let execution = world.execution();
    assert_eq!(execution["status"], "cancelled");
    assert_eq!(execution["error_message"], "killed by signal 15 (SIGTERM)");
}

/// A time of day that is a day behind and a day ahead, from one reading to the next: for the C compiler, to be loaded first.
const JUMPING_CLOCK: &str = r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
  static int readings;
  int result = syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += __sync_fetch_and_add(&readings, 1) % 2 ? 86400 : -86400;
  return result;
}
";

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let world = World::new();
    let (source, library) = (world.path("clock.c"), world.path("clock.so"));
    std::fs::write(&source, JUMPING_CLOCK).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
    assert!(compiled.success());

    let script = format!("date +%s > $FOLDER/seen; {UNTIL_GO}");
    let begun = Instant::now();
    let mut command = world.run(&["--heartbeat-timeout", "15s"], &script);
    let child = command.env("LD_PRELOAD", &library).spawn().unwrap();
    let seen: i128 = world.file("seen").trim().parse().unwrap();
    assert!((seen - i128::try_from(now() / 1_000_000_000).unwrap()).abs() > 80_000, "the clock does not jump: {seen}");
    let id = world.until("running")["id"].as_str().unwrap().to_owned();
    let told =
        |world: &World| world.call("GET", &format!("/executions/{id}/heartbeat"), "").1["last_heartbeat_at"].clone();
    let at_claim = told(&world);
    world.wait_for(|world| (told(world) != at_claim).then_some(()));
    // In the time of a heartbeat, and not a day later or at once without end.
    assert!((Duration::from_secs(3)..Duration::from_secs(30)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(world.gate.seen() < 20, "{} connections", world.gate.seen());
    go(&world);
    finish(child, begun).assert(3);
    let execution = world.execution();
    assert_eq!(execution["status"], "failed");
    assert!(execution["duration_ms"].as_u64().unwrap() < 60_000, "{execution}");
}

#[test]
fn what_ignores_term_is_killed_after_the_grace_and_so_is_what_it_started() {
    let world = World::new();
    let script = r"trap '' TERM
        sh -c 'echo $$ > $FOLDER/grandchild; while [ -e $FOLDER ]; do sleep 0.05; done' &
        while [ ! -e $FOLDER/grandchild ]; do sleep 0.05; done
        echo $$ > $FOLDER/pid; while [ -e $FOLDER ]; do sleep 0.05; done";
    let (child, begun, id) = running(&world, &["--grace", "1s"], script);
    let (pid, grandchild) = (world.file("pid"), world.file("grandchild"));
    world.call("POST", &format!("/executions/{id}/cancel"), "{}");
    finish(child, begun).assert(137);
    assert!(!is_alive(&pid) && !is_alive(&grandchild));
    assert_eq!(world.execution()["status"], "cancelled");
}

#[test]
fn a_grandchild_that_ignores_term_does_not_outlive_a_cancel() {
    let world = World::new();
    // The command itself ends at once.
    let script = r"(trap '' TERM; sh -c 'echo $$ > $FOLDER/grandchild; while [ -e $FOLDER ]; do sleep 0.05; done') &
        while [ ! -e $FOLDER/grandchild ]; do sleep 0.05; done
        echo $$ > $FOLDER/pid; while [ -e $FOLDER ]; do sleep 0.05; done";
    let (child, begun, id) = running(&world, &["--grace", "1s"], script);
    let grandchild = world.file("grandchild");
    world.call("POST", &format!("/executions/{id}/cancel"), "{}");
    finish(child, begun).assert(143);
    assert!(!is_alive(&grandchild));
}

#[test]
fn a_command_that_finishes_in_spite_of_a_cancel_is_completed() {
    let world = World::new();
    let script = r#"trap 'echo "{\"rows\": 2}" > "$RATCHET_OUTPUT"; exit 0' TERM
        echo $$ > $FOLDER/pid; while [ -e $FOLDER ]; do sleep 0.05; done"#;
    let (child, begun, id) = running(&world, &[], script);
    world.call("POST", &format!("/executions/{id}/cancel"), "{}");
    finish(child, begun).assert(0);
    let execution = world.execution();
    assert_eq!((&execution["status"], &execution["final_output"]), (&json!("completed"), &json!({"rows": 2})));
}

#[test]
fn an_execution_that_another_ended_ends_the_command() {
    let world = World::new();
    let (child, begun, id) = running(&world, &[], UNTIL_GO);
    let pid = world.file("pid");
    let (status, answer) = world.call("PATCH", &format!("/executions/{id}"), r#"{"status": "completed"}"#);
    assert_eq!(status, 200, "{answer}");
    let run = finish(child, begun);
    run.assert(143).says("the execution is over (The execution is completed): the command is stopped");
    run.says("the execution is completed (The execution is completed): the end of the command is not reported");
    assert!(!is_alive(&pid));
    assert_eq!(world.history(&id), ["running", "completed"]);
}

#[test]
fn an_execution_that_was_over_at_the_end_says_so() {
    let world = World::new();
    let begun = Instant::now();
    // With heartbeats every 40 seconds, none comes before the end.
    let child = world.run(&[], UNTIL_GO).spawn().unwrap();
    let id = world.until("running")["id"].as_str().unwrap().to_owned();
    world.call("PATCH", &format!("/executions/{id}"), r#"{"status": "cancelled"}"#);
    go(&world);
    finish(child, begun).assert(3).says("the end of the command is not kept: the execution was cancelled before");
}

#[test]
fn heartbeats_keep_it_running_and_an_outage_between_them_does_not_end_it() {
    let world = World::new();
    let (child, begun, id) = running(&world, &[], UNTIL_GO);
    world.gate.set(Way::Closed);
    // Interrupted by the service: it has not heard of it for 15 seconds.
    world.until("interrupted");
    assert!(is_alive(&world.file("pid")));
    world.gate.set(Way::Open);
    world.until("running");
    go(&world);
    finish(child, begun).assert(3);
    assert_eq!(world.history(&id), ["running", "interrupted", "running", "failed"]);
}

#[test]
fn a_result_that_is_none_is_said_and_the_end_is_reported() {
    let world = World::new();
    for (script, why) in [
        ("echo '{\"rows\":' > \"$RATCHET_OUTPUT\"", "it is not JSON"),
        ("echo '[1]' > \"$RATCHET_OUTPUT\"", "it is not a JSON object"),
        ("printf '{\"a\":\"\\377\"}' > \"$RATCHET_OUTPUT\"", "it is not UTF-8"),
        ("rm \"$RATCHET_OUTPUT\"", "No such file"),
        ("rm \"$RATCHET_OUTPUT\"; mkfifo \"$RATCHET_OUTPUT\"", "it is no file any more"),
        ("rm \"$RATCHET_OUTPUT\"; ln -s /dev/zero \"$RATCHET_OUTPUT\"", "it is no file any more"),
        ("head -c 500000 /dev/zero | tr '\\0' ' ' > \"$RATCHET_OUTPUT\"", "it has more than 409600 bytes"),
        // What a full disk leaves: the beginning.
        (
            "(ulimit -f 8; trap '' XFSZ; (printf '{\"a\":\"'; head -c 100000 /dev/zero | tr '\\0' x; printf '\"}') > \"$RATCHET_OUTPUT\"); exit 0",
            "it is not JSON",
        ),
    ] {
        done(world.run(&[], script)).assert(0).says("RATCHET_OUTPUT is not reported").says(why);
    }
    for execution in world.executions() {
        assert_eq!((&execution["status"], &execution["final_output"]), (&json!("completed"), &json!(null)));
    }
}

#[test]
fn a_disk_that_is_full_does_not_keep_it_from_running() {
    let world = World::new();
    let mut command = world.run(&[], "test -z \"$RATCHET_OUTPUT\" && exit 4");
    command.env("TMPDIR", "/nowhere/at/all");
    done(command).assert(4).says("RATCHET_OUTPUT cannot be created");
    // A disk with no room for the result, and an output that cannot be written.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command =
        world.run(&[], "echo lost; cat > \"$RATCHET_OUTPUT\" < /dev/null; sleep 0.2; echo lost too; exit 5");
    command.stdout(full);
    done(command).assert(5).says("the output cannot be passed on any more");
    assert_eq!(world.executions()[1]["error_details"]["stdout_tail"], "lost\nlost too\n");
}

#[test]
fn a_result_that_is_too_large_does_not_lose_the_end() {
    let world = World::new();
    // Just below what a file may have, and with the tail of the output beyond what a record holds.
    let script = r#"(printf '{"a":"'; head -c 409585 /dev/zero | tr '\0' x; printf '"}') > "$RATCHET_OUTPUT"; exit 3"#;
    done(world.run(&[], script)).assert(3).says("PAYLOAD_TOO_LARGE");
    let execution = world.execution();
    assert_eq!((&execution["status"], &execution["error_message"]), (&json!("failed"), &json!("exit code 3")));
}

#[test]
fn a_command_line_that_cannot_be_used_ends_with_125() {
    for arguments in [
        &["run"][..],
        &["run", "--flow", "f"],
        &["run", "--", "true"],
        &["run", "--flow", "f", "--timeout", "soon", "--", "true"],
        &["run", "--execution", "x", "--", "true"],
        &["run", "--nonsense", "--", "true"],
    ] {
        done(ratchet(arguments)).assert(125);
    }
    done(ratchet(&["ls", "--nonsense"])).assert(2);
    done(ratchet(&[])).assert(2);
}
