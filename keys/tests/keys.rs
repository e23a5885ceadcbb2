//! The key tool as an operator runs it: the real process, with the table of a running service.
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use ratchet_model::api_key::{ApiKey, ApiKeyRecord};
use ratchet_model::clock::{Clock, SystemClock, Timestamp};
use ratchet_model::id::OrganizationId;
use ratchet_model::scope::Scopes;
use serde_json::{Value, json};
use tests::Api;
use tests::proxy::Fault;
use tests::tool::{ENDPOINT, Output, run};
use tokio::process::Command;

fn command(api: &Api, arguments: &[&str]) -> Command {
    tests::tool::command(env!("CARGO_BIN_EXE_keys"), api, arguments)
}

async fn keys(api: &Api, arguments: &[&str]) -> Output {
    run(command(api, arguments)).await
}

/// Creates a key with the tool.
async fn created(api: &Api, organization: &str, scopes: &str) -> ApiKey {
    let output = keys(api, &["create", "--org", organization, "--scopes", scopes]).await;
    ApiKey::parse(output.printed()).expect("a key and nothing else")
}

/// Lists keys with the tool.
async fn listed(api: &Api, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["list", "--json"], arguments].concat();
    let output = keys(api, &arguments).await;
    serde_json::from_str(output.printed()).expect("an array")
}

/// The status of the service's answer to a request with a key.
async fn status(api: &Api, key: &ApiKey) -> u16 {
    api.with_key(key.reveal()).get("/flows/executions").await.status.as_u16()
}

/// The first word of a text that is an id of a key.
fn id_in(text: &str) -> &str {
    let is_id = |word: &&str| ApiKey::parse_id(word).is_some();
    text.split(|character: char| !character.is_ascii_alphanumeric()).find(is_id).expect("an id")
}

/// DynamoDB's refusal with a code.
fn refusal(code: &str, message: &str) -> Fault {
    let body = json!({ "__type": format!("com.amazon.coral.service#{code}"), "message": message });
    Fault::Answer(400, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_from_its_creation_to_its_end_and_is_shown_once() {
    let api = Api::start().await;
    let first = keys(&api, &["create", "--org", "acme", "--scopes", "read,write"]).await;
    let old = ApiKey::parse(first.printed()).expect("a key and nothing else");
    assert_eq!(first.out, format!("{}\n", old.reveal()));
    assert!(first.err.contains(&format!("Key {} of organization acme with scopes read,write", old.id())), "{first:?}");
    assert_eq!(status(&api, &old).await, 200);
    let execution = json!({ "flow_id": "f", "trigger_type": "test" });
    let answer = api.with_key(old.reveal()).post("/flows/execute", &execution).await;
    assert_eq!(answer.assert_status(200).body["execution"]["organization_id"], "acme");

    let list = keys(&api, &["list"]).await;
    let line = list.printed().lines().nth(1).expect("a line below the titles");
    assert!(line.starts_with(old.id().as_str()) && line.contains("acme") && line.ends_with("  active  -"), "{list:?}");

    let rotated = keys(&api, &["rotate", old.id().as_str(), "--keep-old", "1h"]).await;
    let new = ApiKey::parse(rotated.printed()).expect("a key and nothing else");
    assert_eq!((status(&api, &old).await, status(&api, &new).await), (200, 200));
    let states: Vec<Value> = listed(&api, &[]).await.iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["ending", "active"]);
    api.clock.advance(Duration::from_secs(59 * 60));
    assert_eq!((status(&api, &old).await, status(&api, &new).await), (200, 200));
    api.clock.advance(Duration::from_secs(2 * 60));
    assert_eq!((status(&api, &old).await, status(&api, &new).await), (403, 200));
    let answer = api.with_key(new.reveal()).post("/flows/execute", &execution).await;
    assert_eq!(answer.assert_status(200).body["execution"]["organization_id"], "acme");

    let revoked = keys(&api, &["revoke", new.id().as_str()]).await;
    assert!(revoked.printed().contains("is revoked since") && revoked.out.contains("AuthorizerCacheSeconds"));
    assert_eq!((status(&api, &old).await, status(&api, &new).await), (403, 403));

    // Neither key is anywhere but in the one line that showed it, and its digest nowhere at all.
    let table = format!("{:?}", api.items().await);
    let again = [keys(&api, &["list"]).await, keys(&api, &["list", "--json"]).await, revoked, list];
    for (key, shown) in [(&old, &first), (&new, &rotated)] {
        let secret = key.reveal().rsplit('_').next().expect("a secret");
        let digest = u128::from_be_bytes(key.digest()[..16].try_into().expect("half of it"));
        let digest = format!("{digest:032x}");
        assert!(!table.contains(secret));
        for text in again.iter().flat_map(|output| [&output.out, &output.err]).chain([&shown.err]) {
            assert!(!text.contains(secret) && !text.contains(&digest), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_read_the_list_as_json() {
    let api = Api::start().await;
    assert_eq!(keys(&api, &["list"]).await.printed(), "");
    assert_eq!(keys(&api, &["list", "--json"]).await.printed(), "[]");
    let first = created(&api, "acme", "admin").await;
    let before = SystemClock.now();
    let arguments =
        ["create", "--org", "other", "--name", "Nightly reports", "--scopes", "write read", "--expires-in", "90d"];
    let second = ApiKey::parse(keys(&api, &arguments).await.printed()).expect("a key");
    let after = SystemClock.now();
    // A key that was put into the table by other means works, and is not listed.
    let old = ApiKey::generate().expect("random numbers");
    let organization = OrganizationId::parse("acme").expect("an organization");
    let scopes = Scopes::parse("read").expect("scopes");
    let record = ApiKeyRecord { digest: old.digest(), organization, name: None, scopes, valid_until: None };
    api.put_key(&old.id(), &record).await;
    assert_eq!(status(&api, &old).await, 200);

    let list = listed(&api, &[]).await;
    let time = |value: &Value| Timestamp::parse(value.as_str().expect("a time")).expect("a time");
    let created_at = time(&list[1]["created_at"]);
    assert!(before <= created_at && created_at <= after, "{list:?}");
    assert_eq!(time(&list[1]["valid_until"]), created_at.plus(Duration::from_secs(90 * 24 * 60 * 60)));
    let expected = json!([
        {
            "key_id": first.id(), "key_name": null, "organization_id": "acme", "scopes": ["admin"],
            "created_at": list[0]["created_at"], "valid_until": null, "state": "active",
        },
        {
            "key_id": second.id(), "key_name": "Nightly reports", "organization_id": "other", "scopes": ["read", "write"],
            "created_at": list[1]["created_at"], "valid_until": list[1]["valid_until"], "state": "ending",
        },
    ]);
    assert_eq!(Value::from(list), expected);
    let of = listed(&api, &["--org", "other"]).await;
    assert_eq!(of.iter().map(|key| &key["key_id"]).collect::<Vec<_>>(), [second.id().as_str()]);
    assert_eq!(keys(&api, &["list", "--org", "without-keys"]).await.printed(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_kept_from_the_creation_through_rotations_and_shown_with_the_id() {
    let api = Api::start().await;
    let name = "Zoë's デプロイ bot 🦀";
    let create = ["create", "--org", "acme", "--scopes", "read", "--name", name];
    let output = keys(&api, &create).await;
    let first = ApiKey::parse(output.printed()).expect("a key and nothing else");
    assert!(output.err.contains(&format!("Key {} ({name}) of organization acme", first.id())), "{output:?}");
    // Two keys may have one name: it identifies nothing.
    let twin = ApiKey::parse(keys(&api, &create).await.printed()).expect("a key");
    let output = keys(&api, &["rotate", first.id().as_str()]).await;
    let second = ApiKey::parse(output.printed()).expect("a key");
    assert!(output.err.contains(&format!("Key {} ({name}) of organization acme", second.id())), "{output:?}");
    let output = keys(&api, &["rotate", second.id().as_str(), "--expires-in", "1d"]).await;
    let third = ApiKey::parse(output.printed()).expect("a key");

    let names: Vec<Value> = listed(&api, &[]).await.iter().map(|key| key["key_name"].clone()).collect();
    assert_eq!(names, [name; 4]);
    let list = keys(&api, &["list"]).await;
    let lines: Vec<&str> = list.printed().lines().collect();
    assert!(
        lines[0].ends_with("  NAME") && lines[1..].iter().all(|line| line.ends_with(&format!("  {name}"))),
        "{list:?}"
    );
    for key in [&third, &twin] {
        assert_eq!(api.with_key(key.reveal()).get("/me").await.assert_status(200).body["key_name"], name);
    }
    for what in ["is revoked since", "was revoked before"] {
        let output = keys(&api, &["revoke", third.id().as_str()]).await;
        let line = format!("Key {} ({name}) of organization acme {what}", third.id());
        assert!(output.printed().starts_with(&line), "{output:?}");
    }
    // The longest, and one that looks like an option.
    for name in ["x".repeat(64), "é".repeat(64), "-9".to_owned()] {
        let option = format!("--name={name}");
        let output = keys(&api, &["create", "--org", "long", "--scopes", "read", &option]).await;
        output.printed();
        let list = listed(&api, &["--org", "long"]).await;
        assert_eq!(list.last().expect("a key")["key_name"], *name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_name_is_refused_with_what_to_do_and_not_repeated() {
    let api = Api::start().await;
    let long = "é".repeat(65);
    for (name, parts) in [
        ("", ["--name is empty", "or leave --name out"]),
        (&long, ["--name has 65 characters", "at most 64"]),
        (" CI", ["begins or ends with a blank", "without it"]),
        ("CI\u{3000}", ["begins or ends with a blank", "without it"]),
        ("a\n\nb", ["U+000A", "without it"]),
        ("\u{1b}[31mred", ["U+001B", "without it"]),
        ("a\u{85}b", ["U+0085", "without it"]),
        ("bot\u{202e}nimda", ["U+202E", "cannot be seen"]),
        ("\u{200f}", ["U+200F", "cannot be seen"]),
        ("a\u{2028}b", ["U+2028", "cannot be seen"]),
    ] {
        let option = format!("--name={name}");
        let output = keys(&api, &["create", "--org", "acme", "--scopes", "read", &option]).await;
        let line = output.refused(2, &parts);
        assert!(line.chars().all(|character| character.is_ascii() && !character.is_control()), "{line:?}");
    }
    // A value that is missing is not the next option.
    keys(&api, &["create", "--org", "acme", "--name", "--scopes", "read"]).await.refused(2, &["--name"]);
    assert_eq!(listed(&api, &[]).await.len(), 0, "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_differs_from_its_repeat_and_never_moves_an_end_back() {
    let api = Api::start().await;
    let key = created(&api, "acme", "read").await;
    // The whole key does for its id, and is not shown again.
    let output = keys(&api, &["revoke", key.reveal()]).await;
    assert!(output.printed().contains(&format!("Key {} of organization acme is revoked since", key.id())));
    assert!(!output.out.contains(key.reveal()) && output.err.is_empty(), "{output:?}");
    let end = listed(&api, &[]).await[0]["valid_until"].clone();
    let output = keys(&api, &["revoke", key.id().as_str()]).await;
    assert!(output.printed().contains(&format!("was revoked before, since {}", tests::text(&end))), "{output:?}");
    assert_eq!(listed(&api, &[]).await[0]["valid_until"], end);

    // A key with a later end ends now.
    let old = created(&api, "acme", "read").await;
    keys(&api, &["rotate", old.reveal(), "--keep-old", "10d"]).await.printed();
    assert_eq!(status(&api, &old).await, 200);
    assert!(keys(&api, &["revoke", old.id().as_str()]).await.printed().contains("is revoked since"));
    assert_eq!(status(&api, &old).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_keeps_an_earlier_end_and_refuses_a_key_that_has_ended() {
    let api = Api::start().await;
    let output = keys(&api, &["create", "--org", "acme", "--scopes", "read", "--expires-in", "1h"]).await;
    let old = ApiKey::parse(output.printed()).expect("a key");
    let end = listed(&api, &[]).await[0]["valid_until"].clone();
    let output = keys(&api, &["rotate", old.id().as_str(), "--expires-in", "2d"]).await;
    let new = ApiKey::parse(output.printed()).expect("a key");
    assert!(output.err.contains(&format!("valid until {}", tests::text(&end))), "{output:?}");
    let list = listed(&api, &[]).await;
    assert_eq!(list[0]["valid_until"], end);
    assert_eq!((&list[1]["scopes"], list[1]["state"].as_str()), (&json!(["read"]), Some("ending")));

    // 24 hours by default.
    let before = SystemClock.now().plus(Duration::from_secs(24 * 60 * 60));
    keys(&api, &["rotate", new.id().as_str()]).await.printed();
    let list = listed(&api, &[]).await;
    let until = Timestamp::parse(list[1]["valid_until"].as_str().expect("a time")).expect("a time");
    assert!(before <= until && until <= before.plus(Duration::from_secs(60)), "{list:?}");

    keys(&api, &["revoke", old.id().as_str()]).await.printed();
    keys(&api, &["rotate", old.id().as_str()])
        .await
        .refused(1, &[old.id().as_str(), "not valid any more", "keys create"]);
    assert_eq!(listed(&api, &[]).await.len(), 3, "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_cannot_be_done_says_why() {
    let api = Api::start().await;
    let long = "o".repeat(65);
    let create = |org, scopes| vec!["create", "--org", org, "--scopes", scopes];
    for (arguments, parts) in [
        (create("a#b", "read"), vec!["--org", "1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'"]),
        (create(&long, "read"), vec!["1 to 64"]),
        (create("", "read"), vec!["1 to 64"]),
        (vec!["list", "--org", "a b"], vec!["1 to 64"]),
        (create("acme", "read,root"), vec!["\"root\" is no scope", "read, write or admin"]),
        (create("acme", ","), vec!["there is no scope"]),
        (vec!["create", "--org", "acme"], vec!["--scopes"]),
        ([create("acme", "read"), vec!["--expires-in", "90"]].concat(), vec!["such as 90d"]),
        ([create("acme", "read"), vec!["--expires-in", "0d"]].concat(), vec!["ends at once"]),
        (vec!["rotate", "0123456789abcdef", "--keep-old", "1y"], vec!["--keep-old", "such as 90d"]),
        (vec!["revoke", "0123"], vec!["KEY_ID", "keys list"]),
        (vec!["rotate", "0123"], vec!["KEY_ID", "keys list"]),
        (vec!["forget"], vec!["forget"]),
    ] {
        keys(&api, &arguments).await.refused(2, &parts);
    }
    // A key with a digit missing, or one too many on the line, is not repeated on the screen.
    let key = ApiKey::generate().expect("random numbers");
    let cut = &key.reveal()[..96];
    for arguments in
        [vec!["revoke", cut], vec!["revoke", key.id().as_str(), key.reveal()], vec!["list", "--org", key.reveal()]]
    {
        let output = keys(&api, &arguments).await;
        output.refused(2, &[]);
        assert!(!output.err.contains(&key.reveal()[30..60]), "{output:?}");
    }
    assert_eq!(listed(&api, &[]).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_in_which_nothing_can_be_done_says_what_is_missing() {
    let api = Api::start().await;
    let with = async |variables: &[(&str, Option<&str>)]| {
        let mut command = command(&api, &["list"]);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        run(command).await
    };
    for table in [None, Some("")] {
        with(&[("RATCHET_TABLE", table)]).await.refused(2, &["no table", "--table", "RATCHET_TABLE"]);
    }
    let (no_id, no_secret) = (("AWS_ACCESS_KEY_ID", None), ("AWS_SECRET_ACCESS_KEY", None));
    let output = with(&[no_id, no_secret]).await;
    output.refused(1, &["no AWS credentials", &api.proxy.endpoint, "AWS_ACCESS_KEY_ID=local"]);
    let output = with(&[no_id, no_secret, (ENDPOINT, None), ("AWS_PROFILE", Some("work"))]).await;
    output.refused(1, &["no AWS credentials", "AWS_PROFILE work", "log in"]);
    // The message of a profile's own program is shown, too.
    let profile = concat!(env!("CARGO_TARGET_TMPDIR"), "/profile");
    std::fs::write(profile, "[default]\ncredential_process = sh -c 'echo the token is over >&2; exit 3'\n")
        .expect("a file");
    let output = with(&[no_id, no_secret, ("AWS_CONFIG_FILE", Some(profile)), ("PATH", Some("/bin:/usr/bin"))]).await;
    output.refused(1, &["credentials cannot be had", "the token is over", "log in"]);
    let output = with(&[("AWS_REGION", None), (ENDPOINT, None)]).await;
    output.refused(1, &["no AWS region", "AWS_REGION"]);
    // With a custom endpoint, no region is needed.
    let output = with(&[("AWS_REGION", None), ("RATCHET_TABLE", Some("elsewhere"))]).await;
    output.refused(1, &["no table elsewhere"]);
    for endpoint in ["127.0.0.1:8000", "http://"] {
        with(&[(ENDPOINT, Some(endpoint))]).await.refused(1, &["no URL", ENDPOINT]);
    }
    // A variable that is empty counts as not set: the general one is used.
    let output = with(&[(ENDPOINT, Some("")), ("AWS_ENDPOINT_URL", Some("http://127.0.0.1:9"))]).await;
    output.refused(1, &["DynamoDB at http://127.0.0.1:9 does not answer", "nothing was changed"]);
    // A server that is no DynamoDB.
    with(&[(ENDPOINT, Some(&api.url))]).await.refused(1, &["HTTP 404"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_dynamodb_is_reported_with_what_to_do() {
    let api = Api::start().await;
    let id = "0123456789abcdef";
    let create = ["create", "--org", "acme", "--scopes", "read"];
    for arguments in [&["--table", "nowhere", "list"][..], &[&["--table", "nowhere"], &create[..]].concat()] {
        keys(&api, arguments).await.refused(1, &["no table nowhere", "--table", "region"]);
    }
    keys(&api, &["revoke", id]).await.refused(1, &["no key", id, "keys list"]);
    keys(&api, &["rotate", id]).await.refused(1, &["no key", id, "keys list"]);

    let denied = |action: &str| {
        let message = format!("User: arn:aws:iam::1:user/me is not authorized to perform: {action} on resource: x");
        refusal("AccessDeniedException", &message)
    };
    for (action, arguments) in [
        ("dynamodb:PutItem", &create[..]),
        ("dynamodb:Query", &["list"]),
        ("dynamodb:UpdateItem", &["revoke", id]),
        ("dynamodb:GetItem", &["rotate", id]),
        ("kms:Decrypt", &["list"]),
    ] {
        api.proxy.plan([denied(action)]);
        keys(&api, arguments).await.refused(1, &["do not allow", action, api.table(), "policy"]);
        // Not every refusal names the action.
        if action != "kms:Decrypt" {
            api.proxy.plan([refusal("AccessDeniedException", "no")]);
            keys(&api, arguments).await.refused(1, &["do not allow", action]);
        }
    }
    for code in ["UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"] {
        api.proxy.plan([refusal(code, "x-amz-security-token: a-session-token")]);
        let output = keys(&api, &["list"]).await;
        output.refused(1, &["does not accept the credentials", code, "log in again"]);
        assert!(!output.err.contains("a-session-token"), "{output:?}");
    }
    api.proxy.plan([refusal("ValidationException", "The table does not have the specified index: by_organization")]);
    keys(&api, &["list"]).await.refused(1, &["index: by_organization", "a table of Ratchet's"]);
    api.proxy.plan([Fault::throttled(), Fault::throttled(), Fault::throttled()]);
    keys(&api, &create).await.refused(1, &["busy", "nothing was changed", "try again"]);
    api.proxy.plan([Fault::internal(), Fault::internal(), Fault::internal()]);
    keys(&api, &["list"]).await.refused(1, &["does not answer", "InternalServerError"]);
    assert_eq!(api.proxy.left(), 0);
    assert!(listed(&api, &[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_no_failure() {
    let api = Api::start().await;
    api.proxy.plan([Fault::drop_answer(), Fault::throttled()]);
    let old = created(&api, "acme", "read").await;
    assert_eq!(status(&api, &old).await, 200);
    // The key is read, then replaced.
    api.proxy.plan([Fault::Pass, Fault::drop_answer()]);
    let new = ApiKey::parse(keys(&api, &["rotate", old.id().as_str()]).await.printed()).expect("a key");
    assert_eq!((status(&api, &old).await, status(&api, &new).await), (200, 200));
    api.proxy.plan([Fault::drop_answer()]);
    let output = keys(&api, &["revoke", old.id().as_str()]).await;
    assert!(output.printed().contains("is revoked since"), "it is this very revocation: {output:?}");
    assert_eq!(api.proxy.left(), 0);
    assert_eq!(listed(&api, &[]).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_be_stored_is_named_and_never_shown() {
    let api = Api::start().await;
    let create = ["create", "--org", "acme", "--scopes", "read"];
    let applied = || Fault::ApplyAndAnswer(500, "{}".to_owned());
    for faults in [
        [Fault::drop_answer(), Fault::drop_answer(), Fault::drop_answer()],
        [applied(), applied(), applied()],
        // The answer to the last attempt says nothing about the first.
        [Fault::drop_answer(), Fault::throttled(), Fault::throttled()],
        [Fault::drop_answer(), Fault::throttled(), refusal("AccessDeniedException", "no")],
    ] {
        let before = listed(&api, &[]).await.len();
        api.proxy.plan(faults);
        let output = keys(&api, &create).await;
        let line = output.refused(1, &["did not confirm", "not shown", "keys revoke"]);
        let id = id_in(line);
        assert_eq!(api.proxy.left(), 0);
        assert!(!output.err.contains("ratchet_"), "{output:?}");
        let list = listed(&api, &[]).await;
        assert_eq!((list.len(), list[before]["key_id"].as_str()), (before + 1, Some(id)), "it was stored");
        keys(&api, &["revoke", id]).await.printed();
    }

    let old = created(&api, "acme", "read").await;
    api.proxy.plan([Fault::Pass, Fault::drop_answer(), Fault::drop_answer(), Fault::drop_answer()]);
    let output = keys(&api, &["rotate", old.id().as_str()]).await;
    let line = output.refused(1, &["did not confirm", old.id().as_str(), "not shown", "then rotate"]);
    let new = id_in(line);
    assert_ne!(new, old.id().as_str());
    assert!(!output.err.contains("ratchet_"), "{output:?}");
    // The remedy in the message works.
    keys(&api, &["revoke", new]).await.printed();
    let newer = ApiKey::parse(keys(&api, &["rotate", old.id().as_str()]).await.printed()).expect("a key");
    assert_eq!((status(&api, &old).await, status(&api, &newer).await), (200, 200));

    api.proxy.plan([Fault::drop_answer(), Fault::drop_answer(), Fault::drop_answer()]);
    keys(&api, &["revoke", old.id().as_str()]).await.refused(1, &["did not confirm", old.id().as_str(), "again"]);
    keys(&api, &["revoke", old.id().as_str()]).await.printed();
    assert_eq!(status(&api, &old).await, 403);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_could_not_be_shown_is_named() {
    let api = Api::start().await;
    let mut command = command(&api, &["create", "--org", "acme", "--scopes", "read"]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    command.stdout(full);
    let output = run(command).await;
    let id = id_in(output.refused(1, &["stored", "not shown", "keys revoke"])).to_owned();
    assert!(keys(&api, &["revoke", &id]).await.printed().contains("is revoked since"));
}
