//! Reads the fields of a JSON object one by one and collects every validation error on the way.

use ratchet_model::clock::{Timestamp, TimestampError};
use ratchet_model::json::{self, JsonText, ParsedJson};
use ratchet_model::wire_name::WireName;
use serde_json::value::RawValue;

use crate::validation::Validation;
use crate::validation_error::{Location, ValidationErrorKind};

/// An object whose fields are being read. A field that is absent or null reads as `None`.
pub struct Fields<'a> {
    location: Vec<Location>,
    whole: &'a str,
    members: Vec<(&'a str, &'a str)>,
    /// The fields that were asked for: those that the object may have.
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of an object at `location`. `whole` is its text.
    pub fn new(location: Vec<Location>, whole: &'a str, members: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self { location, whole, members: members.collect(), known: Vec::new() }
    }

    /// The fields of a body.
    #[must_use]
    pub fn of_body(body: &'a ParsedJson) -> Self {
        Self::new(vec!["body".into()], body.text(), body.members().into_iter().flatten())
    }

    /// Adds the error of a field that was read.
    pub fn refuse(&self, name: &str, kind: &ValidationErrorKind, input: &str, validation: &mut Validation) {
        validation.add(self.location_of(name), kind, input);
    }

    fn location_of(&self, name: &str) -> Vec<Location> {
        let mut location = self.location.clone();
        location.push(name.into());
        location
    }

    /// Removes a field and returns its text: a field that is left at the end is extra.
    fn take_text(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        let index = self.members.iter().position(|(key, _)| *key == name)?;
        let (_, text) = self.members.remove(index);
        Some(text)
    }

    fn take(&mut self, name: &'static str) -> Option<&'a str> {
        self.take_text(name).filter(|text| *text != "null")
    }

    /// A required field; a validation error if it is absent. A null is returned: it has the wrong type.
    fn take_required(&mut self, name: &'static str, validation: &mut Validation) -> Option<&'a str> {
        let text = self.take_text(name);
        if text.is_none() {
            validation.add(self.location_of(name), &ValidationErrorKind::Missing, self.whole);
        }
        text
    }

    /// Reads `text` with `read`, or adds a validation error.
    fn read<T>(
        &self,
        name: &str,
        text: Option<&'a str>,
        validation: &mut Validation,
        read: impl FnOnce(&'a str) -> Result<T, ValidationErrorKind>,
    ) -> Option<T> {
        let text = text?;
        read(text).map_err(|kind| validation.add(self.location_of(name), &kind, text)).ok()
    }

    /// A string of `min` to `max` characters.
    pub fn string(
        &mut self,
        name: &'static str,
        min: usize,
        max: usize,
        validation: &mut Validation,
    ) -> Option<String> {
        let text = self.take(name);
        self.read(name, text, validation, |text| read_string(text, min, max))
    }

    /// A string as [`Fields::string`], whose error names the field `other` for a longer text.
    pub fn string_beside(
        &mut self,
        name: &'static str,
        max: usize,
        other: &'static str,
        validation: &mut Validation,
    ) -> Option<String> {
        let text = self.take(name);
        self.read(name, text, validation, |text| {
            read_string(text, 0, max).map_err(|kind| match kind {
                ValidationErrorKind::TooLong(max) => ValidationErrorKind::TooLongBeside(max, other),
                kind => kind,
            })
        })
    }

    /// A required string of `min` to `max` characters.
    pub fn required_string(
        &mut self,
        name: &'static str,
        min: usize,
        max: usize,
        validation: &mut Validation,
    ) -> Option<String> {
        let text = self.take_required(name, validation);
        self.read(name, text, validation, |text| read_string(text, min, max))
    }

    /// One of `allowed` by its name.
    pub fn name<T: WireName>(&mut self, name: &'static str, allowed: &[T], validation: &mut Validation) -> Option<T> {
        let text = self.take(name);
        self.read(name, text, validation, |text| read_name(text, allowed))
    }

    /// One of `allowed` by its name, required.
    pub fn required_name<T: WireName>(
        &mut self,
        name: &'static str,
        allowed: &[T],
        validation: &mut Validation,
    ) -> Option<T> {
        let text = self.take_required(name, validation);
        self.read(name, text, validation, |text| read_name(text, allowed))
    }

    /// An integer within bounds, both included. `1.0` is an integer, as in JSON Schema.
    pub fn integer(&mut self, name: &'static str, min: i64, max: i64, validation: &mut Validation) -> Option<i64> {
        let text = self.take(name);
        self.read(name, text, validation, |text| within(read_integer(text)?, min, max))
    }

    /// A number that is not negative, kept with its digits.
    pub fn non_negative_number(&mut self, name: &'static str, validation: &mut Validation) -> Option<JsonText> {
        let text = self.take(name);
        self.read(name, text, validation, |text| {
            if !is_number(text) {
                return Err(ValidationErrorKind::NotANumber);
            }
            // The sign is decided by the digits: a double rounds -1e-400 to zero.
            let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
            let negative = text.starts_with('-') && mantissa.contains(|digit: char| matches!(digit, '1'..='9'));
            match text.parse::<f64>() {
                Ok(number) if !number.is_finite() => Err(ValidationErrorKind::NotFinite),
                Ok(_) if negative => Err(ValidationErrorKind::LessThan(0)),
                Ok(_) => Ok(JsonText::new_unchecked(text.to_owned())),
                Err(_) => Err(ValidationErrorKind::NotANumber),
            }
        })
    }

    /// An object of the caller's own, kept exactly.
    pub fn object(&mut self, name: &'static str, validation: &mut Validation) -> Option<JsonText> {
        let text = self.take(name);
        self.read(name, text, validation, |text| {
            if text.starts_with('{') {
                Ok(JsonText::new_unchecked(text.to_owned()))
            } else {
                Err(ValidationErrorKind::NotAnObject)
            }
        })
    }

    /// A date and time with a zone.
    pub fn time(&mut self, name: &'static str, validation: &mut Validation) -> Option<Timestamp> {
        let text = self.take(name);
        self.read(name, text, validation, |text| read_time(&json::string(text).ok_or(ValidationErrorKind::NotATime)?))
    }

    /// A nested object with fields of its own: `read` reads them, and a field that it leaves is extra.
    pub fn nested(
        &mut self,
        name: &'static str,
        validation: &mut Validation,
        read: impl FnOnce(&mut Fields<'_>, &mut Validation),
    ) {
        let Some(text) = self.take(name) else { return };
        let Some(parsed) = json::parse(text).ok() else { return };
        if let Some(members) = parsed.members() {
            let mut fields = Fields::new(self.location_of(name), parsed.text(), members);
            read(&mut fields, validation);
            fields.finish(validation);
        } else {
            validation.add(self.location_of(name), &ValidationErrorKind::NotAModel, text);
        }
    }

    /// A required list of `min` to `max` objects with fields of their own: `read` reads those of one, and a field that it
    /// leaves is extra. Of a longer list the first `max` are read.
    pub fn required_list(
        &mut self,
        name: &'static str,
        (min, max): (usize, usize),
        validation: &mut Validation,
        mut read: impl FnMut(&mut Fields<'_>, &mut Validation),
    ) {
        let Some(text) = self.take_required(name, validation) else { return };
        let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) else {
            validation.add(self.location_of(name), &ValidationErrorKind::NotAList, text);
            return;
        };
        let count = elements.len();
        if count < min {
            validation.add(self.location_of(name), &ValidationErrorKind::TooFewItems(min, count), text);
        } else if count > max {
            validation.add(self.location_of(name), &ValidationErrorKind::TooManyItems(max, count), text);
        }
        for (index, element) in elements.into_iter().take(max).enumerate() {
            let mut location = self.location_of(name);
            location.push(Location::Offset(index as u64));
            let Some(parsed) = json::parse(element.get()).ok() else { continue };
            if let Some(members) = parsed.members() {
                let mut fields = Fields::new(location, parsed.text(), members);
                read(&mut fields, validation);
                fields.finish(validation);
            } else {
                validation.add(location, &ValidationErrorKind::NotAModel, element.get());
            }
        }
    }

    /// Adds a validation error for every field that was not read: a mistyped field must not be ignored silently.
    pub fn finish(self, validation: &mut Validation) {
        for (n, (name, text)) in self.members.iter().enumerate() {
            validation.add(self.location_of(name), &ValidationErrorKind::extra(&self.known, n), text);
        }
    }
}

/// Reads a string of `min` to `max` characters.
///
/// # Errors
///
/// How the text differs from that.
pub fn read_string(text: &str, min: usize, max: usize) -> Result<String, ValidationErrorKind> {
    let value = json::string(text).ok_or(ValidationErrorKind::NotAString)?;
    let length = value.chars().count();
    if length < min {
        Err(ValidationErrorKind::TooShort(min))
    } else if length > max {
        Err(ValidationErrorKind::TooLong(max))
    } else {
        Ok(value.into_owned())
    }
}

fn read_name<T: WireName>(text: &str, allowed: &[T]) -> Result<T, ValidationErrorKind> {
    json::string(text)
        .and_then(|name| allowed.iter().copied().find(|value| value.as_str() == name))
        .ok_or_else(|| ValidationErrorKind::not_one_of(allowed))
}

/// Reads an RFC 3339 date and time.
///
/// # Errors
///
/// How the text differs from that.
pub fn read_time(text: &str) -> Result<Timestamp, ValidationErrorKind> {
    Timestamp::parse(text).map_err(|error| match error {
        TimestampError::NoZone => ValidationErrorKind::TimeWithoutZone,
        TimestampError::Malformed => ValidationErrorKind::MalformedTime,
    })
}

/// Checks an integer's bounds, both included.
///
/// # Errors
///
/// The bound that the value passes.
pub fn within(value: i64, min: i64, max: i64) -> Result<i64, ValidationErrorKind> {
    if value < min {
        Err(ValidationErrorKind::LessThan(min))
    } else if value > max {
        Err(ValidationErrorKind::GreaterThan(max))
    } else {
        Ok(value)
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Reads the integer that a JSON number stands for, exactly; beyond `i64` it is the nearest end of `i64`.
fn read_integer(text: &str) -> Result<i64, ValidationErrorKind> {
    if !is_number(text) {
        return Err(ValidationErrorKind::NotAnInteger);
    }
    if let Ok(value) = text.parse() {
        return Ok(value);
    }
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // An exponent that does not fit into i64 counts as the nearest bound: the number is then huge, or a tiny fraction.
    let exponent =
        exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX / 4);
    let scale = exponent.saturating_sub(length(fraction)).saturating_add(length(digits) - length(significant));
    if scale < 0 {
        return Err(ValidationErrorKind::Fraction);
    }
    let huge = if negative { i64::MIN } else { i64::MAX };
    let value = u32::try_from(scale)
        .ok()
        .and_then(|scale| 10i64.checked_pow(scale))
        .and_then(|factor| significant.parse::<i64>().ok()?.checked_mul(factor));
    Ok(value.map_or(huge, |value| if negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_read_exactly_in_every_notation() {
        for (text, value) in [
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("-0.0e5", Ok(0)),
            ("17", Ok(17)),
            ("1.0", Ok(1)),
            ("1.50e1", Ok(15)),
            ("1e2", Ok(100)),
            ("-12e1", Ok(-120)),
            ("100e-2", Ok(1)),
            ("0.00e999999999999999999999", Ok(0)),
            ("9007199254740991", Ok(9_007_199_254_740_991)),
            ("1e300", Ok(i64::MAX)),
            ("-1e99999999999999999999", Ok(i64::MIN)),
            ("1.5", Err(ValidationErrorKind::Fraction)),
            ("1.0000000000000000000000001", Err(ValidationErrorKind::Fraction)),
            ("1e-99999999999999999999", Err(ValidationErrorKind::Fraction)),
            ("123456789012345678901234567890", Ok(i64::MAX)),
            ("true", Err(ValidationErrorKind::NotAnInteger)),
            ("\"1\"", Err(ValidationErrorKind::NotAnInteger)),
            ("[1]", Err(ValidationErrorKind::NotAnInteger)),
        ] {
            assert_eq!(read_integer(text), value, "{text}");
        }
    }
}
