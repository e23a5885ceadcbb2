//! What a seed repeats, and that each kind of fault has the effect that it names.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::seeded::{Decision, Disturbance, Kind, Odds, Random};
use tests::{Api, item_key};

const TIMEOUT: Duration = Duration::from_millis(1_200);

fn always(kind: Kind) -> Disturbance {
    Disturbance { seed: 1, odds: Odds::of(&[(kind, 1_000)]), attempt_timeout: TIMEOUT }
}

#[test]
fn the_same_seed_gives_the_same_decisions_and_another_seed_gives_others() {
    let odds = Odds::of(&Kind::ALL.map(|kind| (kind, 50)));
    let decisions = |seed| -> Vec<Option<Decision>> {
        let disturbance = Disturbance { seed, odds, attempt_timeout: TIMEOUT };
        (0..1_000).map(|n| disturbance.decide(n)).collect()
    };
    assert_eq!(decisions(7), decisions(7));
    assert_ne!(decisions(7), decisions(8));
    // Each kind as often as its odds, and on either side of the write.
    for kind in Kind::ALL {
        let of_kind: Vec<Decision> =
            decisions(7).into_iter().flatten().filter(|decision| decision.kind == kind).collect();
        assert!((25..=80).contains(&of_kind.len()), "{kind:?}: {}", of_kind.len());
        assert!(of_kind.iter().any(|decision| decision.applied) && of_kind.iter().any(|decision| !decision.applied));
        for decision in of_kind {
            assert_eq!(decision.pause > TIMEOUT, kind == Kind::Late, "{decision:?}");
        }
    }
}

#[test]
fn random_numbers_are_those_of_splitmix64() {
    // The reference implementation's first numbers of seed 1234567.
    let mut numbers = Random::new(1_234_567);
    let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423_u64];
    assert_eq!([numbers.number(), numbers.number(), numbers.number()], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_meets_the_same_faults_again() {
    let api = Api::start().await;
    let odds = Odds::of(&Kind::ALL.map(|kind| (kind, if kind == Kind::Late { 0 } else { 60 })));
    let mut runs = Vec::new();
    for _ in 0..2 {
        let id = api.execution_in("running").await;
        let before = api.proxy.counts();
        api.proxy.disturb(&item_key(&id), Disturbance { seed: 3, odds, attempt_timeout: TIMEOUT });
        let mut answers = Vec::new();
        for n in 0..30 {
            let call = api.request(Method::PATCH, &format!("/flows/executions/{id}"));
            let answer = call.json(&json!({ "tokens_used": n })).send().await;
            answers.push((answer.status, answer.header("etag").map(str::to_owned)));
        }
        api.proxy.settle(&item_key(&id)).await;
        let after = api.proxy.counts();
        let met: Vec<u64> = before.iter().zip(after).map(|((_, before), (_, after))| after - before).collect();
        runs.push((answers, met));
    }
    assert_eq!(runs.first(), runs.last());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_a_loss_a_refusal_or_nothing_as_it_says() {
    let api = Api::start_with_timeouts().await;
    for (kind, status, code, applied) in [
        (Kind::Slow, 200, None, Some(true)),
        (Kind::DropRequest, 503, Some("OUTCOME_UNKNOWN"), Some(false)),
        (Kind::DropAnswer, 503, Some("OUTCOME_UNKNOWN"), Some(true)),
        (Kind::Late, 503, Some("OUTCOME_UNKNOWN"), Some(true)),
        (Kind::Reset, 503, Some("OUTCOME_UNKNOWN"), None),
        (Kind::Broken, 503, Some("OUTCOME_UNKNOWN"), None),
        (Kind::ThroughputExceeded, 503, Some("STORE_UNAVAILABLE"), Some(false)),
        (Kind::Throttling, 503, Some("STORE_UNAVAILABLE"), Some(false)),
        (Kind::HalfAnswer, 503, Some("OUTCOME_UNKNOWN"), Some(true)),
        (Kind::AnswerTwice, 200, None, Some(true)),
        (Kind::DeliverTwice, 200, None, Some(true)),
    ] {
        let id = api.execution_in("running").await;
        api.proxy.disturb(&item_key(&id), always(kind));
        let call = api.request(Method::PATCH, &format!("/flows/executions/{id}"));
        let answer = call.json(&json!({ "tokens_used": 1 })).send().await;
        assert_eq!(answer.status.as_u16(), status, "{kind:?}: {}", answer.text);
        assert_eq!(answer.body["error_code"].as_str(), code, "{kind:?}");
        // A request that was held back is applied once the proxy has settled, and none is applied twice.
        api.proxy.settle(&item_key(&id)).await;
        let read = api.get(&format!("/flows/executions/{id}")).await;
        if let Some(applied) = applied {
            assert_eq!(read.header("etag"), Some(if applied { "\"3\"" } else { "\"2\"" }), "{kind:?}");
        }
        let met = api.proxy.counts().into_iter().find(|(other, _)| *other == kind);
        assert!(met.is_some_and(|(_, times)| times > 0), "{kind:?}");
    }
}
