//! `ratchet run` on a terminal, and as the first process of a container.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::world::{World, done, finish, hearing_signals};

/// Runs a shell line on a terminal of its own: `script` of util-linux makes one.
fn on_a_terminal(world: &World, line: &str) -> Command {
    let template = world.run(&[], "");
    let mut command = hearing_signals("script");
    command
        .args(["--quiet", "--return", "--command", line, "/dev/null"])
        .envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn ctrl_c_on_a_terminal_reaches_the_command_once() {
    let world = World::new();
    let line = format!(
        "exec {} run --flow demo -- sh -c 'trap \"echo x >> $FOLDER/interrupts; exit 7\" INT; test -t 1 && echo terminal > $FOLDER/ready; \
         while [ -e $FOLDER ]; do sleep 0.05; done'",
        env!("CARGO_BIN_EXE_ratchet")
    );
    let begun = Instant::now();
    let mut child = on_a_terminal(&world, &line).spawn().unwrap();
    assert_eq!(world.file("ready"), "terminal\n");
    child.stdin.as_mut().unwrap().write_all(&[3]).unwrap();
    finish(child, begun).assert(7);
    assert_eq!(world.file("interrupts"), "x\n");
    let execution = world.execution();
    assert_eq!((&execution["status"], &execution["error_message"]), (&json!("failed"), &json!("exit code 7")));
}

#[test]
fn a_command_that_ctrl_c_ends_is_reported() {
    let world = World::new();
    let line = format!(
        "exec {} run --flow demo -- sh -c 'echo ready > $FOLDER/ready; exec sleep 60'",
        env!("CARGO_BIN_EXE_ratchet")
    );
    let begun = Instant::now();
    let mut child = on_a_terminal(&world, &line).spawn().unwrap();
    world.file("ready");
    child.stdin.as_mut().unwrap().write_all(&[3]).unwrap();
    finish(child, begun).assert(130);
    assert_eq!(world.execution()["error_message"], "killed by signal 2 (SIGINT)");
}

/// `ratchet run` as the first process of a process namespace of its own; `None` where this user may not make one.
fn as_the_first_process(world: &World, script: &str) -> Option<Command> {
    let probe = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("not possible for this user: unshare --pid");
        return None;
    }
    let template = world.run(&[], "");
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_ratchet"), "run", "--flow", "demo", "--"])
        .args(["sh", "-c", script])
        .envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Some(command)
}

#[test]
fn the_first_process_of_a_container_reaps_orphans_and_passes_on_the_end() {
    let world = World::new();
    // Each of these is left to the first process, and ends.
    let script = r#"for i in 1 2 3; do (sleep 0.1 & echo $! >> $FOLDER/orphans) ; done
        sleep 1; for pid in $(cat $FOLDER/orphans); do test -e /proc/$pid && echo "$pid is not reaped"; done
        test "$PPID" = 1 || echo "the first process is another"; exit 6"#;
    let Some(command) = as_the_first_process(&world, script) else { return };
    let run = done(command);
    run.assert(6);
    assert_eq!(run.stdout, "");
    assert_eq!(world.execution()["error_message"], "exit code 6");
}

#[test]
fn the_first_process_of_a_container_passes_on_term() {
    let world = World::new();
    let script = "trap 'exit 8' TERM; (sleep 0.2; kill -TERM 1) & while :; do sleep 0.05; done";
    let Some(command) = as_the_first_process(&world, script) else { return };
    done(command).assert(8);
}
