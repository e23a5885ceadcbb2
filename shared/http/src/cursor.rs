//! The cursor of a walk through a list: the position of the walk, signed for one organization and one query.
//!
//! The signature covers the organization and the filters, which the cursor does not carry. A cursor that was tampered
//! with, or is used by another organization or with other filters, does not verify, and neither does one without a
//! signature of this service. The signature does not separate tenants (the index keys do): it keeps a walk from
//! silently continuing through another list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use ratchet_model::clock::Timestamp;
use ratchet_model::id::{ExecutionId, OrganizationId};
use ratchet_model::list::{Filter, Position};
use ratchet_model::step::StepId;
use ratchet_model::wire_name::WireName;

/// First byte of a cursor: the version of its format. It is part of what is signed: a cursor of another version does not open.
const FORMAT: u8 = 2;

/// First byte of a cursor of a walk through steps.
const FORMAT_STEPS: u8 = 3;

/// The total of a walk whose list was not counted. No count comes near it.
const NOT_COUNTED: u32 = u32::MAX;

/// Bytes before the signature: format, time, id, page, total.
const CONTENT: usize = 1 + 8 + 16 + 8 + 4;

/// Bytes of the signature: half of a SHA-256.
const SIGNATURE: usize = 16;

/// Signs cursors.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CursorKey")
    }
}

impl CursorKey {
    /// From a secret of any length.
    ///
    /// # Panics
    ///
    /// Never: HMAC takes keys of every length.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length, and no caller chooses this one")]
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of every length"))
    }

    fn sign(&self, organization: &OrganizationId, filter: &Filter, content: &[u8]) -> Hmac<Sha256> {
        let Filter { flow_id, status, trigger_type, agent_id, created_after, created_before } = filter;
        let mut mac = self.0.clone();
        let time = |time: &Option<Timestamp>| time.map(|time| time.to_string());
        let parts = [
            Some(organization.to_string()),
            flow_id.clone(),
            // A set: in whichever order and how often they were named, it is the same query.
            (!status.is_empty()).then(|| status.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(",")),
            trigger_type.map(|trigger_type| trigger_type.as_str().to_owned()),
            agent_id.clone(),
            time(created_after),
            time(created_before),
        ];
        for part in parts {
            // Each part is preceded by its length, and a missing part has a length that no text has: two different
            // queries never give the same input.
            let length = part.as_ref().map_or(u64::MAX, |part| part.len() as u64);
            mac.update(&length.to_be_bytes());
            mac.update(part.unwrap_or_default().as_bytes());
        }
        mac.update(content);
        mac
    }

    /// Signs the position of a walk through the steps of one execution.
    fn sign_steps(&self, organization: &OrganizationId, id: &ExecutionId, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        // A list of executions begins with the length of its organization, which is never this.
        mac.update(&u64::MAX.to_be_bytes());
        mac.update(&(organization.as_str().len() as u64).to_be_bytes());
        mac.update(organization.as_str().as_bytes());
        mac.update(id.as_bytes());
        mac.update(content);
        mac
    }

    /// Creates a cursor of a walk through the steps of an execution: it goes on after `last`.
    #[must_use]
    pub fn seal_steps(&self, organization: &OrganizationId, id: &ExecutionId, last: &StepId) -> String {
        let mut bytes = vec![FORMAT_STEPS];
        bytes.extend(last.as_str().as_bytes());
        let signature = self.sign_steps(organization, id, &bytes).finalize().into_bytes();
        bytes.extend(signature.iter().take(SIGNATURE));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor of a walk through steps; `None` if it is not one of this organization and this execution.
    #[must_use]
    pub fn open_steps(&self, organization: &OrganizationId, id: &ExecutionId, cursor: &str) -> Option<StepId> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (content, signature) = bytes.split_last_chunk::<SIGNATURE>()?;
        self.sign_steps(organization, id, content).verify_truncated_left(signature).ok()?;
        let (format, last) = content.split_first()?;
        (*format == FORMAT_STEPS).then_some(())?;
        StepId::parse(std::str::from_utf8(last).ok()?)
    }

    /// Creates a cursor.
    #[must_use]
    pub fn seal(&self, organization: &OrganizationId, filter: &Filter, position: &Position) -> String {
        let mut bytes = Vec::with_capacity(CONTENT + SIGNATURE);
        bytes.push(FORMAT);
        bytes.extend(position.created_at.millis().to_be_bytes());
        bytes.extend(position.id.as_bytes());
        bytes.extend(position.page.to_be_bytes());
        bytes.extend(position.total_count.unwrap_or(NOT_COUNTED).to_be_bytes());
        let signature = self.sign(organization, filter, &bytes).finalize().into_bytes();
        bytes.extend(signature.iter().take(SIGNATURE));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor; `None` if it is not one of this organization and these filters.
    #[must_use]
    pub fn open(&self, organization: &OrganizationId, filter: &Filter, cursor: &str) -> Option<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (content, signature) = bytes.split_at_checked(CONTENT)?;
        if signature.len() != SIGNATURE {
            return None;
        }
        self.sign(organization, filter, content).verify_truncated_left(signature).ok()?;
        let (format, rest) = content.split_first()?;
        let (created_at, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (page, rest) = rest.split_first_chunk()?;
        let (total_count, []) = rest.split_first_chunk()? else { return None };
        (*format == FORMAT).then_some(())?;
        Some(Position {
            created_at: Timestamp::from_millis(i64::from_be_bytes(*created_at))?,
            id: ExecutionId::from_uuid(uuid::Uuid::from_bytes(*id)),
            page: u64::from_be_bytes(*page),
            total_count: Some(u32::from_be_bytes(*total_count)).filter(|total| *total != NOT_COUNTED),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratchet_model::status::Status;

    fn organization(id: &str) -> OrganizationId {
        OrganizationId::parse(id).unwrap()
    }

    fn position() -> Position {
        Position {
            created_at: Timestamp::from_millis(1_700_000_000_123).unwrap(),
            id: ExecutionId::parse("0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e").unwrap(),
            page: 7,
            total_count: Some(10_000),
        }
    }

    #[test]
    fn a_cursor_opens_for_its_own_query_only() {
        let key = CursorKey::new(b"secret");
        let filter = Filter { status: [Status::Running].into(), ..Filter::default() };
        let cursor = key.seal(&organization("acme"), &filter, &position());
        assert_eq!(key.open(&organization("acme"), &filter, &cursor), Some(position()));
        assert_eq!(key.open(&organization("other"), &filter, &cursor), None);
        assert_eq!(key.open(&organization("acme"), &Filter::default(), &cursor), None);
        for other in [
            Filter { flow_id: Some("running".to_owned()), ..Filter::default() },
            Filter { agent_id: Some("running".to_owned()), ..Filter::default() },
            Filter { status: [Status::Running, Status::Queued].into(), ..Filter::default() },
        ] {
            assert_eq!(key.open(&organization("acme"), &other, &cursor), None, "{other:?}");
        }
        assert_eq!(CursorKey::new(b"other").open(&organization("acme"), &filter, &cursor), None);
    }

    #[test]
    fn a_cursor_knows_whether_its_list_was_counted() {
        let key = CursorKey::new(b"secret");
        for total_count in [None, Some(0), Some(10_000)] {
            let position = Position { total_count, ..position() };
            let cursor = key.seal(&organization("acme"), &Filter::default(), &position);
            assert_eq!(key.open(&organization("acme"), &Filter::default(), &cursor), Some(position));
        }
    }

    #[test]
    fn a_cursor_of_another_format_does_not_open() {
        let key = CursorKey::new(b"secret");
        let mut bytes =
            URL_SAFE_NO_PAD.decode(key.seal(&organization("acme"), &Filter::default(), &position())).unwrap();
        bytes.truncate(CONTENT);
        bytes[0] = FORMAT - 1;
        // As the version before signed it.
        let signature = key.sign(&organization("acme"), &Filter::default(), &bytes).finalize().into_bytes();
        bytes.extend(&signature[..SIGNATURE]);
        assert_eq!(key.open(&organization("acme"), &Filter::default(), &URL_SAFE_NO_PAD.encode(bytes)), None);
    }

    #[test]
    fn a_cursor_of_steps_opens_for_its_own_execution_only() {
        let key = CursorKey::new(b"secret");
        let (acme, other) = (organization("acme"), organization("other"));
        let id = position().id;
        let another = ExecutionId::parse("1b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e").unwrap();
        for last in ["a", "a#b", "\0", &"\u{10ffff}".repeat(128)] {
            let last = StepId::parse(last).unwrap();
            let cursor = key.seal_steps(&acme, &id, &last);
            assert_eq!(key.open_steps(&acme, &id, &cursor), Some(last));
            assert_eq!(key.open_steps(&other, &id, &cursor), None);
            assert_eq!(key.open_steps(&acme, &another, &cursor), None);
            assert_eq!(CursorKey::new(b"other").open_steps(&acme, &id, &cursor), None);
            assert_eq!(key.open(&acme, &Filter::default(), &cursor), None);
            let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
            for at in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[at / 8] ^= 1 << (at % 8);
                assert_eq!(key.open_steps(&acme, &id, &URL_SAFE_NO_PAD.encode(changed)), None, "bit {at}");
            }
        }
        let executions = key.seal(&acme, &Filter::default(), &position());
        for text in ["", "x", "!", "AAAA", &executions] {
            assert_eq!(key.open_steps(&acme, &id, text), None, "{text}");
        }
    }

    #[test]
    fn no_cursor_survives_a_change_of_one_bit_or_length() {
        let key = CursorKey::new(b"secret");
        let cursor = key.seal(&organization("acme"), &Filter::default(), &position());
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for at in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert_eq!(
                key.open(&organization("acme"), &Filter::default(), &URL_SAFE_NO_PAD.encode(other)),
                None,
                "bit {at}"
            );
        }
        for other in ["", "x", "!", &cursor[..cursor.len() - 2], &format!("{cursor}AA"), &format!("{cursor}=")] {
            assert_eq!(key.open(&organization("acme"), &Filter::default(), other), None, "{other}");
        }
    }
}
