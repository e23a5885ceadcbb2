//! Hostile input: thousands of bodies, headers, paths and queries from a seed. Each is answered or refused, none breaks
//! anything, and no answer shows anything internal.
//!
//! `round_trip.rs` checks that accepted values come back exactly, `bad_input` the contents of each refusal.
//! `RATCHET_HOSTILE` sets how many there are (5,000), `RATCHET_SEED` the seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use local::operations::OPERATIONS;
use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;
use tests::coverage::least_query;
use tests::seeded::Random;
use tests::{Answer, Api, KEY, below_base};
use tokio::task::JoinSet;

/// How many requests are under way at once.
const AT_ONCE: usize = 8;

/// Values that some readers take for something else, or for too much.
const VALUES: [&str; 46] = [
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1.0",
    "1e400",
    "-1e-400",
    "9007199254740993",
    "1234567890123456789012345678901234567890",
    "NaN",
    "Infinity",
    "0x10",
    "01",
    "1.",
    ".5",
    "1e",
    "+1",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\u{feff}\"",
    "\"\u{202e}gnp.exe\"",
    "\"a\nb\"",
    "\"\\x41\"",
    "\"'; DROP TABLE executions; --\"",
    "\"${jndi:ldap://127.0.0.1/a}\"",
    "\"{{7*7}}\"",
    "\"../../../../etc/passwd\"",
    "\"<script>alert(1)</script>\"",
    "\"running\\u0000\"",
    "\"RUNNING\"",
    "\"%00%0d%0aX-Injected: 1\"",
    "[]",
    "[[[[[[]]]]]]",
    "{}",
    "{\"__proto__\":{\"admin\":true}}",
    "{\"$ref\":\"#\"}",
    "{\"S\":\"e#other\"}",
    "{\"a\":1,\"a\":2}",
    "{\"\":\"\"}",
    "{\"organization_id\":\"other\"}",
    "attribute_exists(pk)",
];

/// The names that a body of some operation may have, and some that none may.
const NAMES: [&str; 37] = [
    "flow_id",
    "trigger_type",
    "trigger_data",
    "variables",
    "priority",
    "timeout_seconds",
    "retry_config",
    "metadata",
    "scheduled_at",
    "agent_id",
    "parent_execution_id",
    "status",
    "completed_at",
    "duration_ms",
    "final_output",
    "error_message",
    "error_details",
    "retry_count",
    "tokens_used",
    "tool_calls_count",
    "cost_estimate",
    "performance_metrics",
    "error_info",
    "steps",
    "step_id",
    "tool_name",
    "input_data",
    "output_data",
    "attempt",
    "organization_id",
    "id",
    "__proto__",
    "pk",
    "#0",
    ":0",
    "",
    "fl\u{f6}w",
];

const HEADERS: [&str; 10] = [
    "idempotency-key",
    "if-match",
    "if-none-match",
    "prefer",
    "x-correlation-id",
    "content-type",
    "accept",
    "x-forwarded-for",
    "x-amzn-trace-id",
    "cookie",
];

const HEADER_VALUES: [&[u8]; 22] = [
    b"",
    b" ",
    b"*",
    b"\"1\"",
    b"W/\"1\"",
    b"\"",
    b"\"\\\"",
    b"\"1\", \"2\", \"99999999999999999999\"",
    b"\"-1\"",
    b"\xff\xfe",
    b"\xc3\x28",
    b"return=minimal",
    b"return=minimal; return=representation",
    b"return=\"minimal",
    b"application/json",
    b"application/json; charset=utf-7",
    b"text/plain",
    b"../../etc/passwd",
    b"%0d%0aset-cookie: a=b",
    b"key\twith\ttabs",
    b"{\"json\":true}",
    b"00000000-0000-0000-0000-000000000000",
];

const QUERIES: [&str; 18] = [
    "page=0",
    "page=-1",
    "page=99999999999999999999",
    "page=1e3",
    "page_size=101",
    "page_size=%00",
    "page_size=1&page_size=2",
    "status=running%00",
    "status[]=running",
    "status=",
    "cursor=",
    "cursor=AAAA",
    "cursor=%ff%fe",
    "created_after=2026-13-01T00:00:00Z",
    "created_after=0",
    "flow_id=%2e%2e%2f",
    "x=%",
    "&&&=&;",
];

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn random_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).unwrap_or(0)
}

/// One request.
struct Hostile {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl std::fmt::Debug for Hostile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{} {}", self.method, self.path)?;
        for (name, value) in &self.headers {
            writeln!(formatter, "{name}: {}", value.escape_ascii())?;
        }
        write!(formatter, "{}", self.body.escape_ascii())
    }
}

impl Hostile {
    fn roll(dice: &mut Random, id: &str) -> Self {
        let operation = OPERATIONS[below(dice, OPERATIONS.len())].operation;
        let ids = [id, "", "..", "%2e%2e", "%00", "00000000-0000-0000-0000-000000000000", "\u{e9}", "e#other#1"];
        let id = if below(dice, 3) > 0 { id } else { ids[below(dice, ids.len())] };
        let mut path = below_base(operation).replace("{execution_id}", id);
        if below(dice, 3) == 0 {
            path.push('?');
            let queries: Vec<&str> = (0..=below(dice, 3)).map(|_| QUERIES[below(dice, QUERIES.len())]).collect();
            path.push_str(&queries.join("&"));
        } else {
            // A wait would take as long as it may.
            path.push_str(least_query(operation.name));
        }
        let headers = (0..below(dice, 4))
            .map(|_| {
                let value = match below(dice, 12) {
                    0 => vec![b'k'; 1 << below(dice, 13)],
                    _ => HEADER_VALUES[below(dice, HEADER_VALUES.len())].to_vec(),
                };
                (HEADERS[below(dice, HEADERS.len())], value)
            })
            .collect();
        Self { method: operation.method, path, headers, body: Self::body(dice) }
    }

    fn body(dice: &mut Random) -> Vec<u8> {
        let mut members = Vec::new();
        if below(dice, 2) == 0 {
            members.push("\"flow_id\":\"f\",\"trigger_type\":\"api\"".to_owned());
        }
        if below(dice, 4) == 0 {
            members.push("\"status\":\"running\"".to_owned());
        }
        for _ in 0..below(dice, 4) {
            let (name, value) = (NAMES[below(dice, NAMES.len())], Self::value(dice));
            members.push(format!("\"{name}\":{value}"));
        }
        let mut body = format!("{{{}}}", members.join(",")).into_bytes();
        match below(dice, 8) {
            // A byte that is changed, missing or doubled; an end that comes too early.
            0 => {
                let at = below(dice, body.len());
                body[at] = u8::try_from(below(dice, 256)).unwrap_or(0);
            }
            1 => {
                body.remove(below(dice, body.len()));
            }
            2 => body.truncate(below(dice, body.len())),
            3 => body.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
            4 => body = (0..below(dice, 64)).map(|_| u8::try_from(below(dice, 256)).unwrap_or(0)).collect(),
            _ => {}
        }
        body
    }

    fn value(dice: &mut Random) -> String {
        match below(dice, 10) {
            0 => {
                let depth = below(dice, 220);
                let (open, close) = if below(dice, 2) == 0 { ("[", "]") } else { ("{\"a\":", "}") };
                format!("{}{}{}", open.repeat(depth), "0", close.repeat(depth))
            }
            1 => format!("\"{}\"", "x".repeat(1 << below(dice, 15))),
            2 => format!("1{}", "0".repeat(below(dice, 400))),
            _ => VALUES[below(dice, VALUES.len())].to_owned(),
        }
    }

    async fn send(&self, api: &Api) -> Answer {
        let mut call = api.request(Method::from_bytes(self.method.as_bytes()).expect("a method"), &self.path);
        for (name, value) in &self.headers {
            call = call.header(name, value);
        }
        if self.method != "GET" {
            call = call.body(self.body.clone());
        }
        call.send().await
    }
}

/// What is wrong with an answer, if anything is.
fn complaint(answer: &Answer, table: &str) -> Option<&'static str> {
    let status = answer.status.as_u16();
    let known = [200, 204, 304, 400, 403, 404, 412, 413, 415, 422];
    if !known.contains(&status) {
        return Some("a status that no error of a caller has");
    }
    for internal in [table, "dynamodb", "DynamoDB", "attribute_", KEY, "panicked", ".rs:"] {
        // A 422 may show what was sent, and one of the values contains the same word.
        if answer.text.replace("attribute_exists(pk)", "").contains(internal) {
            return Some("shows something internal");
        }
    }
    if matches!(status, 204 | 304) {
        return (!answer.text.is_empty()).then_some("a body where there is none");
    }
    // As texts: numbers that were sent come back, and may be larger than a reader can represent.
    let Ok(body) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(&answer.text) else {
        return Some("no JSON object");
    };
    let is = |keys: &[&str]| body.keys().map(String::as_str).collect::<Vec<_>>() == keys;
    let error = is(&["correlation_id", "detail", "error_code", "timestamp"])
        || is(&["correlation_id", "current_status", "detail", "error_code", "timestamp"])
        || is(&["correlation_id", "current_status", "detail", "error_code", "requested_status", "timestamp"]);
    let well_formed = match status {
        200 => true,
        422 => error || is(&["detail"]),
        _ => error || is(&["message"]),
    };
    (!well_formed).then_some("an error without the members of an error")
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_is_answered_or_refused_and_breaks_nothing() {
    let (count, seed) =
        (variable("RATCHET_HOSTILE").unwrap_or(5_000), variable("RATCHET_SEED").unwrap_or_else(random_seed));
    println!("RATCHET_SEED={seed} RATCHET_HOSTILE={count}");
    let api = Arc::new(Api::start().await);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (api, next) = (Arc::clone(&api), Arc::clone(&next));
        workers.spawn(async move {
            let mut accepted = 0u64;
            let mut id = api.execution_in("running").await;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                if number >= count {
                    return accepted;
                }
                // Each request follows from the seed and its own number alone, not from the worker that sends it.
                let mut dice = Random::nth(seed, number);
                let hostile = Hostile::roll(&mut dice, &id);
                let answer = hostile.send(&api).await;
                if let Some(complaint) = complaint(&answer, api.table()) {
                    panic!("{complaint}: seed {seed}, number {number}: {hostile:?}\n{} {}", answer.status, answer.text);
                }
                accepted += u64::from(answer.status.is_success());
                if number.is_multiple_of(64) {
                    id = api.execution_in("running").await;
                }
            }
        });
    }
    let mut accepted = 0;
    while let Some(worker) = workers.join_next().await {
        accepted += worker.expect("a worker without a complaint");
    }
    println!("{count} hostile requests, {accepted} of them accepted");
    // Not all are refused, which would only try the first check, and not all are accepted.
    assert!(accepted > count / 20 && accepted < count * 19 / 20, "{accepted} of {count} accepted");
    // The service still works, and the caller still has its own organization.
    let created = api.new_execution().await;
    assert_eq!(api.record(&created).await["organization_id"], "acme");
    let others = api.with_key("other-key").get("/flows/executions").await;
    assert_eq!(others.assert_status(200).body["executions"], Value::Array(Vec::new()));
}
