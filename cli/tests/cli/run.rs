//! `ratchet run` while all is well: how commands end, what is reported, which signals reach them.

use std::process::Stdio;
use std::time::Instant;

use serde_json::json;

use crate::world::{World, done, finish, is_alive, signal};

#[test]
fn every_exit_code_is_the_commands_own_and_is_reported() {
    let world = World::new();
    for code in [0, 1, 2, 3, 75, 125, 126, 127, 128, 143, 255] {
        done(world.run(&[], &format!("exit {code}"))).assert(code);
    }
    let executions = world.executions();
    let ends: Vec<(&str, i64)> = executions
        .iter()
        .map(|execution| {
            (execution["status"].as_str().unwrap(), execution["error_details"]["exit_code"].as_i64().unwrap_or(0))
        })
        .collect();
    let failed = [1, 2, 3, 75, 125, 126, 127, 128, 143, 255].map(|code| ("failed", code));
    assert_eq!(ends, [vec![("completed", 0)], failed.to_vec()].concat());
    assert_eq!(executions[3]["error_message"], "exit code 3");
}

#[test]
fn a_command_that_a_signal_ends_ends_as_in_a_shell() {
    let world = World::new();
    for (name, number) in [("TERM", 15), ("KILL", 9), ("HUP", 1), ("INT", 2), ("SEGV", 11), ("USR1", 10), ("PIPE", 13)]
    {
        done(world.run(&[], &format!("kill -{name} $$"))).assert(128 + number);
    }
    let executions = world.executions();
    assert_eq!(executions[1]["error_message"], "killed by signal 9 (SIGKILL)");
    assert_eq!(executions[1]["error_details"]["signal"], 9);
    assert_eq!(executions[1]["error_details"]["exit_code"], json!(null));
    assert!(executions.iter().all(|execution| execution["status"] == "failed"));
}

#[test]
fn a_success_is_completed_and_has_no_error() {
    let world = World::new();
    let options =
        ["--agent", "a1", "--trigger", "scheduled", "--var", "limit=1.0", "--var", "name=x", "--priority", "high"];
    let run = done(world.run(&options, "echo done; echo \"$RATCHET_EXECUTION_ID\" >&2"));
    run.assert(0);
    let execution = world.execution();
    assert_eq!(run.stdout, "done\n");
    assert_eq!(run.stderr.trim(), execution["id"]);
    for (field, expected) in [
        ("status", json!("completed")),
        ("agent_id", json!("a1")),
        ("trigger_type", json!("scheduled")),
        ("priority", json!("high")),
        ("timeout_seconds", json!(86_400)),
        ("heartbeat_timeout_seconds", json!(120)),
        ("variables", json!({"limit": 1.0, "name": "x"})),
        ("error_message", json!(null)),
        ("error_details", json!(null)),
        ("final_output", json!(null)),
        ("attempt", json!(1)),
    ] {
        assert_eq!(execution[field], expected, "{field}");
    }
    assert_eq!(world.history(execution["id"].as_str().unwrap()), ["running", "completed"]);
}

#[test]
fn a_command_that_cannot_be_started_has_failed() {
    let world = World::new();
    std::fs::write(world.path("not-executable"), "#!/bin/sh\n").unwrap();
    let not_executable = world.path("not-executable");
    for (command, code) in [("no-such-command-anywhere", 127), (not_executable.to_str().unwrap(), 126), ("/", 126)] {
        let run = done(world.ratchet(&["run", "--flow", "demo", "--", command]));
        run.assert(code).says(command);
    }
    let executions = world.executions();
    assert_eq!(executions.len(), 3);
    for (execution, code) in executions.iter().zip([127, 126, 126]) {
        assert_eq!((&execution["status"], &execution["error_details"]["exit_code"]), (&json!("failed"), &json!(code)));
    }
    assert_eq!(executions[0]["error_message"], "no-such-command-anywhere: there is no such command");
}

#[test]
fn what_it_writes_to_its_output_file_is_the_result() {
    let world = World::new();
    let script = r#"printf '{"rows": 1.0, "tokens_used": 1200, "cost_estimate": 0.0180, "tool_calls_count": 4}' > "$RATCHET_OUTPUT"
        ls -l "$RATCHET_OUTPUT" | cut -c1-10; echo "$RATCHET_OUTPUT""#;
    let run = done(world.run(&[], script));
    run.assert(0);
    let (mode, path) = run.stdout.split_once('\n').unwrap();
    assert_eq!(mode, "-rw-------");
    assert!(!std::path::Path::new(path.trim()).exists(), "{path} is still there");
    let execution = world.execution();
    assert_eq!((&execution["tokens_used"], &execution["tool_calls_count"]), (&json!(1200), &json!(4)));
    // Its digits, too.
    let shown = done(world.ratchet(&["show", "--json", execution["id"].as_str().unwrap()]));
    assert!(
        shown.stdout.contains(r#""final_output":{"rows":1.0,"tokens_used":1200,"cost_estimate":0.0180,"#),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains(r#""cost_estimate":0.0180,"performance_metrics""#), "{}", shown.stdout);
}

#[test]
fn a_failure_keeps_its_partial_result() {
    let world = World::new();
    done(world.run(&[], r#"echo '{"rows": 3}' > "$RATCHET_OUTPUT"; exit 1"#)).assert(1);
    let execution = world.execution();
    assert_eq!((&execution["status"], &execution["final_output"]), (&json!("failed"), &json!({"rows": 3})));
}

#[test]
fn output_is_passed_on_byte_by_byte_and_its_end_is_kept() {
    let world = World::new();
    let script = r"head -c 100000 /dev/zero | tr '\0' x; printf '\377\376\n\033[31mred\033[0m\n'; printf 'oops\303\n' >&2; exit 1";
    let mut command = world.run(&[], script);
    let output = command.output().unwrap();
    assert_eq!(output.stdout.len(), 100_000 + 16);
    assert!(output.stdout.ends_with(b"\xff\xfe\n\x1b[31mred\x1b[0m\n"));
    assert_eq!(output.stderr, b"oops\xc3\n");
    let details = &world.execution()["error_details"];
    let tail = details["stdout_tail"].as_str().unwrap();
    assert!(tail.ends_with("x\u{fffd}\u{fffd}\nred\n"), "{tail:?}");
    assert!((4_080..=4_100).contains(&tail.chars().count()), "{}", tail.chars().count());
    assert_eq!(details["stderr_tail"], "oops\u{fffd}\n");
}

#[test]
fn outputs_that_go_to_one_place_keep_their_order() {
    let world = World::new();
    let log = std::fs::File::create(world.path("log")).unwrap();
    let mut command = world.run(&[], "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done; exit 1");
    command.stdout(log.try_clone().unwrap()).stderr(log);
    done(command).assert(1);
    let expected = "out1\nerr1\nout2\nerr2\nout3\nerr3\nout4\nerr4\nout5\nerr5\n";
    assert_eq!(std::fs::read_to_string(world.path("log")).unwrap(), expected);
    assert_eq!(world.execution()["error_details"]["output_tail"], expected);
}

#[test]
fn without_a_tail_nothing_of_the_output_is_reported() {
    let world = World::new();
    let run = done(world.run(&["--tail", "0"], "echo secret; exit 1"));
    assert_eq!(run.assert(1).stdout, "secret\n");
    let details = world.execution()["error_details"].clone();
    assert_eq!(details.as_object().unwrap().keys().collect::<Vec<_>>(), ["duration_ms", "exit_code", "signal"]);
}

#[test]
fn a_gigabyte_of_output_needs_little_memory() {
    let world = World::new();
    let mut command = world.run(&[], "head -c 1000000000 /dev/zero; echo done >&2; sleep 1; exit 1");
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        if let Some(kilobytes) = peak_memory(pid) {
            most = most.max(kilobytes);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    finish(child, begun).assert(1);
    assert!((1..20_000).contains(&most), "{most} KB");
}

/// The most memory of its own that a process has had so far, in KB.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn signals_reach_the_command_and_what_it_has_started() {
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"] {
        let world = World::new();
        let script = r#"trap 'echo child > $FOLDER/child; exit 5' TERM INT HUP QUIT USR1 USR2
            sh -c 'trap "echo grandchild > $FOLDER/grandchild; exit 0" TERM INT HUP QUIT USR1 USR2
                   echo ready > $FOLDER/ready; while [ -e $FOLDER ]; do sleep 0.05; done' &
            while :; do sleep 0.05; done"#;
        let begun = Instant::now();
        let child = world.run(&[], script).spawn().unwrap();
        world.file("ready");
        signal(child.id(), name);
        finish(child, begun).assert(5);
        assert_eq!(world.file("child"), "child\n");
        // A shell without job control lets what it starts in the background ignore INT and QUIT.
        if !matches!(name, "INT" | "QUIT") {
            assert_eq!(world.file("grandchild"), "grandchild\n", "{name}");
        }
        assert_eq!(world.execution()["error_message"], "exit code 5");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let world = World::new();
    let run = format!(
        "trap '' HUP; exec {} run --flow demo -- sh -c 'echo $$ > $FOLDER/pid; while [ ! -e $FOLDER/go ]; do sleep 0.05; done'",
        env!("CARGO_BIN_EXE_ratchet")
    );
    let command = world.run(&[], "");
    let shell = std::process::Command::new("sh")
        .args(["-c", &run])
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let pid = world.file("pid");
    signal(shell.id(), "HUP");
    signal(pid.trim().parse().unwrap(), "HUP");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(is_alive(&pid));
    std::fs::write(world.path("go"), "").unwrap();
    finish(shell, begun).assert(0);
}

#[test]
fn a_command_that_leaves_a_process_behind_is_not_waited_for() {
    let world = World::new();
    let run = done(world.run(&[], "echo begun; (sleep 30; echo late) & exit 0"));
    run.assert(0);
    assert_eq!(run.stdout, "begun\n");
    assert!(run.took.as_secs() < 15, "{:?}", run.took);
    assert_eq!(world.execution()["status"], "completed");
}

#[test]
fn a_reader_that_goes_away_ends_the_command_as_without_us() {
    let world = World::new();
    let mut command = world.run(&[], "yes; echo $? >&2");
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut reader = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut reader, &mut [0; 100]).unwrap();
    drop(reader);
    let run = finish(child, begun);
    run.assert(0);
    // 141 is 128 and SIGPIPE.
    assert_eq!(run.stderr, "141\n");
}

#[test]
fn what_is_typed_reaches_the_command() {
    let world = World::new();
    let mut command = world.run(&[], "read line; echo \"got $line\"");
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"hello\n").unwrap();
    assert_eq!(finish(child, begun).assert(0).stdout, "got hello\n");
}
