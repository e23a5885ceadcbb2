//! Reads the fields of a JSON object one by one and collects every problem on the way.

use super::problems::{Fault, Loc, Problems};
use crate::clock::{Timestamp, TimestampError};
use crate::execution::Named;
use crate::json::{self, JsonText};

/// An object whose fields are being read. A field that is absent or null reads as `None`.
pub struct Fields<'a> {
    place: Vec<Loc>,
    whole: &'a str,
    members: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// The fields of an object at `place`. `whole` is its text.
    pub fn new(place: Vec<Loc>, whole: &'a str, members: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self { place, whole, members: members.collect() }
    }

    fn loc(&self, name: &str) -> Vec<Loc> {
        let mut loc = self.place.clone();
        loc.push(name.into());
        loc
    }

    /// Takes a field's text out: what is left at the end is extra.
    fn take_text(&mut self, name: &str) -> Option<&'a str> {
        let index = self.members.iter().position(|(key, _)| *key == name)?;
        let (_, text) = self.members.remove(index);
        Some(text)
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        self.take_text(name).filter(|text| *text != "null")
    }

    /// A required field; a problem if it is absent. A null is passed on: it has the wrong type.
    fn take_required(&mut self, name: &str, problems: &mut Problems) -> Option<&'a str> {
        let text = self.take_text(name);
        if text.is_none() {
            problems.add(self.loc(name), &Fault::Missing, self.whole);
        }
        text
    }

    /// Reads `text` with `read`, or notes what is wrong with it.
    fn read<T>(
        &self,
        name: &str,
        text: Option<&'a str>,
        problems: &mut Problems,
        read: impl FnOnce(&'a str) -> Result<T, Fault>,
    ) -> Option<T> {
        let text = text?;
        read(text).map_err(|fault| problems.add(self.loc(name), &fault, text)).ok()
    }

    /// A string of `least` to `most` characters.
    pub fn string(&mut self, name: &str, least: usize, most: usize, problems: &mut Problems) -> Option<String> {
        let text = self.take(name);
        self.read(name, text, problems, |text| read_string(text, least, most))
    }

    /// A string that must be there.
    pub fn required_string(
        &mut self,
        name: &str,
        least: usize,
        most: usize,
        problems: &mut Problems,
    ) -> Option<String> {
        let text = self.take_required(name, problems);
        self.read(name, text, problems, |text| read_string(text, least, most))
    }

    /// One of `allowed` by its name.
    pub fn name<T: Named>(&mut self, name: &str, allowed: &[T], problems: &mut Problems) -> Option<T> {
        let text = self.take(name);
        self.read(name, text, problems, |text| read_name(text, allowed))
    }

    /// One of `allowed`, that must be there.
    pub fn required_name<T: Named>(&mut self, name: &str, allowed: &[T], problems: &mut Problems) -> Option<T> {
        let text = self.take_required(name, problems);
        self.read(name, text, problems, |text| read_name(text, allowed))
    }

    /// An integer within bounds, both included. `1.0` is an integer, as in JSON Schema.
    pub fn integer(&mut self, name: &str, least: i64, most: i64, problems: &mut Problems) -> Option<i64> {
        let text = self.take(name);
        self.read(name, text, problems, |text| within(read_integer(text)?, least, most))
    }

    /// A number that is not negative, kept with its digits.
    pub fn amount(&mut self, name: &str, problems: &mut Problems) -> Option<JsonText> {
        let text = self.take(name);
        self.read(name, text, problems, |text| {
            if !is_number(text) {
                return Err(Fault::NotANumber);
            }
            // By its digits: a double rounds -1e-400 to zero.
            let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
            let negative = text.starts_with('-') && mantissa.contains(|digit: char| matches!(digit, '1'..='9'));
            match text.parse::<f64>() {
                Ok(number) if !number.is_finite() => Err(Fault::NotFinite),
                Ok(_) if negative => Err(Fault::LessThan(0)),
                Ok(_) => Ok(JsonText::from_trusted(text.to_owned())),
                Err(_) => Err(Fault::NotANumber),
            }
        })
    }

    /// An object of the caller's own, kept exactly.
    pub fn object(&mut self, name: &str, problems: &mut Problems) -> Option<JsonText> {
        let text = self.take(name);
        self.read(name, text, problems, |text| {
            if text.starts_with('{') { Ok(JsonText::from_trusted(text.to_owned())) } else { Err(Fault::NotAnObject) }
        })
    }

    /// A date and time with a zone.
    pub fn time(&mut self, name: &str, problems: &mut Problems) -> Option<Timestamp> {
        let text = self.take(name);
        self.read(name, text, problems, |text| read_time(&json::string(text).ok_or(Fault::NotATime)?))
    }

    /// A part with fields of its own: `read` reads them, and what it leaves is extra.
    pub fn part(&mut self, name: &str, problems: &mut Problems, read: impl FnOnce(&mut Fields<'_>, &mut Problems)) {
        let Some(text) = self.take(name) else { return };
        let Some(document) = json::parse(text).ok() else { return };
        if let Some(members) = document.members() {
            let mut fields = Fields::new(self.loc(name), document.text(), members);
            read(&mut fields, problems);
            fields.finish(problems);
        } else {
            problems.add(self.loc(name), &Fault::NotAModel, text);
        }
    }

    /// Notes every field that nobody read: a mistyped field must not be lost in silence.
    pub fn finish(self, problems: &mut Problems) {
        for (name, text) in &self.members {
            problems.add(self.loc(name), &Fault::Extra, text);
        }
    }
}

/// Reads a string of `least` to `most` characters.
///
/// # Errors
///
/// Which of it the text is not.
pub fn read_string(text: &str, least: usize, most: usize) -> Result<String, Fault> {
    let value = json::string(text).ok_or(Fault::NotAString)?;
    let length = value.chars().count();
    if length < least {
        Err(Fault::TooShort(least))
    } else if length > most {
        Err(Fault::TooLong(most))
    } else {
        Ok(value.into_owned())
    }
}

fn read_name<T: Named>(text: &str, allowed: &[T]) -> Result<T, Fault> {
    json::string(text)
        .and_then(|name| allowed.iter().copied().find(|value| value.name() == name))
        .ok_or_else(|| Fault::not_one_of(allowed))
}

/// Reads an RFC 3339 date and time.
///
/// # Errors
///
/// Which mistake it has.
pub fn read_time(text: &str) -> Result<Timestamp, Fault> {
    Timestamp::parse(text).map_err(|error| match error {
        TimestampError::NoZone => Fault::TimeWithoutZone,
        TimestampError::Malformed => Fault::MalformedTime,
    })
}

/// Checks an integer's bounds, both included.
///
/// # Errors
///
/// The bound that it passes.
pub fn within(value: i64, least: i64, most: i64) -> Result<i64, Fault> {
    if value < least {
        Err(Fault::LessThan(least))
    } else if value > most {
        Err(Fault::GreaterThan(most))
    } else {
        Ok(value)
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Reads the integer that a JSON number stands for, exactly; beyond `i64` it is the nearest end of `i64`.
fn read_integer(text: &str) -> Result<i64, Fault> {
    if !is_number(text) {
        return Err(Fault::NotAnInteger);
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
    // An exponent too long for i64 is as good as its ends: the number is then huge, or a tiny fraction.
    let exponent =
        exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX / 4);
    let scale = exponent.saturating_sub(length(fraction)).saturating_add(length(digits) - length(significant));
    if scale < 0 {
        return Err(Fault::Fraction);
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
            ("1.5", Err(Fault::Fraction)),
            ("1.0000000000000000000000001", Err(Fault::Fraction)),
            ("1e-99999999999999999999", Err(Fault::Fraction)),
            ("123456789012345678901234567890", Ok(i64::MAX)),
            ("true", Err(Fault::NotAnInteger)),
            ("\"1\"", Err(Fault::NotAnInteger)),
            ("[1]", Err(Fault::NotAnInteger)),
        ] {
            assert_eq!(read_integer(text), value, "{text}");
        }
    }
}
