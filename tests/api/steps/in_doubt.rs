//! Lost, late and doubled attempts at the writes of steps: none is applied twice, none creates a second step, and none that
//! took effect is answered as refused.

use std::collections::BTreeMap;
use std::time::Duration;

use ratchet_store::client::{ATTEMPT_TIMEOUT, ATTEMPTS};
use ratchet_store::dedup::UNKEYED;
use reqwest::Method;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::seeded::{Disturbance, Kind, Odds, Random};
use tests::{Api, Call, text};
use tokio::sync::oneshot;

use super::{listed, only, outcomes, path, report, reported, versions};

const KEYS: [Option<&str>; 2] = [None, Some("key")];

/// An execution that has a step, so that its head says so: a report of a step is a read and a write.
async fn with_step(api: &Api, step: Value) -> String {
    let id = api.execution_in("running").await;
    reported(api, &id, json!([step])).await;
    id
}

/// Another writer's report, past the proxy.
async fn write_directly(store: ratchet_store::Store, id: String, steps: Value) {
    let caller = tests::caller(tests::ORGANIZATION, "meanwhile", ratchet_model::scope::Scopes::ALL);
    let event = tests::events::event(&json!({
        "headers": { "content-type": "application/json" },
        "pathParameters": { "execution_id": id },
        "body": json!({ "steps": steps }).to_string(),
        "requestContext": { "authorizer": { "lambda": caller.to_context() } },
    }));
    let request = tests::events::request(event);
    let answer = report_steps::handle(&store, request).await.unwrap_or_else(|never| match never {});
    assert_eq!(answer.status_code, 200, "{:?}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_doubt_succeeds_and_is_applied_once() {
    let api = Api::start().await;
    for key in KEYS {
        for fault in [
            Fault::drop_answer,
            || Fault::HalfAnswer,
            || Fault::Reset { applied: true },
            || Fault::ApplyAndAnswer(500, "{}".to_owned()),
        ] {
            for (step, expected, version) in [
                (json!({ "step_id": "new", "status": "completed" }), "created", vec![1, 1]),
                (json!({ "step_id": "01", "metadata": { "a": 1 } }), "updated", vec![2]),
                (json!({ "step_id": "01", "status": "failed" }), "updated", vec![2]),
            ] {
                let id = with_step(&api, json!({ "step_id": "01" })).await;
                api.proxy.plan([Fault::Pass, fault()]);
                let answer = report(&api, &id, &json!([step]), key).send().await;
                assert_eq!(outcomes(&answer), [expected], "{step}");
                assert_eq!(answer.header("idempotency-replayed"), None, "it is this very request");
                assert_eq!(versions(&api, &id).await, version, "{step}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_doubt_succeeds_even_if_another_writer_came_in_between() {
    let api = Api::start().await;
    for key in KEYS {
        for (ours, expected, meanwhile) in [
            (json!({ "step_id": "new" }), "created", json!({ "step_id": "new", "status": "completed" })),
            (
                json!({ "step_id": "01", "status": "retrying" }),
                "updated",
                json!({ "step_id": "01", "status": "running" }),
            ),
            (
                json!({ "step_id": "01", "status": "completed" }),
                "updated",
                json!({ "step_id": "01", "metadata": { "a": 1 } }),
            ),
            (
                json!({ "step_id": "01", "metadata": { "by": "us" } }),
                "updated",
                json!({ "step_id": "01", "metadata": { "by": "them" } }),
            ),
            (json!({ "step_id": "01", "output_data": {} }), "updated", json!({ "step_id": "01", "status": "failed" })),
        ] {
            let id = with_step(&api, json!({ "step_id": "01" })).await;
            let theirs = write_directly(api.store.clone(), id.clone(), json!([meanwhile]));
            api.proxy.plan([Fault::Pass, Fault::DropAnswer(Box::pin(theirs))]);
            let answer = report(&api, &id, &json!([ours]), key).send().await;
            assert_eq!(outcomes(&answer), [expected], "{ours} {meanwhile}");
            let steps = listed(&api, &id).await;
            let step = steps.iter().find(|step| step["step_id"] == ours["step_id"]).expect("the step");
            for (field, value) in meanwhile.as_object().into_iter().flatten() {
                assert_eq!(&step[field], value, "{ours} {meanwhile}: ours was applied again");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_lost_refused_or_doubled_is_applied_once() {
    let api = Api::start().await;
    for key in KEYS {
        for fault in [
            || Fault::DropRequest,
            Fault::throttled,
            Fault::throttling,
            Fault::internal,
            || Fault::DeliverTwice,
            || Fault::AnswerTwice,
            || Fault::Reset { applied: false },
        ] {
            let id = with_step(&api, json!({ "step_id": "01" })).await;
            api.proxy.plan([Fault::Pass, fault()]);
            let answer = report(&api, &id, &json!([{ "step_id": "new" }]), key).send().await;
            assert_eq!(outcomes(&answer), ["created"]);
            api.proxy.plan([Fault::Pass, fault()]);
            let second = key.map(|key| format!("{key}-2"));
            let end = json!([{ "step_id": "01", "status": "completed" }]);
            assert_eq!(outcomes(&report(&api, &id, &end, second.as_deref()).send().await), ["updated"]);
            assert_eq!(versions(&api, &id).await, [2, 1]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_delivered_after_its_repeat_is_not_applied_twice() {
    let api = Api::start_with_timeouts().await;
    for key in KEYS {
        // At once, and after its mark has been cleared and the set that had it is in use again.
        for buckets in [0, 1, 2, 3, 4] {
            let id = with_step(&api, json!({ "step_id": "01" })).await;
            let (go, held) = oneshot::channel();
            let (done, applied) = oneshot::channel();
            api.proxy.plan([Fault::Pass, Fault::Hold(held, done)]);
            // The first attempt hangs until its timeout, the second one is applied.
            let ours = json!([{ "step_id": "01", "status": "retrying", "metadata": { "by": "us" } }]);
            assert_eq!(outcomes(&report(&api, &id, &ours, key).send().await), ["updated"]);
            let theirs = json!([{ "step_id": "01", "status": "running", "metadata": { "by": "them" } }]);
            write_directly(api.store.clone(), id.clone(), theirs).await;
            for bucket in 0..buckets {
                api.clock.advance(Duration::from_millis(UNKEYED.bucket_ms().cast_unsigned()));
                write_directly(api.store.clone(), id.clone(), json!([{ "step_id": "01", "retry_count": bucket }]))
                    .await;
            }
            let before = only(&api, &id).await;
            go.send(()).expect("the proxy holds the request");
            applied.await.expect("it was delivered");
            assert_eq!(only(&api, &id).await, before, "{key:?}, {buckets} buckets later");
        }
    }
}

/// A report that says nothing new now, and would if it came later.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_without_effect_whose_first_attempt_is_still_under_way_has_none_later() {
    let api = Api::start_with_timeouts().await;
    for (ours, expected, later) in [
        (
            json!({ "step_id": "01", "metadata": { "n": 1 } }),
            "unchanged",
            json!({ "step_id": "01", "metadata": { "n": 2 } }),
        ),
        (json!({ "step_id": "01", "status": "queued" }), "stale", json!({ "step_id": "01", "status": "retrying" })),
    ] {
        let id = with_step(&api, json!({ "step_id": "01", "metadata": { "n": 1 } })).await;
        let (go, held) = oneshot::channel();
        let (done, applied) = oneshot::channel();
        api.proxy.plan([Fault::Pass, Fault::Hold(held, done)]);
        assert_eq!(outcomes(&report(&api, &id, &json!([ours]), None).send().await), [expected]);
        write_directly(api.store.clone(), id.clone(), json!([later])).await;
        let before = only(&api, &id).await;
        go.send(()).expect("the proxy holds the request");
        applied.await.expect("it was delivered");
        assert_eq!(only(&api, &id).await, before, "{ours}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_clock_lags_is_fenced_and_applied_once() {
    let api = Api::start().await;
    let bucket = Duration::from_millis(UNKEYED.bucket_ms().cast_unsigned());
    for ahead in [2, 3, 1_000] {
        let id = with_step(&api, json!({ "step_id": "01" })).await;
        api.clock.advance(bucket * ahead);
        write_directly(api.store.clone(), id.clone(), json!([{ "step_id": "01", "retry_count": 1 }])).await;
        api.clock.rewind(bucket * ahead);
        let _ = api.watch.requests();
        assert_eq!(reported(&api, &id, json!([{ "step_id": "01", "tool_name": "t" }])).await, ["updated"]);
        assert_eq!(api.watch.requests(), ["GetItem", "UpdateItem", "UpdateItem"]);
        assert_eq!(versions(&api, &id).await, [3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_no_step_is_an_error_and_what_is_unknown_of_some_their_outcome() {
    let api = Api::start().await;
    let id = with_step(&api, json!({ "step_id": "00" })).await;
    let one = json!([{ "step_id": "01" }]);
    // The head, then each attempt at the write.
    api.proxy.plan([Fault::Pass, Fault::throttled(), Fault::throttled(), Fault::throttled()]);
    report(&api, &id, &one, Some("a")).send().await.assert_error(503, "STORE_UNAVAILABLE");
    assert_eq!(listed(&api, &id).await.len(), 1);
    api.proxy.plan([Fault::Pass, Fault::drop_answer(), Fault::throttled(), Fault::throttled()]);
    report(&api, &id, &one, Some("a")).send().await.assert_error(503, "OUTCOME_UNKNOWN");
    let repeat = report(&api, &id, &one, Some("a")).send().await;
    assert_eq!((outcomes(&repeat), repeat.header("idempotency-replayed")), (vec!["created".to_owned()], Some("true")));
    // The head cannot be read, or not be marked: nothing was written.
    api.proxy.plan((0..ATTEMPTS).map(|_| Fault::internal()));
    report(&api, &id, &one, None).send().await.assert_error(503, "STORE_UNAVAILABLE");
    let fresh = api.execution_in("running").await;
    api.proxy.plan([Fault::Pass].into_iter().chain((0..ATTEMPTS).map(|_| Fault::internal())));
    report(&api, &fresh, &one, None).send().await.assert_error(503, "STORE_UNAVAILABLE");
    assert!(listed(&api, &fresh).await.is_empty());

    // One of three steps does not get through, however often it is tried.
    let three = json!([{ "step_id": "10" }, { "step_id": "never" }, { "step_id": "11" }]);
    api.proxy.fail_matching("s#never", Fault::throttled);
    let answer = report(&api, &id, &three, Some("b")).send().await;
    assert_eq!(outcomes(&answer), ["created", "unknown", "created"]);
    api.proxy.fail_matching("no such text", Fault::throttled);
    let repeat = report(&api, &id, &three, Some("b")).send().await;
    assert_eq!(outcomes(&repeat), ["created", "created", "created"]);
    assert_eq!(repeat.header("idempotency-replayed"), None, "it wrote the one that was left");
    let repeat = report(&api, &id, &three, Some("b")).send().await;
    assert_eq!(
        (outcomes(&repeat), repeat.header("idempotency-replayed")),
        (vec!["created".to_owned(); 3], Some("true"))
    );
    assert!(versions(&api, &id).await.iter().all(|version| *version == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_is_given_up_before_the_function_is() {
    let api = Api::start_with_timeouts().await;
    let id = with_step(&api, json!({ "step_id": "00" })).await;
    let begun = tokio::time::Instant::now();
    api.proxy.plan([Fault::Pass].into_iter().chain((0..ATTEMPTS).map(|_| Fault::Delay(Duration::from_secs(30)))));
    report(&api, &id, &json!([{ "step_id": "01" }]), None).send().await.assert_error(503, "OUTCOME_UNKNOWN");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// Under faults of every kind, by a seed: each step has at last the content of a report that was sent, each end that was
/// acknowledged is the end, no version is higher than the reports that may have been applied, and repeats settle all.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_the_requests_what_was_acknowledged_is_there_once() {
    let seed = std::env::var("RATCHET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x57e9_u64);
    println!("seed {seed}");
    let attempt_timeout = Duration::from_millis(60);
    let api = Api::start_with(|config| {
        let timeouts = aws_sdk_dynamodb::config::timeout::TimeoutConfig::builder()
            .connect_timeout(ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(attempt_timeout)
            .operation_timeout(attempt_timeout * 4);
        config.timeout_config(timeouts.build())
    })
    .await;
    let odds = Odds::of(&Kind::ALL.map(|kind| (kind, 25)));
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for run in 0..24 {
        let mut numbers = Random::nth(seed, run);
        let id = loop {
            // Made before the faults begin; the machine may be slow.
            let made = api.post("/flows/execute", &json!({ "flow_id": "demo", "trigger_type": "test" })).await;
            if made.status == 200 {
                break text(&made.body["execution"]["id"]);
            }
        };
        let item = tests::item_key(&id);
        api.proxy.disturb(&item, Disturbance { seed: numbers.number(), odds, attempt_timeout });
        let mut acknowledged: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut sent: Vec<(String, Value)> = Vec::new();
        for turn in 0..8 {
            let steps: Value = (0..3)
                .map(|step| {
                    let end = turn == 7 || numbers.chance(150);
                    let status = if end { "completed" } else { "running" };
                    json!({ "step_id": format!("s{step}"), "status": status, "input_data": { "turn": turn } })
                })
                .collect();
            let key = format!("{run}-{turn}");
            let call: Call = report(&api, &id, &steps, Some(&key));
            let answer = call.send().await;
            *tally.entry(answer.status.to_string()).or_default() += 1;
            if answer.status == 200 {
                for (outcome, step) in outcomes(&answer).into_iter().zip(steps.as_array().expect("steps")) {
                    *tally.entry(outcome.clone()).or_default() += 1;
                    if outcome != "unknown" {
                        acknowledged.entry(text(&step["step_id"])).or_default().push(json!([outcome, step]));
                    }
                }
            } else {
                answer.assert_status(503);
            }
            sent.push((key, steps));
        }
        api.proxy.settle(&item).await;
        // With another instance, whose time is not as short: nothing happens to its requests.
        let patient = api.instance(api.clock.clone(), tests::patient).await;
        let unharmed = api.at(&patient, tests::KEY);
        // Each repeat is answered as the first was, where that was known, and overwrites nothing newer.
        for (key, steps) in &sent {
            let call = unharmed.request(Method::POST, &path(&id)).json(&json!({ "steps": steps }));
            let answer = call.header("idempotency-key", key).send().await;
            for (outcome, step) in outcomes(&answer).into_iter().zip(steps.as_array().expect("steps")) {
                assert_ne!(outcome, "unknown", "nothing happens to it any more");
                let known = acknowledged.get(&text(&step["step_id"])).into_iter().flatten();
                if let Some(first) = known.into_iter().find(|known| known[1] == *step) {
                    // All of these have a key, so that those that had nothing to say have left a mark, too.
                    assert_eq!(first[0], outcome, "run {run}: {step}");
                }
            }
        }
        let list = unharmed.get(&path(&id)).await;
        let shown = list.assert_status(200).body["steps"].as_array().cloned().expect("steps");
        assert_eq!(shown.len(), 3, "run {run}");
        for step in &shown {
            assert_eq!(step["status"], "completed", "run {run}: {step}");
        }
        for (step, version) in shown.iter().zip(versions(&api, &id).await) {
            assert!((1..=8).contains(&version), "run {run}: {step} was written {version} times");
        }
    }
    println!("{tally:?} {:?}", api.proxy.counts());
    assert!(api.proxy.counts().iter().all(|(_, count)| *count > 0), "{:?}", api.proxy.counts());
    assert!(tally.get("updated").is_some_and(|count| *count > 20), "{tally:?}");
}
