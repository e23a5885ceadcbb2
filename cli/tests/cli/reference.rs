//! What is made of the help.

use crate::world::{done, ratchet};

#[test]
fn the_page_of_the_command_line_is_current() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let made = done(ratchet(&["reference"])).assert(0).stdout.clone();
    if std::env::var_os("RATCHET_WRITE_REFERENCE").is_some() {
        std::fs::write(&page, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&page).unwrap();
    assert!(
        kept == made,
        "docs/cli.md is not what the help says: cargo run -q -p ratchet-cli -- reference > docs/cli.md"
    );
}

#[test]
fn every_command_is_on_the_page_and_says_what_it_does() {
    let page = done(ratchet(&["reference"])).stdout;
    let commands = [
        "run",
        "start",
        "report",
        "ls",
        "show",
        "history",
        "steps",
        "wait",
        "cancel",
        "retry",
        "whoami",
        "completions",
    ];
    for command in commands {
        assert!(page.contains(&format!("\n## ratchet {command}\n")), "{command}");
        done(ratchet(&[command, "--help"])).assert(0);
    }
    assert_eq!(page.matches("\n## ratchet ").count(), commands.len());
}

#[test]
fn each_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = done(ratchet(&["completions", shell])).assert(0).stdout.clone();
        assert!(script.contains("heartbeat-timeout") && script.contains("whoami"), "{shell}");
    }
}

#[test]
fn the_version_is_said() {
    let run = done(ratchet(&["--version"]));
    assert_eq!(run.assert(0).stdout, format!("ratchet {}\n", env!("CARGO_PKG_VERSION")));
}
