//! Where the service and the key come from.

use std::os::unix::fs::PermissionsExt;

use crate::world::{KEY, World, done, ratchet};

/// A file of settings with this mode.
fn write(world: &World, mode: u32, text: &str) {
    let folder = world.path(".config/ratchet");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_profile_of_the_file_is_used_and_no_file_that_others_can_read() {
    let world = World::new();
    let url = world.url();
    let text =
        format!("[default]\nurl = \"{url}\"\napi_key = \"{KEY}\"\n[wrong]\nurl = \"{url}\"\napi_key = \"rk_wrong\"\n");
    let whoami = |arguments: &[&str]| {
        let mut command = ratchet(&[&["whoami"], arguments].concat());
        command.env("HOME", world.folder.path());
        done(command)
    };
    whoami(&[]).assert(2).says("no service is named: set RATCHET_URL, give --url, or in ");
    write(&world, 0o600, &text);
    whoami(&[]).assert(0);
    whoami(&["--profile", "wrong"]).assert(1).says("does not accept the API key");
    whoami(&["--profile", "none"]).assert(2).says("there is no profile none, only: default, wrong");
    // Its key is for its URL.
    whoami(&["--url", "http://127.0.0.1:9"]).assert(2).says("no API key for this URL");
    whoami(&["--config", "/nowhere"]).assert(2).says("/nowhere cannot be read");
    for mode in [0o644, 0o640, 0o604] {
        write(&world, mode, &text);
        whoami(&[]).assert(2).says("others may read it: chmod 600");
    }
    write(&world, 0o600, "[default]\napi_key = rk_secret\n");
    let broken = whoami(&[]);
    broken.assert(2);
    assert!(!broken.stderr.contains("rk_secret"), "{}", broken.stderr);
}

#[test]
fn no_key_is_ever_said() {
    let world = World::new();
    for arguments in [&["whoami"][..], &["ls"], &["run", "--flow", "f", "--report-timeout", "0s", "--", "true"]] {
        for url in [world.url(), "http://127.0.0.1:9".to_owned(), "nonsense".to_owned()] {
            let mut command = world.ratchet(arguments);
            command.env("RATCHET_URL", &url).env("RATCHET_API_KEY", "rk_of_somebody");
            let run = done(command);
            assert!(!run.stdout.contains("rk_of") && !run.stderr.contains("rk_of"), "{}", run.stderr);
        }
    }
}
