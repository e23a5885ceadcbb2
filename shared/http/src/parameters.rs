//! Reads the parameters of a query one by one and collects every validation error on the way, as
//! [`Fields`](crate::fields::Fields) does with a body.

use std::collections::BTreeSet;

use ratchet_model::clock::Timestamp;
use ratchet_model::wire_name::WireName;

use crate::fields::{read_time, within};
use crate::validation::Validation;
use crate::validation_error::{ValidationErrorKind, quote};

/// The location of a parameter.
const QUERY: &str = "query";

/// A query whose parameters are being read. Unlike in a body, an empty value is a value.
pub struct Parameters {
    values: Vec<(String, String)>,
    /// The parameters that were asked for: those that the operation has.
    known: Vec<&'static str>,
}

impl Parameters {
    /// The parameters of a query: names and values, decoded, in order.
    #[must_use]
    pub const fn new(values: Vec<(String, String)>) -> Self {
        Self { values, known: Vec::new() }
    }

    /// Removes a parameter and returns its values, as they were sent: a parameter that is left at the end is extra.
    pub fn take_all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let taken = self.values.extract_if(.., |(known, _)| known == name);
        taken.map(|(_, value)| value).collect()
    }

    /// A parameter's text. One that is there more than once is a validation error: which one was meant cannot be known.
    pub fn text(&mut self, name: &'static str, validation: &mut Validation) -> Option<String> {
        let mut values = self.take_all(name);
        if values.len() > 1 {
            let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
            let input = format!("[{}]", values.join(","));
            validation.add(vec![QUERY.into(), name.into()], &ValidationErrorKind::Repeated, &input);
            return None;
        }
        values.pop()
    }

    /// Reads a parameter with `read`, or adds a validation error.
    fn read<T>(
        &mut self,
        name: &'static str,
        validation: &mut Validation,
        read: impl FnOnce(&str) -> Result<T, ValidationErrorKind>,
    ) -> Option<T> {
        let text = self.text(name, validation)?;
        read(&text).map_err(|kind| validation.add_text(QUERY, name, &kind, &text)).ok()
    }

    /// A name of 1 to `max` characters.
    pub fn string(&mut self, name: &'static str, max: usize, validation: &mut Validation) -> Option<String> {
        self.read(name, validation, |text| match text.chars().count() {
            0 => Err(ValidationErrorKind::TooShort(1)),
            length if length > max => Err(ValidationErrorKind::TooLong(max)),
            _ => Ok(text.to_owned()),
        })
    }

    /// One of the names of `T`.
    pub fn name<T: WireName>(&mut self, name: &'static str, validation: &mut Validation) -> Option<T> {
        self.read(name, validation, |text| T::parse(text).ok_or_else(|| ValidationErrorKind::not_one_of(T::ALL)))
    }

    /// A set of names of `T`: the parameter may be repeated, and each of its values may be several with commas between
    /// them. Every name that is none is a validation error of its own, an empty one among them.
    pub fn names<T: WireName + Ord>(&mut self, name: &'static str, validation: &mut Validation) -> BTreeSet<T> {
        let values = self.take_all(name);
        let names = values.iter().flat_map(|value| value.split(','));
        let read = names.filter_map(|text| {
            let value = T::parse(text);
            if value.is_none() {
                validation.add_text(QUERY, name, &ValidationErrorKind::not_one_of(T::ALL), text);
            }
            value
        });
        read.collect()
    }

    /// An integer within bounds, both included.
    pub fn integer(&mut self, name: &'static str, min: i64, max: i64, validation: &mut Validation) -> Option<i64> {
        self.read(name, validation, |text| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(ValidationErrorKind::NotAnIntegerText);
            }
            // A number that does not fit into i64 is beyond every bound.
            let value = text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX });
            within(value, min, max)
        })
    }

    /// A date and time with a zone.
    pub fn time(&mut self, name: &'static str, validation: &mut Validation) -> Option<Timestamp> {
        self.read(name, validation, |text| match plus_restored(text) {
            Some(restored) => read_time(&restored),
            None => read_time(text),
        })
    }

    /// Adds a validation error for every parameter that was not read: a mistyped filter must not list everything.
    pub fn finish(self, validation: &mut Validation) {
        for (n, (name, text)) in self.values.iter().enumerate() {
            validation.add_text(QUERY, name, &ValidationErrorKind::extra(&self.known, n), text);
        }
    }
}

/// A time whose offset has a space for a sign: a `+` that the caller did not encode, which a query has for a space. A space
/// after the minutes can be nothing else.
fn plus_restored(text: &str) -> Option<String> {
    let (time, offset) = text.rsplit_once(' ')?;
    let is_offset = matches!(offset.len(), 4 | 5) && offset.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    (time.contains(':') && is_offset).then(|| format!("{time}+{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_where_only_a_sign_can_be_is_a_plus() {
        for (sent, meant) in [
            ("2026-01-02T03:04:05 02:00", Some("2026-01-02T03:04:05+02:00")),
            ("2026-01-02T03:04:05 0200", Some("2026-01-02T03:04:05+0200")),
            ("2026-01-02 03:04:05 02:00", Some("2026-01-02 03:04:05+02:00")),
            ("2026-01-02 03:04", None),
            ("2026-01-02 0304", None),
            ("2026-01-02T03:04:05Z", None),
            ("2026-01-02T03:04:05 UTC", None),
            ("2026-01-02T03:04:05 2", None),
            (" 02:00", None),
        ] {
            assert_eq!(plus_restored(sent).as_deref(), meant, "{sent}");
        }
    }
}
