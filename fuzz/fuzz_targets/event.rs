//! Any bytes as API Gateway's event, for every function: nothing that parses as one may panic, neither in `lambda_http` nor in
//! a function.
#![no_main]

use fuzz::{MAX_LENGTH, Operation, Read};
use libfuzzer_sys::{Corpus, fuzz_target};
use ratchet_http::authorizer_event::AuthorizerEvent;
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_http::{endpoint, request};
use ratchet_model::api_key::{ApiKey, KEY_PREFIX};
use ratchet_model::caller::Caller;

fuzz_target!(init: fuzz::assert_all_operations(), |bytes: &[u8]| -> Corpus {
    if let Ok(event) = serde_json::from_slice::<AuthorizerEvent>(bytes) {
        check_key(&event);
    }
    if bytes.len() > MAX_LENGTH {
        return Corpus::Reject;
    }
    // Bytes that are no event: the runtime refuses them before there is a function.
    let parse = || serde_json::from_slice::<GatewayEvent>(bytes).ok();
    let Some(event) = parse() else { return Corpus::Reject };
    let request = lambda_http::Request::from(event);
    assert!(request.uri().authority().is_none(), "a Host is nothing that a function reads: {}", request.uri());
    let caller = Caller::from_context(|name| request::authorizer(&request, name)).ok();
    if let Some(caller) = &caller {
        let context = caller.to_context();
        let again = Caller::from_context(|name| context.get(name).map(String::as_str));
        assert_eq!(again.ok().as_ref(), Some(caller), "a caller reads back");
        assert!(!caller.organization.as_str().contains('#'), "the table's delimiter: {caller:?}");
    }
    let request_id = request::request_id(&request);
    let name = endpoint::correlation_id(request::header(&request, endpoint::CORRELATION_ID), request_id);
    if request_id.is_none_or(|id| id != name) {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!((1..=128).contains(&name.len()) && name.bytes().all(harmless), "{name}");
    }
    for operation in Operation::ALL {
        let read = operation.check(parse().expect("the same bytes"), caller.is_some());
        assert!(read.is_none() || caller.is_some(), "read without an authorizer");
        if let Some(Read::New(new)) = read {
            assert!(!new.flow_id.is_empty());
        }
    }
    Corpus::Keep
});

/// A key that is taken for one is spelled as keys are; its id is its own, and it does not show.
fn check_key(event: &AuthorizerEvent) {
    let Some(text) = event.api_key() else { return };
    let Some(key) = ApiKey::parse(text) else { return };
    assert_eq!(key.reveal(), text);
    assert!(text.starts_with(KEY_PREFIX) && text.len() == 97 && text.is_ascii());
    assert_eq!(ApiKey::parse_id(text), Some(key.id()));
    assert_eq!(ApiKey::parse_id(key.id().as_str()), Some(key.id()));
    let shown = format!("{key:?}");
    assert!(!shown.contains(&text[25..]), "{shown}");
}
