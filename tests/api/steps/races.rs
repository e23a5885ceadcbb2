//! Many reporters of one step at once.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Api, text};

use super::{listed, only, outcomes, report, versions};

/// How many report at once.
const REPORTERS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_ends_one_wins_and_the_others_learn_it() {
    let api = Api::start().await;
    // On a step that is new, and on one that runs.
    for begun in [false, true] {
        for round in 0..8 {
            let id = api.execution_in("running").await;
            if begun {
                report(&api, &id, &json!([{ "step_id": "01" }]), None).send().await.assert_status(200);
            }
            let end = |n: usize| {
                let status = ["completed", "failed", "cancelled", "timeout"][(n + round) % 4];
                json!([{ "step_id": "01", "status": status, "output_data": { "by": n } }])
            };
            let ends: Vec<Value> = (0..REPORTERS).map(end).collect();
            let answers = join_all(ends.iter().map(|end| report(&api, &id, end, None).send())).await;
            let won = if begun { "updated" } else { "created" };
            let winners: Vec<usize> = (0..REPORTERS).filter(|n| outcomes(&answers[*n]) == [won]).collect();
            let [winner] = winners[..] else { panic!("{winners:?}") };
            let step = only(&api, &id).await;
            assert_eq!((&step["status"], &step["output_data"]["by"]), (&ends[winner][0]["status"], &json!(winner)));
            for (n, answer) in answers.iter().enumerate().filter(|(n, _)| *n != winner) {
                let outcome = &answer.body["outcomes"][0];
                assert_eq!(
                    (&outcome["outcome"], &outcome["error_code"]),
                    (&json!("refused"), &json!("EXECUTION_FINISHED")),
                    "{n}"
                );
                let detail = text(&outcome["detail"]);
                assert!(detail.contains(&format!("The step is {}", text(&step["status"]))), "{detail}");
            }
            assert_eq!(versions(&api, &id).await, [if begun { 2 } else { 1 }]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_first_reports_one_creates_and_none_is_lost() {
    let api = Api::start().await;
    for _ in 0..8 {
        let id = api.execution_in("running").await;
        // Each writes another field of the same step, and a step of its own.
        let fields = ["step_name", "step_type", "tool_name", "error_message"];
        let report_of = |n: usize| {
            let mut step = json!({ "step_id": "shared", "status": "running" });
            step[fields[n % fields.len()]] = json!(format!("by {}", n % fields.len()));
            json!([step, { "step_id": format!("own {n:02}") }])
        };
        let reports: Vec<Value> = (0..REPORTERS).map(report_of).collect();
        let answers = join_all(reports.iter().map(|steps| report(&api, &id, steps, None).send())).await;
        let of_shared: Vec<String> = answers.iter().map(|answer| outcomes(answer)[0].clone()).collect();
        let count = |outcome: &str| of_shared.iter().filter(|other| *other == outcome).count();
        assert_eq!((count("created"), count("updated"), count("unchanged")), (1, 3, 12), "{of_shared:?}");
        assert!(answers.iter().all(|answer| outcomes(answer)[1] == "created"));
        let steps = listed(&api, &id).await;
        assert_eq!(steps.len(), REPORTERS + 1);
        let shared = steps.last().expect("a step");
        for (n, field) in fields.iter().enumerate() {
            assert_eq!(shared[field], format!("by {n}"), "{field}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_transitions_each_is_applied_once_and_in_an_order_that_the_table_allows() {
    let api = Api::start().await;
    for _ in 0..8 {
        let id = api.execution_in("running").await;
        report(&api, &id, &json!([{ "step_id": "01" }]), None).send().await.assert_status(200);
        // From running: retrying, then running again, then an end; whoever comes too late is stale or refused.
        let statuses = ["retrying", "running", "interrupted", "completed"];
        let reports: Vec<Value> =
            (0..REPORTERS).map(|n| json!([{ "step_id": "01", "status": statuses[n % statuses.len()] }])).collect();
        let answers = join_all(reports.iter().map(|steps| report(&api, &id, steps, None).send())).await;
        let of = |status: usize| -> Vec<String> {
            answers.iter().skip(status).step_by(statuses.len()).map(|answer| outcomes(answer)[0].clone()).collect()
        };
        let ends = of(3);
        assert_eq!(ends.iter().filter(|outcome| *outcome == "updated").count(), 1, "{ends:?}");
        assert!(ends.iter().all(|outcome| ["updated", "unchanged"].contains(&outcome.as_str())), "{ends:?}");
        for status in 0..3 {
            let others = of(status);
            assert!(others.iter().all(|it| ["updated", "unchanged", "stale"].contains(&it.as_str())), "{others:?}");
        }
        let written = answers.iter().filter(|answer| outcomes(answer) == ["updated"]).count();
        assert_eq!(versions(&api, &id).await, [1 + i64::try_from(written).expect("a number")]);
        assert_eq!(only(&api, &id).await["status"], "completed");
    }
}
