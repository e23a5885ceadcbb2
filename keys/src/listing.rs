//! The list of keys, as a table of text and as JSON.

use ratchet_model::api_key::KeyState;
use ratchet_model::clock::Timestamp;
use ratchet_model::id::{KeyId, OrganizationId};
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scope;
use ratchet_store::api_keys::StoredApiKey;
use serde::Serialize;

/// A key in the JSON array.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    key_id: &'a KeyId,
    key_name: Option<&'a KeyName>,
    organization_id: &'a OrganizationId,
    scopes: Vec<Scope>,
    created_at: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    state: &'static str,
}

/// The keys as a JSON array.
///
/// # Errors
///
/// None in practice: every value of an entry can be written as JSON.
pub fn json(keys: &[StoredApiKey], now: Timestamp) -> Result<String, serde_json::Error> {
    let entries: Vec<Entry<'_>> = keys
        .iter()
        .map(|key| Entry {
            key_id: &key.id,
            key_name: key.record.name.as_ref(),
            organization_id: &key.record.organization,
            scopes: key.record.scopes.held().collect(),
            created_at: key.created_at,
            valid_until: key.record.valid_until,
            state: match key.record.state(now) {
                KeyState::Active => "active",
                KeyState::Until(_) => "ending",
                KeyState::Revoked(_) => "revoked",
            },
        })
        .collect();
    serde_json::to_string_pretty(&entries)
}

/// The keys as a table, one line each below a line of column titles. The name is the last column: nothing has to be in
/// line after it, whatever the width of its characters.
#[must_use]
pub fn table(keys: &[StoredApiKey], now: Timestamp) -> String {
    let mut rows = vec![["KEY ID", "ORGANIZATION", "SCOPES", "CREATED", "STATE", "NAME"].map(str::to_owned)];
    rows.extend(keys.iter().map(|key| {
        [
            key.id.to_string(),
            key.record.organization.to_string(),
            key.record.scopes.to_string(),
            key.created_at.map_or_else(|| "-".to_owned(), |time| time.to_string()),
            match key.record.state(now) {
                KeyState::Active => "active".to_owned(),
                KeyState::Until(until) => format!("until {until}"),
                KeyState::Revoked(since) => format!("revoked since {since}"),
            },
            key.record.name.as_ref().map_or_else(|| "-".to_owned(), KeyName::to_string),
        ]
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use ratchet_model::api_key::{ApiKey, ApiKeyRecord};
    use ratchet_model::scope::Scopes;

    use super::*;

    #[test]
    fn every_state_is_named() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let key = |organization: &str, name: &str, valid_until| StoredApiKey {
            id: ApiKey::generate().unwrap().id(),
            record: ApiKeyRecord {
                digest: [0; 32],
                organization: OrganizationId::parse(organization).unwrap(),
                name: KeyName::parse(name).ok(),
                scopes: Scopes::parse("write,read").unwrap(),
                valid_until,
            },
            created_at: Some(at(0)),
        };
        let keys = [
            key("a", "", None),
            key("b-longer-name", "CI, デプロイ", Some(at(2_000))),
            key("c", "A name that is longer", Some(at(1_000))),
        ];
        let table = table(&keys, at(1_000));
        let ends: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).skip(4).collect())
            .collect();
        let (until, revoked) = ("until 1970-01-01T00:00:02.000Z", "revoked since 1970-01-01T00:00:01.000Z");
        let expected =
            [["STATE", "NAME"], ["active", "-"], [until, "CI, デプロイ"], [revoked, "A name that is longer"]];
        assert_eq!(ends, expected);
        let columns: Vec<usize> =
            table.lines().map(|line| line.find("1970-").or(line.find("CREATED")).unwrap()).collect();
        assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        let json: serde_json::Value = serde_json::from_str(&json(&keys, at(1_000)).unwrap()).unwrap();
        assert_eq!(json[1]["state"], "ending");
        assert_eq!(
            (&json[0]["key_name"], json[1]["key_name"].as_str()),
            (&serde_json::Value::Null, Some("CI, デプロイ"))
        );
        assert_eq!(json[2]["valid_until"], "1970-01-01T00:00:01.000Z");
        assert_eq!(json[0]["scopes"], serde_json::json!(["read", "write"]));
    }
}
