//! The tool as an operator runs it: the real process, the table of a running service, and an event bus.
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;
use std::time::Duration;

use ratchet_model::clock::Clock;
use serde_json::{Value, json};
use tests::eventbridge::{start, took_all_but};
use tests::tool::{Output, command, run};
use tests::{Api, text};

/// The events that were printed.
fn events(output: &Output) -> Vec<Value> {
    output.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Runs the tool for the table of `api`, and the bus that is at this endpoint.
async fn replay(api: &Api, bus: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = command(env!("CARGO_BIN_EXE_replay"), api, arguments);
    if let Some(endpoint) = bus {
        command.env("AWS_ENDPOINT_URL_EVENTBRIDGE", endpoint);
    }
    run(command).await
}

/// An execution that has run and ended, and its id.
async fn ended(api: &Api) -> String {
    let created = api.execute(&json!({ "flow_id": "demo", "trigger_type": "test", "metadata": { "team": "x" } })).await;
    let id = text(&created["id"]);
    for status in ["running", "completed"] {
        let body = json!({ "status": status });
        api.patch(&format!("/flows/executions/{id}"), &body).await.assert_status(200);
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_execution_and_of_a_window_are_printed_and_put() {
    let api = Api::start().await;
    let first = ended(&api).await;
    api.clock.advance(Duration::from_secs(60));
    let window = api.clock.now().to_string();
    let second = ended(&api).await;
    let ids = |id: &str| [1, 2, 3].map(|version| format!("evt_{id}_{version}"));

    let one = ["--organization", "acme", "--execution", &first];
    let printed = replay(&api, None, &[&one[..], &["--print"]].concat()).await;
    let told = events(printed.ended(0, "3 events of 1 executions."));
    assert_eq!(told.iter().map(|event| text(&event["id"])).collect::<Vec<_>>(), ids(&first));
    assert_eq!(told[2]["type"], "execution.completed");
    assert_eq!(told[2]["data"]["execution"]["metadata"], json!({ "team": "x" }));

    let since = replay(&api, None, &["--since", &window, "--print"]).await;
    let told: BTreeSet<String> = events(since.ended(0, "3 events")).iter().map(|event| text(&event["id"])).collect();
    assert_eq!(told, ids(&second).into());
    let before = ["--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z", "--print"];
    assert_eq!(replay(&api, None, &before).await.ended(0, "0 events of 0 executions.").out, "");

    // A bus that does not take one of them at first is given that one again.
    let (endpoint, seen) = start({
        let requests = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        move |entries| {
            let first = requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            took_all_but(if first { &[(1, "ThrottlingException")] } else { &[] }, entries)
        }
    })
    .await;
    let put = replay(&api, Some(&endpoint), &[&one[..], &["--bus", "alarms"]].concat()).await;
    assert_eq!(put.ended(0, "3 events of 1 executions.").out, "");
    let requests = seen.lock().expect("no panic").clone();
    let detail = |entry: &Value| serde_json::from_str::<Value>(entry["Detail"].as_str().expect("text")).expect("JSON");
    let sent: Vec<Vec<String>> =
        requests.iter().map(|entries| entries.iter().map(|entry| text(&detail(entry)["id"])).collect()).collect();
    assert_eq!(sent, [ids(&first).to_vec(), vec![ids(&first)[1].clone()]]);
    assert!(requests.iter().flatten().all(|entry| entry["EventBusName"] == "alarms"), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_words() {
    let api = Api::start().await;
    let id = ended(&api).await;
    let (endpoint, _) = start(|entries| {
        took_all_but(&[(0, "MalformedDetail"), (1, "MalformedDetail"), (2, "MalformedDetail")], entries)
    })
    .await;
    let one = ["--organization", "acme", "--execution", &id, "--bus", "alarms"];
    replay(&api, Some(&endpoint), &one).await.ended(1, "error: 3 events were refused for good");

    let foreign = ["--organization", "globex", "--execution", &id, "--print"];
    replay(&api, None, &foreign).await.ended(1, "error: ");
    for (arguments, said) in [
        (vec![], "--organization"),
        (vec!["--organization", "acme", "--execution", &id], "--bus"),
        (vec!["--since", "yesterday", "--print"], "a date and time with a zone is needed"),
        (vec!["--until", "2026-01-01T00:00:00Z", "--print"], "--since"),
        (vec!["--organization", "acme", "--execution", "7", "--print"], "no execution has such an id"),
        (vec!["--since", "2026-01-01T00:00:00Z", "--print", "--bus", "alarms"], "cannot be used with"),
        (vec!["--organization", "acme", "--execution", &id, "--since", "2026-01-01T00:00:00Z"], "cannot be used with"),
    ] {
        let refused = replay(&api, None, &arguments).await;
        assert_eq!(refused.ended(2, said).out, "", "{arguments:?}");
    }
}
