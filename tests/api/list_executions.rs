//! `GET /flows/executions`

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use ratchet_model::execution::TriggerType;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::{Answer, Api, Seed, text};

const PATH: &str = "/flows/executions";

fn ids(answer: &Answer) -> Vec<String> {
    let list = answer.assert_status(200).body["executions"].as_array().expect("a list").clone();
    list.iter().map(|record| text(&record["id"])).collect()
}

/// Creates `count` executions and returns their ids, newest first.
async fn create(api: &Api, count: usize, flow: &str, trigger: &str) -> Vec<String> {
    let mut created = Vec::new();
    for _ in 0..count {
        let record = api.execute(&json!({ "flow_id": flow, "trigger_type": trigger })).await;
        created.push((text(&record["created_at"]), text(&record["id"])));
    }
    created.sort_by(|one, other| other.cmp(one));
    created.into_iter().map(|(_, id)| id).collect()
}

/// Puts executions into the table whose ids are spread evenly over the shards, as ids are but for chance.
async fn seed_evenly(api: &Api, count: u32) {
    let seed = |number: u32| Seed {
        flow_id: "f",
        trigger_type: TriggerType::Test,
        millis: i64::from(number),
        shard: u8::try_from(number % 8).ok(),
        bytes: 0,
    };
    api.seed(count, seed).await;
}

/// Walks a list by cursor to its end and returns the pages.
async fn walk(api: &Api, query: &str) -> Vec<Vec<String>> {
    walk_while(api, query, async || ()).await
}

/// The same; `meanwhile` runs after each page.
async fn walk_while(api: &Api, query: &str, mut meanwhile: impl AsyncFnMut()) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = api.get(&format!("{PATH}?{query}{cursor}")).await;
        pages.push(ids(&answer));
        assert_eq!(answer.body["page"], pages.len());
        assert_eq!(answer.body["has_more"], !answer.body["next_cursor"].is_null());
        assert!(pages.len() < 200, "the walk does not end");
        meanwhile().await;
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_a_list() {
    let api = Api::start().await;
    let answer = api.get(PATH).await;
    let expected = json!({
        "executions": [], "total_count": 0, "page": 1, "page_size": 20, "has_more": false, "next_cursor": null,
    });
    assert_eq!(answer.assert_status(200).body, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_whole_and_newest_first() {
    let api = Api::start().await;
    let created = create(&api, 5, "f", "test").await;
    let answer = api.get(PATH).await;
    assert_eq!(ids(&answer), created);
    assert_eq!(answer.body["total_count"], 5);
    for record in answer.body["executions"].as_array().into_iter().flatten() {
        assert_eq!(*record, api.record(&text(&record["id"])).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_and_combination_finds_what_it_says() {
    let api = Api::start().await;
    let mut all = Vec::new();
    for (flow, trigger, status) in [
        ("a", "api", "pending"),
        ("a", "test", "running"),
        ("b", "api", "running"),
        ("b", "test", "failed"),
        ("a", "api", "running"),
        ("c&d=é", "api", "pending"),
    ] {
        let id = text(&api.execute(&json!({ "flow_id": flow, "trigger_type": trigger })).await["id"]);
        if status != "pending" {
            api.patch(&format!("{PATH}/{id}"), &json!({ "status": status })).await.assert_status(200);
        }
        all.push((flow, trigger, status, id));
    }
    for flow in [None, Some("a"), Some("b"), Some("c&d=é"), Some("none")] {
        for trigger in [None, Some("api"), Some("test"), Some("webhook")] {
            for status in [None, Some("pending"), Some("running"), Some("failed"), Some("timeout")] {
                let mut query = String::new();
                for (name, value) in [("flow_id", flow), ("trigger_type", trigger), ("status", status)] {
                    if let Some(value) = value {
                        let value = value.replace('&', "%26").replace('=', "%3D");
                        query.extend(["&", name, "=", &value]);
                    }
                }
                let expected: HashSet<&String> = all
                    .iter()
                    .filter(|(f, t, s, _)| {
                        flow.is_none_or(|flow| flow == *f)
                            && trigger.is_none_or(|trigger| trigger == *t)
                            && status.is_none_or(|status| status == *s)
                    })
                    .map(|(.., id)| id)
                    .collect();
                let answer = api.get(&format!("{PATH}?page_size=100{query}")).await;
                let found = ids(&answer);
                assert_eq!(found.iter().collect::<HashSet<_>>(), expected, "{query}");
                assert_eq!(
                    (found.len(), &answer.body["total_count"]),
                    (expected.len(), &json!(expected.len())),
                    "{query}"
                );
                let walked: Vec<String> = walk(&api, &format!("page_size=1{query}")).await.concat();
                assert_eq!(walked, found, "{query}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_bound_a_list_from_the_first_moment_to_before_the_last() {
    let api = Api::start().await;
    let mut created = Vec::new();
    for _ in 0..4 {
        created.push(api.execute(&json!({ "flow_id": "f", "trigger_type": "test" })).await);
        api.clock.advance(std::time::Duration::from_secs(10));
    }
    let at = |index: usize| text(&created[index]["created_at"]);
    let id = |index: usize| text(&created[index]["id"]);
    for (query, expected) in [
        (format!("created_after={}", at(1)), vec![id(3), id(2), id(1)]),
        (format!("created_before={}", at(1)), vec![id(0)]),
        (format!("created_after={}&created_before={}", at(1), at(3)), vec![id(2), id(1)]),
        (format!("created_after={}&created_before={}", at(3), at(1)), vec![]),
        ("created_after=1960-01-01T00:00:00Z".to_owned(), vec![id(3), id(2), id(1), id(0)]),
        ("created_before=1960-01-01T00:00:00Z".to_owned(), vec![]),
        ("created_before=9999-12-31T23:59:59Z".to_owned(), vec![id(3), id(2), id(1), id(0)]),
    ] {
        let answer = api.get(&format!("{PATH}?{query}")).await;
        assert_eq!(ids(&answer), expected, "{query}");
        assert_eq!(answer.body["total_count"], expected.len(), "{query}");
        assert_eq!(walk(&api, &format!("page_size=1&{query}")).await.concat(), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_meets_everything_once_while_executions_are_added_and_changed() {
    let api = Api::start().await;
    for query in ["", "flow_id=f&", "status=pending&", "trigger_type=test&"] {
        let before: HashSet<String> = create(&api, 23, "f", "test").await.into_iter().collect();
        let mut steps = 0;
        let meanwhile = async || {
            // New executions at the top, and writes to some that the walk has not reached yet.
            let body = json!({ "flow_id": "f", "trigger_type": "test" });
            join_all((0..3).map(|_| api.execute(&body))).await;
            for id in before.iter().take(4) {
                api.patch(&format!("{PATH}/{id}"), &json!({ "tokens_used": steps })).await.assert_status(200);
            }
            steps += 1;
        };
        let met = walk_while(&api, &format!("{query}page_size=5"), meanwhile).await.concat();
        let unique: HashSet<&String> = met.iter().collect();
        assert_eq!(unique.len(), met.len(), "{query}: something came twice");
        assert!(before.iter().all(|id| unique.contains(id)), "{query}: something was missed");
        // None of them is left pending for the next round.
        for id in met.iter().chain(&before) {
            api.patch(&format!("{PATH}/{id}"), &json!({ "status": "failed" })).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbered_pages_and_cursors_show_the_same() {
    let api = Api::start().await;
    let created = create(&api, 23, "f", "test").await;
    let pages = walk(&api, "page_size=5").await;
    assert_eq!(pages.concat(), created);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 5, 3]);
    for (index, page) in pages.iter().enumerate() {
        let answer = api.get(&format!("{PATH}?page_size=5&page={}", index + 1)).await;
        assert_eq!(ids(&answer), *page);
        assert_eq!(answer.body["total_count"], 23);
        assert_eq!(answer.body["has_more"], index < 4);
    }
    for page in ["6", "200", "9007199254740991"] {
        let beyond = api.get(&format!("{PATH}?page_size=5&page={page}")).await;
        assert_eq!(ids(&beyond), Vec::<String>::new());
        assert_eq!((&beyond.body["total_count"], &beyond.body["has_more"]), (&json!(23), &json!(false)));
    }
    // A full last page has nothing after it.
    let exact = api.get(&format!("{PATH}?page_size=23")).await;
    assert_eq!((ids(&exact).len(), &exact.body["next_cursor"]), (23, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_by_cursor_takes_two_rounds() {
    let api = Api::start().await;
    seed_evenly(&api, 60).await;
    for query in ["", "flow_id=f&", "status=pending&", "count_limit=60&"] {
        let first = api.get(&format!("{PATH}?{query}page_size=20")).await;
        assert_eq!(first.assert_status(200).body["total_count"], 60);
        let _ = api.watch.requests();
        let cursor = text(&first.body["next_cursor"]);
        let second = api.get(&format!("{PATH}?{query}page_size=20&cursor={cursor}")).await;
        assert_eq!(ids(&second).len(), 20);
        assert_eq!(second.body["total_count"], 60);
        let mut requests = api.watch.requests();
        // One query a shard, all at once, then one batch.
        assert_eq!(requests.pop().as_deref(), Some("BatchGetItem"));
        assert_eq!(requests, ["Query"; 8], "{query}");
    }
    let whole = api.get(&format!("{PATH}?page_size=100")).await;
    assert_eq!(ids(&whole).len(), 60);
    let requests = api.watch.requests();
    assert_eq!(requests.iter().filter(|request| *request == "BatchGetItem").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_fit_into_one_answer_is_cut_for_a_walk_and_refused_by_number() {
    let api = Api::start().await;
    let large = json!({ "flow_id": "f", "trigger_type": "test", "metadata": { "x": "y".repeat(380_000) } });
    let mut created = Vec::new();
    for _ in 0..20 {
        created.push(text(&api.execute(&large).await["id"]));
    }
    created.reverse();
    let pages = walk(&api, "page_size=20").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [16, 4]);
    assert_eq!(pages.concat().len(), created.len());
    assert_eq!(pages.concat().iter().collect::<HashSet<_>>(), created.iter().collect());
    let numbered = api.get(&format!("{PATH}?page_size=20&page=1")).await;
    assert_eq!(numbered.validation_errors(), ["query.page_size: value_error"]);
    assert!(numbered.body["detail"][0]["msg"].to_string().contains("at most 16"), "{}", numbered.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_leaves_the_status_between_the_two_rounds_is_not_shown_in_it() {
    let api = Api::start().await;
    let stays = api.execution_in("running").await;
    let leaves = api.execution_in("running").await;
    // Eight queries pass. The batch after them waits while the record changes.
    let mut plan: Vec<Fault> = (0..8).map(|_| Fault::Pass).collect();
    plan.push(Fault::Delay(std::time::Duration::from_millis(600)));
    api.proxy.plan(plan);
    let list = async { api.get(&format!("{PATH}?status=running")).await };
    let change = async {
        // A list that asks for no record would never get to the batch.
        let begun = tokio::time::Instant::now();
        while api.proxy.left() > 0 {
            assert!(begun.elapsed() < std::time::Duration::from_secs(20), "the list asks for no batch");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        tests::write_directly(&api.store, &leaves, &json!({ "status": "completed" })).await;
    };
    let (answer, ()) = tokio::join!(list, change);
    assert_eq!(ids(&answer), [stays]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_throttles_is_answered_as_unavailable() {
    let api = Api::start().await;
    create(&api, 3, "f", "test").await;
    api.proxy.plan((0..24).map(|_| Fault::throttled()));
    api.get(PATH).await.assert_error(503, "STORE_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_ten_thousand_are_counted_as_ten_thousand_and_reached_by_cursor() {
    let api = Api::start().await;
    let seed = |number: u32| Seed {
        flow_id: if number.is_multiple_of(2) { "even" } else { "odd" },
        trigger_type: match number {
            17 | 5_000 | 9_999 => TriggerType::Api,
            number if number % 50 == 2 => TriggerType::Event,
            _ => TriggerType::Test,
        },
        millis: i64::from(number),
        shard: None,
        bytes: 0,
    };
    api.seed(10_150, seed).await;
    let first = api.get(&format!("{PATH}?page_size=100&count_limit=10000")).await;
    assert_eq!((&first.assert_status(200).body["total_count"], ids(&first).len()), (&json!(10_000), 100));
    let last_by_number = api.get(&format!("{PATH}?page_size=100&page=100&count_limit=0")).await;
    assert_eq!((ids(&last_by_number).len(), &last_by_number.body["total_count"]), (100, &Value::Null));
    let beyond = api.get(&format!("{PATH}?page_size=100&page=101")).await;
    assert_eq!(beyond.validation_errors(), ["query.page: value_error"]);
    let on = api.get(&format!("{PATH}?page_size=100&cursor={}", text(&last_by_number.body["next_cursor"]))).await;
    assert_eq!(ids(&on).len(), 100);
    let last = api.get(&format!("{PATH}?page_size=100&cursor={}", text(&on.body["next_cursor"]))).await;
    assert_eq!((ids(&last).len(), &last.body["has_more"]), (50, &json!(false)));

    // Half of them belong to another flow: a count below the limit is exact.
    for (count_limit, count) in [(10_000, 5_075), (5_076, 5_075), (5_075, 5_075), (5_074, 5_074), (7, 7), (1, 1)] {
        let half = api.get(&format!("{PATH}?flow_id=even&page_size=1&count_limit={count_limit}")).await;
        assert_eq!(half.assert_status(200).body["total_count"], count, "{count_limit}");
    }
    let default = api.get(&format!("{PATH}?flow_id=even&page_size=1")).await;
    assert_eq!(default.assert_status(200).body["total_count"], 1_000);
    // What a second filter would take too much reading for is not counted.
    let too_rare = api.get(&format!("{PATH}?trigger_type=webhook&page_size=1&count_limit=100")).await;
    assert_eq!(too_rare.assert_status(200).body["total_count"], Value::Null);
    let filtered = api.get(&format!("{PATH}?trigger_type=webhook&page_size=1")).await;
    assert_eq!(filtered.assert_status(200).body["total_count"], 0);
    assert_eq!(walk(&api, "trigger_type=webhook&page_size=50").await.concat(), Vec::<String>::new());
    // Few match, so that a page reads far, and in some shards further than in others: no record twice, none out of order.
    let events = walk(&api, "trigger_type=event&page_size=7").await.concat();
    let whole: Vec<String> = walk(&api, "page_size=100").await.concat();
    let mut places = whole.iter().enumerate().map(|(place, id)| (id, place)).collect::<HashMap<_, _>>();
    let order: Vec<usize> = events.iter().filter_map(|id| places.remove(id)).collect();
    assert_eq!(order.len(), 203);
    assert!(order.is_sorted(), "{order:?}");
    let rare = walk(&api, "trigger_type=api&page_size=50").await;
    assert_eq!(rare.concat().len(), 3, "{:?}", rare.iter().map(Vec::len).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_reads_its_share_is_short_and_the_next_one_goes_on() {
    let api = Api::start().await;
    // One shard is full of records that do not match and are newer than those that do: it takes more than a page's share of
    // reads to get past them.
    let crowd = |number: u32| Seed {
        flow_id: "f",
        trigger_type: TriggerType::Test,
        millis: 1_000 + i64::from(number),
        shard: Some(8),
        bytes: 0,
    };
    let wanted = |number: u32| Seed {
        flow_id: "f",
        trigger_type: TriggerType::Event,
        millis: i64::from(number),
        shard: Some(u8::try_from(number % 8).unwrap_or_default()),
        bytes: 0,
    };
    api.seed(5_000, crowd).await;
    api.seed(20, wanted).await;
    let _ = api.watch.requests();
    let first = api.get(&format!("{PATH}?trigger_type=event&page_size=50")).await;
    assert_eq!((ids(&first).len(), &first.body["has_more"]), (0, &json!(true)));
    let queries = api.watch.requests().len();
    assert!(queries < 32, "one request reads a bounded amount: {queries}");
    assert_eq!(first.body["total_count"], 20);
    let pages = walk(&api, "trigger_type=event&page_size=50").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [0, 20]);
    let unique: HashSet<&String> = pages.iter().flatten().collect();
    assert_eq!(unique.len(), 20);
    // A numbered page has no cursor to go on with, so it reads as far as necessary.
    let first_by_number = api.get(&format!("{PATH}?trigger_type=event&page_size=50&page=1")).await;
    assert_eq!(ids(&first_by_number), pages.concat());
    let numbered = api.get(&format!("{PATH}?trigger_type=event&page_size=5&page=4")).await;
    assert_eq!((ids(&numbered), &numbered.body["has_more"]), (pages.concat().split_off(15), &json!(false)));
    // If each of its requests is slow, the page is given up before the function times out.
    let begun = tokio::time::Instant::now();
    api.proxy.plan((0..40).map(|_| Fault::Delay(std::time::Duration::from_millis(1_000))));
    let slow = api.get(&format!("{PATH}?trigger_type=event&page_size=5&page=4")).await;
    slow.assert_error(503, "STORE_UNAVAILABLE");
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_write_lists_nothing() {
    let api = Api::start().await;
    api.with_key("writer").get(PATH).await.assert_error(403, "FORBIDDEN");
    api.with_key("reader").get(PATH).await.assert_status(200);
}

/// Creates executions in these statuses, a second apart, and returns their ids with their statuses, newest first.
async fn create_in(api: &Api, statuses: &[&'static str]) -> Vec<(String, &'static str)> {
    let mut created = Vec::new();
    for status in statuses {
        created.push((api.execution_in(status).await, *status));
        api.clock.advance(std::time::Duration::from_secs(1));
    }
    created.reverse();
    created
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statuses_are_one_list() {
    let api = Api::start().await;
    let some = ["pending", "running", "failed", "timeout", "completed", "running", "retrying", "interrupted"];
    let created = create_in(&api, &[some, some].concat()).await;
    for statuses in [
        &["failed", "timeout"][..],
        &["running", "pending"],
        &["running", "retrying", "interrupted", "queued"],
        &["completed", "failed", "cancelled", "timeout", "pending", "queued", "running", "retrying"],
        &["pending", "queued", "running", "retrying", "interrupted", "completed", "failed", "cancelled", "timeout"],
    ] {
        let expected: Vec<&String> =
            created.iter().filter(|(_, status)| statuses.contains(status)).map(|(id, _)| id).collect();
        let repeated: Vec<String> = statuses.iter().map(|status| format!("status={status}")).collect();
        let mixed = format!("status={}&status={},{}", statuses[0], statuses[1..].join(","), statuses[0]);
        for query in [format!("status={}", statuses.join(",")), repeated.join("&"), mixed] {
            let answer = api.get(&format!("{PATH}?{query}")).await;
            assert_eq!(ids(&answer).iter().collect::<Vec<_>>(), expected, "{query}");
            assert_eq!(answer.body["total_count"], expected.len(), "{query}");
            let walked = walk(&api, &format!("page_size=3&{query}")).await.concat();
            assert_eq!(walked.iter().collect::<Vec<_>>(), expected, "{query}");
            let numbered = api.get(&format!("{PATH}?{query}&page=2&page_size=2")).await;
            let second: Vec<_> = expected.iter().skip(2).take(2).copied().collect();
            assert_eq!(ids(&numbered).iter().collect::<Vec<_>>(), second, "{query}");
        }
    }
    // A walk knows its statuses as a set.
    let first = api.get(&format!("{PATH}?status=running,failed&page_size=1")).await;
    let cursor = text(&first.assert_status(200).body["next_cursor"]);
    api.get(&format!("{PATH}?status=failed&status=running&status=failed&cursor={cursor}")).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_goes_from_one_listed_status_to_the_next_is_listed_once() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    // The queries for `running` wait while the execution completes. Those for `completed` that did not wait for them have not
    // seen it.
    api.proxy.fail_matching("#running", || Fault::Delay(std::time::Duration::from_millis(1_500)));
    let list = async { api.get(&format!("{PATH}?status=completed,running")).await };
    let change = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        tests::write_directly(&api.store, &id, &json!({ "status": "completed" })).await;
    };
    let (answer, ()) = tokio::join!(list, change);
    assert_eq!(ids(&answer), [id]);
    assert_eq!(answer.body["total_count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_found_on_the_records() {
    let api = Api::start().await;
    let mut created = Vec::new();
    for number in 0..60 {
        let agent = ["a", "b", "a", "c&d=\u{e9}"][number % 4];
        let body = json!({ "flow_id": "f", "trigger_type": "test", "agent_id": agent, "metadata": { "n": number } });
        created.push((text(&api.execute(&body).await["id"]), agent));
    }
    created.push((api.new_execution().await, "unassigned"));
    created.reverse();
    for (agent, parameter) in
        [("a", "a"), ("b", "b"), ("c&d=\u{e9}", "c%26d%3D%C3%A9"), ("unassigned", "unassigned"), ("x", "x")]
    {
        let expected: Vec<&String> = created.iter().filter(|(_, of)| *of == agent).map(|(id, _)| id).collect();
        for query in ["", "&status=pending", "&flow_id=f&trigger_type=test"] {
            let expected =
                if agent == "unassigned" && query.contains("flow_id=f") { Vec::new() } else { expected.clone() };
            let query = format!("agent_id={parameter}{query}");
            let whole = api.get(&format!("{PATH}?{query}&page_size=100")).await;
            assert_eq!(ids(&whole).iter().collect::<HashSet<_>>(), expected.iter().copied().collect(), "{query}");
            assert_eq!((&whole.body["total_count"], &whole.body["has_more"]), (&json!(expected.len()), &json!(false)));
            let walked = walk(&api, &format!("{query}&page_size=7")).await;
            assert_eq!(walked.concat(), ids(&whole), "{query}");
            // A page ends where it is full: only the last may be short.
            assert!(walked.iter().rev().skip(1).all(|page| page.len() == 7), "{walked:?}");
            for (index, page) in ids(&whole).chunks(7).enumerate() {
                let numbered = api.get(&format!("{PATH}?{query}&page_size=7&page={}", index + 1)).await;
                assert_eq!(ids(&numbered), page, "{query}");
            }
            let beyond = api.get(&format!("{PATH}?{query}&page_size=7&page=50")).await;
            assert_eq!(ids(&beyond), Vec::<String>::new());
            assert_eq!(beyond.body["total_count"], expected.len(), "{query}");
        }
    }
    // More are there than were asked to be counted.
    let few = api.get(&format!("{PATH}?agent_id=a&page_size=10&count_limit=5")).await;
    assert_eq!((ids(&few).len(), &few.body["total_count"]), (10, &json!(5)));
    let unknown = api.get(&format!("{PATH}?agent_id=a&page_size=5")).await;
    assert_eq!((ids(&unknown).len(), &unknown.body["total_count"]), (5, &Value::Null));
    let cursor = text(&unknown.body["next_cursor"]);
    let next = api.get(&format!("{PATH}?agent_id=a&page_size=100&cursor={cursor}")).await;
    assert_eq!((ids(&next).len(), &next.body["total_count"]), (25, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_rare_takes_bounded_reads_and_several_pages() {
    let api = Api::start().await;
    let rare = json!({ "flow_id": "f", "trigger_type": "test", "agent_id": "rare" });
    let id = text(&api.execute(&rare).await["id"]);
    // In front of it, for the time of all others is later.
    api.clock.advance(std::time::Duration::from_secs(10));
    let seed = |number: u32| Seed {
        flow_id: "f",
        trigger_type: TriggerType::Test,
        millis: 400_000_000_000 + i64::from(number),
        shard: None,
        bytes: 0,
    };
    api.seed(450, seed).await;
    let _ = (api.watch.requests(), api.watch.read_units());
    let first = api.get(&format!("{PATH}?agent_id=rare&page_size=10")).await;
    assert_eq!(
        (ids(&first).len(), &first.body["has_more"], &first.body["total_count"]),
        (0, &json!(true), &Value::Null)
    );
    let units = api.watch.read_units();
    assert!((200.0..=230.0).contains(&units), "{units}");
    let pages = walk(&api, "agent_id=rare&page_size=10").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(pages.concat(), std::slice::from_ref(&id));
    // By number it reads further, for such a page is never short.
    let numbered = api.get(&format!("{PATH}?agent_id=rare&page_size=10&page=1")).await;
    assert_eq!((ids(&numbered), &numbered.body["total_count"]), (vec![id], &json!(1)));
    api.seed(600, seed).await;
    let too_far = api.get(&format!("{PATH}?agent_id=rare&page_size=10&page=1")).await;
    assert_eq!(too_far.validation_errors(), ["query.page: value_error"]);
    // Large records end a page sooner: what is read is bounded by size, too.
    let api = Api::start().await;
    let metadata = json!({ "text": "x".repeat(300_000) });
    for _ in 0..60 {
        api.execute(&json!({ "flow_id": "f", "trigger_type": "test", "metadata": metadata })).await;
    }
    let _ = api.watch.read_units();
    let large = api.get(&format!("{PATH}?agent_id=rare&page_size=10")).await;
    assert_eq!((ids(&large).len(), &large.body["has_more"]), (0, &json!(true)));
    let units = api.watch.read_units();
    assert!(units < 2_000.0, "{units}");
    assert_eq!(walk(&api, "agent_id=rare&page_size=10").await.concat(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_that_of_the_walks_start_and_may_be_missing() {
    let api = Api::start().await;
    for (count_limit, limit) in [("0", 0), ("5", 5), ("30", 30), ("10000", 10_000)] {
        create(&api, 12, "f", "test").await;
        let there = ids(&api.get(&format!("{PATH}?page_size=100")).await).len();
        let count = if limit == 0 { Value::Null } else { json!(there.min(limit)) };
        let mut answer = api.get(&format!("{PATH}?page_size=5&count_limit={count_limit}")).await;
        let numbered = api.get(&format!("{PATH}?page_size=5&page=2&count_limit={count_limit}")).await;
        assert_eq!(numbered.assert_status(200).body["total_count"], count, "{count_limit}");
        // The rest of the walk, with other limits, sizes and views.
        for other in
            ["count_limit=10000&page_size=4&view=summary", "count_limit=0&page_size=2", "page_size=1&view=full"]
        {
            assert_eq!(answer.assert_status(200).body["total_count"], count, "{count_limit}");
            create(&api, 1, "f", "test").await;
            let cursor = text(&answer.body["next_cursor"]);
            answer = api.get(&format!("{PATH}?{other}&cursor={cursor}")).await;
        }
        assert_eq!(answer.assert_status(200).body["total_count"], count, "{count_limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_where_nothing_is_to_be_counted() {
    let api = Api::start().await;
    seed_evenly(&api, 240).await;
    for (query, counts) in [
        ("count_limit=0", 0),
        // The page has met as many already.
        ("count_limit=10", 0),
        ("count_limit=240", 8),
        ("page=2&count_limit=0", 0),
    ] {
        let _ = api.watch.requests();
        let answer = api.get(&format!("{PATH}?page_size=20&{query}")).await;
        assert_eq!(ids(&answer).len(), 20);
        let queries = api.watch.requests().iter().filter(|request| *request == "Query").count();
        assert_eq!(queries, 8 + counts, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_fails_or_is_slow_costs_the_count_and_not_the_page() {
    let api = Api::start().await;
    seed_evenly(&api, 1_000).await;
    let slow: fn() -> Fault = || Fault::Delay(std::time::Duration::from_secs(20));
    for fault in [slow, Fault::throttled, Fault::internal, || Fault::DropRequest] {
        api.proxy.fail_matching("\"Select\":\"COUNT\"", fault);
        for query in ["", "&flow_id=f", "&status=pending,running", "&page=1", "&trigger_type=test"] {
            let begun = tokio::time::Instant::now();
            let answer = api.get(&format!("{PATH}?page_size=10{query}")).await;
            assert_eq!((ids(&answer).len(), &answer.body["total_count"]), (10, &Value::Null), "{query}");
            assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{query}: {:?}", begun.elapsed());
            // Nor is it counted later on the walk.
            let cursor = text(&answer.body["next_cursor"]);
            let query = query.replace("&page=1", "");
            let next = api.get(&format!("{PATH}?page_size=10{query}&cursor={cursor}")).await;
            assert_eq!((ids(&next).len(), &next.body["total_count"]), (10, &Value::Null), "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_the_record_without_the_objects_that_may_be_large() {
    let api = Api::start().await;
    let body = json!({
        "flow_id": "f", "trigger_type": "api", "agent_id": "a", "priority": "high", "timeout_seconds": 7,
        "trigger_data": { "canary": 1 }, "variables": { "canary": 2 }, "metadata": { "kept": 3 },
        "parent_execution_id": "p", "scheduled_at": "2030-01-02T03:04:05Z", "retry_config": { "max_retries": 5 },
    });
    let id = text(&api.execute(&body).await["id"]);
    api.patch(&format!("{PATH}/{id}"), &json!({ "status": "running" })).await.assert_status(200);
    let end = json!({
        "status": "failed", "final_output": { "canary": 4 }, "error_message": "kept", "error_details": { "canary": 5 },
        "performance_metrics": { "canary": 6 }, "tokens_used": 7, "tool_calls_count": 8, "cost_estimate": 9.5,
    });
    api.patch(&format!("{PATH}/{id}"), &end).await.assert_status(200);
    api.new_execution().await;
    for query in ["", "&agent_id=a", "&status=failed&page=1"] {
        let full = api.get(&format!("{PATH}?view=full{query}")).await;
        let summary = api.get(&format!("{PATH}?view=summary{query}")).await;
        assert_eq!(ids(&summary), ids(&full), "{query}");
        assert!(!summary.text.contains("canary"), "{}", summary.text);
        let full = full.body["executions"].as_array().expect("a list").clone();
        for (full, summary) in full.into_iter().zip(summary.body["executions"].as_array().expect("a list")) {
            let mut expected = full.as_object().expect("a record").clone();
            for name in ["trigger_data", "variables", "final_output", "error_details", "performance_metrics"] {
                assert!(expected.remove(name).is_some(), "{name}");
            }
            assert_eq!(*summary, Value::Object(expected), "{query}");
        }
    }
    assert_eq!(api.get(&format!("{PATH}?agent_id=a")).await.body["executions"][0], api.record(&id).await);
}
