#![no_main]
//! Records of the table's stream. Whatever stands in one, it is told of, passed over, or no execution's: nothing ends the function
//! that reads it.
//!
//! An input is a record as Lambda hands it over, in JSON.

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::{Corpus, fuzz_target};
use ratchet_model::event::event_id;
use ratchet_store::stream::{read_record, sequence_number};
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(record) = serde_json::from_slice::<Value>(bytes) else { return Corpus::Reject };
    let _ = sequence_number(&record);
    let Ok(Some(change)) = read_record(&record) else { return Corpus::Keep };
    let id = change.execution.id;
    if let Some(end) = change.end() {
        assert!(end.to.is_terminal() && change.log.contains(end));
    }
    let Ok(events) = change.events() else { return Corpus::Keep };
    // One for each transition that was not seen, and one for a creation.
    let unseen = change.log.iter().filter(|transition| change.seen.is_none_or(|seen| transition.version > seen));
    assert_eq!(events.len(), unseen.count() + usize::from(change.seen.is_none()));
    let known: BTreeSet<String> =
        change.log.iter().map(|transition| event_id(&id, transition.version)).chain([event_id(&id, 1)]).collect();
    for event in events {
        assert!(known.contains(&event.id), "{}", event.id);
        for body in std::iter::once(&event.body).chain(&event.without_metadata) {
            // Not as a value: numbers come as they were sent, and may be larger than one can hold.
            let body: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).expect("an event is JSON");
            assert_eq!(body["id"].get(), format!("{:?}", event.id));
            assert_eq!(body["type"].get(), format!("{:?}", event.kind.as_str()));
        }
    }
    Corpus::Keep
});
