//! `cargo run -p local` as a new user runs it: the real process, its output, its end.
#![cfg(unix)]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["AWS_ENDPOINT_URL_DYNAMODB", "RATCHET_TABLE", "RATCHET_CURSOR_KEY"] {
        command.env_remove(variable);
    }
    command
}

/// A server that has printed where it listens.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    greeting: Vec<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().expect("the server starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut greeting = Vec::new();
        while !greeting.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
            let mut line = String::new();
            assert!(output.read_line(&mut line).expect("a line") > 0, "it ended: {greeting:?}");
            greeting.push(line.trim_end().to_owned());
        }
        Self { child, output, greeting }
    }

    fn url(&self) -> String {
        let words = self.greeting[0].split(' ');
        words.into_iter().find(|word| word.starts_with("http://")).expect("a URL").to_owned()
    }

    /// Ends it by Ctrl-C, as a terminal would, and returns its last output.
    fn interrupt(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("its output");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Runs a command line that cannot work, and returns its error.
fn complaint(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let Output { status, stdout, stderr } = command(arguments).envs(variables.iter().copied()).output().unwrap();
    assert!(!status.success(), "{arguments:?}");
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    String::from_utf8_lossy(&stderr).into_owned()
}

async fn call(method: reqwest::Method, url: &str, key: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().request(method, url).header("x-api-key", key);
    let response = request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
}

#[tokio::test]
async fn it_prints_its_address_a_key_and_a_command_line_to_try() {
    let server = Running::start(&["--port", "0"]);
    let url = server.url();
    assert!(!url.ends_with(":0"), "{url}");
    assert!(server.greeting[0].contains("in memory"));
    assert_eq!(server.greeting[1], "API key local-dev-key speaks for organization local with scopes read,write,admin");
    let line = server.greeting.iter().find(|line| line.trim().starts_with("curl ")).expect("a line to try");
    let expected = format!(
        "  curl {url}/api/v1/flows/execute -H 'x-api-key: local-dev-key' -H 'content-type: application/json' -d \
         '{{\"flow_id\":\"demo\",\"trigger_type\":\"manual\"}}'"
    );
    assert_eq!(*line, expected);
    // The page is there; the key in the fragment goes to nobody.
    assert!(
        server.greeting.contains(&format!("Web console: {url}/console#key=local-dev-key")),
        "{:?}",
        server.greeting
    );
    let page = reqwest::get(format!("{url}/console")).await.unwrap();
    assert!(page.status().is_success() && page.headers().contains_key("content-security-policy"));
    let tool = server.greeting.iter().find(|line| line.starts_with("For the key tool: ")).expect("a line for keys");
    let endpoint =
        tool.split(' ').find_map(|word| word.strip_prefix("AWS_ENDPOINT_URL_DYNAMODB=")).expect("an endpoint");
    // DynamoDB listens there: a request without a signature is refused, but answered.
    assert!(
        reqwest::Client::new().post(endpoint).body("{}").send().await.unwrap().status().is_client_error(),
        "{tool}"
    );
    assert!(tool.contains(" RATCHET_TABLE=ratchet AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"), "{tool}");
    // The request of the printed command line.
    let body = json!({ "flow_id": "demo", "trigger_type": "manual" });
    let (status, answer) =
        call(reqwest::Method::POST, &format!("{url}/api/v1/flows/execute"), "local-dev-key", &body).await;
    assert_eq!((status, &answer["execution"]["organization_id"]), (200, &json!("local")));
    assert_eq!(server.interrupt(), "Stopped.\n");
}

#[tokio::test]
async fn a_file_survives_a_restart_and_memory_does_not() {
    let folder = std::env::temp_dir().join(format!("ratchet-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("executions.db");
    let file = file.to_str().unwrap();
    let mut id = String::new();
    for round in 0..3 {
        let server = Running::start(&["--port", "0", "--db", file, "--api-key", "k=acme"]);
        let base = format!("{}/api/v1/flows", server.url());
        if round == 0 {
            let body = json!({ "flow_id": "f", "trigger_type": "test", "metadata": { "kept": 1.0 } });
            let (status, answer) = call(reqwest::Method::POST, &format!("{base}/execute"), "k", &body).await;
            assert_eq!(status, 200);
            id = answer["execution"]["id"].as_str().unwrap().to_owned();
        }
        let (status, record) = call(reqwest::Method::GET, &format!("{base}/executions/{id}"), "k", &Value::Null).await;
        assert_eq!((status, &record["metadata"]), (200, &json!({ "kept": 1.0 })), "round {round}");
        let (_, list) = call(reqwest::Method::GET, &format!("{base}/executions"), "k", &Value::Null).await;
        assert_eq!(list["total_count"], 1);
        server.interrupt();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn keys_of_the_command_line_have_their_organizations_and_scopes() {
    let server = Running::start(&["--port", "0", "--api-key", "a=acme", "--api-key", "r=acme:read"]);
    let execute = format!("{}/api/v1/flows/execute", server.url());
    let body = json!({ "flow_id": "f", "trigger_type": "test" });
    assert_eq!(call(reqwest::Method::POST, &execute, "a", &body).await.0, 200);
    assert_eq!(call(reqwest::Method::POST, &execute, "r", &body).await.1["error_code"], "FORBIDDEN");
    assert_eq!(
        call(reqwest::Method::POST, &execute, "local-dev-key", &body).await.1,
        json!({ "message": "Forbidden" })
    );
}

#[test]
fn a_key_is_encoded_in_the_link_to_the_console() {
    let Running { greeting, .. } = &Running::start(&["--port", "0", "--api-key", "a+b&#%/e=acme"]);
    let line = greeting.iter().find(|line| line.starts_with("Web console: ")).expect("the link");
    assert!(line.ends_with("/console#key=a%2Bb%26%23%25%2Fe"), "{line}");
}

#[test]
fn it_says_whose_pages_may_call() {
    let said = |arguments: &[&str]| {
        let Running { greeting, .. } = &Running::start(&[&["--port", "0"], arguments].concat());
        let lines = greeting.iter().filter_map(|line| line.strip_suffix(" may call it from a browser"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let two = ["--cors-origin", "http://localhost:5173", "--cors-origin", "https://app.example.com"];
    assert_eq!(said(&two), ["Pages of http://localhost:5173", "Pages of https://app.example.com"]);
    assert_eq!(said(&["--cors-origin", "*"]), ["Pages of any origin"]);
    assert_eq!(said(&[]), [""; 0]);
}

#[tokio::test]
async fn the_documentation_is_served_without_a_network() {
    let server = Running::start(&["--port", "0"]);
    let get = async |path: &str| {
        let response = reqwest::get(format!("{}{path}", server.url())).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, document) = get("/openapi.json").await;
    assert_eq!((status, document), (200, local::openapi::document()));
    let (status, page) = get("/docs").await;
    assert_eq!(status, 200);
    // All parts of the page come from this server.
    let mut loaded = 0;
    for part in page.split(['"', '\'']).filter(|part| [".js", ".css"].iter().any(|ending| part.ends_with(ending))) {
        assert!(!part.contains("//"), "{part}");
        assert_eq!(get(&format!("/docs/{}", part.trim_start_matches("./"))).await.0, 200, "{part}");
        loaded += 1;
    }
    assert!(loaded >= 3, "{page}");
    assert_eq!(get("/docs/nothing.js").await.0, 404);
}

#[test]
fn the_cause_of_a_failed_start_is_printed() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(complaint(&["--port", &port], &[]).contains(&format!("error: port {port} cannot be used")));
    let nowhere = complaint(&["--db", "/nowhere/at/all.db", "--port", "0"], &[]);
    assert!(nowhere.contains("/nowhere/at/all.db cannot be created: there is no folder /nowhere/at"), "{nowhere}");
    assert!(complaint(&["--db", "/", "--port", "0"], &[]).contains("cannot be opened"));
    assert!(complaint(&["--api-key", "k"], &[]).contains("expected KEY=ORG"));
    let origin = complaint(&["--cors-origin", "http://localhost:5173/app"], &[]);
    assert!(origin.contains("browsers send this origin as http://localhost:5173: write it like that"), "{origin}");
    let away = [("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")];
    assert!(complaint(&["--port", "0"], &away).contains("DynamoDB at http://127.0.0.1:9"));
    assert!(complaint(&["--port", "0", "--db", "x.db"], &away).contains("use one of them"));
}
