//! JSON, parsed exactly: an object that a caller sends is returned as it was sent.
//!
//! `serde_json::Value` cannot do this: it rounds `1e400` and 40-digit numbers and turns `1.0` into a float. So a body
//! is checked and compacted as *text*, in one pass, and stored objects stay text throughout (contract, "The record").
//! What the pass does:
//!
//! - white space between tokens is removed, everything else stays byte for byte (numbers and escapes, too);
//! - of a repeated key the last value counts, at the place of the last one;
//! - nesting deeper than [`MAX_DEPTH`] inside a field, lone surrogates and everything else that RFC 8259 does not allow
//!   are refused, with their position.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// How deep an object that a caller sends may nest, itself being level 1 (contract, "The record").
pub const MAX_DEPTH: usize = 100;

/// Objects with more members than this look their keys up by hash instead of one by one.
const LINEAR_KEYS: usize = 8;

/// Valid, compact JSON text: a value that a caller sent or that the store holds.
///
/// It serializes as the JSON that it is, not as a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// The empty object, the default of every object field.
    #[must_use]
    pub fn empty_object() -> Self {
        Self("{}".to_owned())
    }

    /// Wraps text without checking it: that of a value that [`parse`] has read, or that was stored since. Text that is
    /// not JSON makes serializing fail.
    #[must_use]
    pub const fn new_unchecked(text: String) -> Self {
        Self(text)
    }

    /// A value that a view of a record leaves out: no text is JSON and empty, so that it is none that was sent.
    #[must_use]
    pub const fn left_out() -> Self {
        Self(String::new())
    }

    /// Whether this is [`JsonText::left_out`].
    #[must_use]
    pub const fn is_left_out(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // RawValue checks the text again: a stored text that was damaged is an error, never a broken answer.
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset into the text, in characters.
    pub position: usize,
    /// The member of the outermost object in which it is, if it is in one.
    pub member: Option<String>,
    /// What is wrong, in a few words.
    pub reason: &'static str,
}

/// A value and, if it is an object, its members.
#[derive(Debug)]
pub struct ParsedJson {
    text: String,
    members: Option<Members>,
}

impl ParsedJson {
    /// The whole value, compact.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The members of the object, each with the text of its value; `None` if the value is not an object.
    #[must_use]
    pub fn members(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        let members = self.members.as_ref()?;
        Some(members.iter().map(|(key, range)| (key.as_str(), self.text.get(range.clone()).unwrap_or_default())))
    }
}

/// Parses a JSON text.
///
/// # Errors
///
/// The first thing that is not JSON, or the first level that is too deep.
pub fn parse(text: &str) -> Result<ParsedJson, SyntaxError> {
    parse_around(text, 1)
}

/// Parses a JSON text in which what may nest [`MAX_DEPTH`] deep stands `around` levels deep itself: in the fields of an object
/// 1, in those of an object in a list in a field 3.
///
/// # Errors
///
/// Those of [`parse`].
pub fn parse_around(text: &str, around: usize) -> Result<ParsedJson, SyntaxError> {
    let levels = MAX_DEPTH + around;
    let mut reader =
        Reader { input: text, bytes: text.as_bytes(), at: 0, out: String::with_capacity(text.len()), member: None };
    let outcome = reader.document(levels);
    match outcome {
        Ok(members) => Ok(ParsedJson { text: reader.out, members }),
        Err(reason) => {
            let before = reader.bytes.get(..reader.at).unwrap_or(reader.bytes);
            // Offsets count characters, as Python's json does: continuation bytes do not count.
            let position = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
            Err(SyntaxError { position, member: reader.member, reason })
        }
    }
}

/// Decodes the text of a JSON string, quotes included; `None` if it is not one.
#[must_use]
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(text).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

type ParseResult<T> = Result<T, &'static str>;

/// Keys, decoded, and where their values are in the text.
type Members = Vec<(String, Range<usize>)>;

struct Reader<'a> {
    input: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: String,
    member: Option<String>,
}

/// One member of an object that is being read: its decoded key, and where it and its value are in the output.
struct Member<'a> {
    key: Cow<'a, str>,
    whole: Range<usize>,
    value: Range<usize>,
    replaced: bool,
}

impl<'a> Reader<'a> {
    fn document(&mut self, levels: usize) -> ParseResult<Option<Members>> {
        self.skip_space();
        let members = if self.peek() == Some(b'{') {
            Some(self.object(levels, true)?)
        } else {
            self.value(levels)?;
            None
        };
        self.member = None;
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err("Extra data");
        }
        Ok(members.map(|members| members.into_iter().map(|member| (member.key.into_owned(), member.value)).collect()))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Reads one value. `levels` is how many arrays and objects may still be opened.
    fn value(&mut self, levels: usize) -> ParseResult<()> {
        match self.peek() {
            Some(b'{') => self.object(levels, false).map(|_| ()),
            Some(b'[') => self.array(levels),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.foreign_value().unwrap_or("Expecting value")),
        }
    }

    /// What to send in the place of a value that other languages write and JSON does not have, if one stands here.
    fn foreign_value(&self) -> Option<&'static str> {
        let rest = self.input.get(self.at..)?;
        FOREIGN_VALUES.iter().find(|(text, _)| rest.starts_with(text)).map(|(_, reason)| *reason)
    }

    fn literal(&mut self, literal: &str) -> ParseResult<()> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(literal.as_bytes())) {
            self.at += literal.len();
            self.out.push_str(literal);
            Ok(())
        } else {
            Err("Expecting value")
        }
    }

    fn number(&mut self) -> ParseResult<()> {
        let start = self.at;
        if let Some(reason) = self.foreign_value() {
            return Err(reason);
        }
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err("Expecting value"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        self.copy_from(start)
    }

    fn some_digits(&mut self) -> ParseResult<()> {
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.digits();
            Ok(())
        } else {
            Err("Expecting a digit")
        }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn copy_from(&mut self, start: usize) -> ParseResult<()> {
        let token = self.input.get(start..self.at).ok_or("Invalid UTF-8")?;
        self.out.push_str(token);
        Ok(())
    }

    /// Reads a string and copies it unchanged; returns its range in the input, quotes included.
    fn string(&mut self) -> ParseResult<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err("Unterminated string"),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(byte) if byte < 0x20 => return Err("Invalid control character"),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        self.copy_from(start)?;
        Ok(start..self.at)
    }

    fn escape(&mut self) -> ParseResult<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.code_unit(self.at)? {
                0xD800..=0xDBFF => match self.code_unit(self.at + 6) {
                    Ok(0xDC00..=0xDFFF) => {
                        self.at += 12;
                        Ok(())
                    }
                    _ => Err(LONE_SURROGATE),
                },
                0xDC00..=0xDFFF => Err(LONE_SURROGATE),
                _ => {
                    self.at += 6;
                    Ok(())
                }
            },
            _ => Err("Invalid \\escape"),
        }
    }

    /// The code unit of the `\uXXXX` that starts at `at`.
    fn code_unit(&self, at: usize) -> ParseResult<u16> {
        let digits = self.bytes.get(at..at + 6).ok_or("Invalid \\uXXXX escape")?;
        if !digits.starts_with(b"\\u") {
            return Err("Invalid \\uXXXX escape");
        }
        digits.iter().skip(2).try_fold(0u16, |unit, byte| {
            let digit = char::from(*byte).to_digit(16).ok_or("Invalid \\uXXXX escape")?;
            Ok(unit << 4 | u16::try_from(digit).map_err(|_| "Invalid \\uXXXX escape")?)
        })
    }

    fn array(&mut self, levels: usize) -> ParseResult<()> {
        let levels = levels.checked_sub(1).ok_or(TOO_DEEP)?;
        self.at += 1;
        self.out.push('[');
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.out.push(']');
            return Ok(());
        }
        loop {
            self.skip_space();
            self.value(levels)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.out.push(','),
                Some(b']') => break,
                _ => return Err("Expecting ',' delimiter"),
            }
            self.at += 1;
        }
        self.at += 1;
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self, levels: usize, outermost: bool) -> ParseResult<Vec<Member<'a>>> {
        let levels = levels.checked_sub(1).ok_or(TOO_DEEP)?;
        let start = self.out.len();
        let mut members: Vec<Member<'a>> = Vec::new();
        let mut by_key: HashMap<Cow<'a, str>, usize> = HashMap::new();
        let mut any_replaced = false;
        self.at += 1;
        self.out.push('{');
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.out.push('}');
            return Ok(members);
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err("Expecting property name enclosed in double quotes");
            }
            let whole_start = self.out.len();
            let key = self.string()?;
            let key = self.input.get(key).and_then(string).ok_or("Invalid string")?;
            if outermost {
                self.member = Some(key.clone().into_owned());
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err("Expecting ':' delimiter");
            }
            self.at += 1;
            self.out.push(':');
            self.skip_space();
            let value_start = self.out.len();
            self.value(levels)?;
            let end = self.out.len();

            let earlier = if members.len() < LINEAR_KEYS {
                members.iter().rposition(|member| member.key == key)
            } else {
                if by_key.is_empty() {
                    by_key.extend(members.iter().enumerate().map(|(index, member)| (member.key.clone(), index)));
                }
                by_key.insert(key.clone(), members.len())
            };
            if let Some(member) = earlier.and_then(|index| members.get_mut(index)) {
                member.replaced = true;
                any_replaced = true;
            }
            members.push(Member { key, whole: whole_start..end, value: value_start..end, replaced: false });

            self.skip_space();
            match self.peek() {
                Some(b',') => self.out.push(','),
                Some(b'}') => break,
                _ => return Err("Expecting ',' delimiter"),
            }
            self.at += 1;
        }
        self.at += 1;
        self.out.push('}');
        if any_replaced {
            self.drop_replaced(start, &mut members);
        }
        Ok(members)
    }

    /// Rewrites the object that starts at `start` in the output, without the members whose key was repeated later.
    fn drop_replaced(&mut self, start: usize, members: &mut Vec<Member<'a>>) {
        members.retain(|member| !member.replaced);
        let mut kept = String::with_capacity(self.out.len() - start);
        kept.push('{');
        for (index, member) in members.iter_mut().enumerate() {
            if index > 0 {
                kept.push(',');
            }
            let text = self.out.get(member.whole.clone()).unwrap_or_default();
            let value_offset = member.value.start - member.whole.start;
            let at = start + kept.len();
            member.whole = at..at + text.len();
            member.value = at + value_offset..at + text.len();
            kept.push_str(text);
        }
        kept.push('}');
        self.out.truncate(start);
        self.out.push_str(&kept);
    }
}

/// The reason given where half of a surrogate pair stands alone: what cuts a text in the middle of a character leaves.
pub const LONE_SURROGATE: &str = "a lone surrogate is no character: send the whole pair, or \\ufffd in its place";

/// Values that other languages write and JSON does not have, each with the reason given for it.
pub const FOREIGN_VALUES: [(&str, &str); 9] = [
    ("NaN", "NaN is not JSON: send null, or the value as a string"),
    ("nan", "nan is not JSON: send null, or the value as a string"),
    ("Infinity", "Infinity is not JSON: send null, or the value as a string"),
    ("-Infinity", "-Infinity is not JSON: send null, or the value as a string"),
    ("inf", "inf is not JSON: send null, or the value as a string"),
    ("None", "None is not JSON: send null"),
    ("True", "True is not JSON: send true"),
    ("False", "False is not JSON: send false"),
    ("undefined", "undefined is not JSON: send null, or leave the field out"),
];

/// The reason given where a field nests too deep.
pub const TOO_DEEP: &str = "nested deeper than 100 levels";

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(text: &str) -> Result<String, &'static str> {
        parse(text).map(|parsed| parsed.text).map_err(|error| error.reason)
    }

    #[test]
    fn numbers_and_escapes_stay_as_they_were_written() {
        for text in ["1.0", "1e300", "-0", "1E+400", "1234567890123456789012345678901234567890", r#""\u00e9\/""#] {
            assert_eq!(compact(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn white_space_goes_and_order_stays() {
        assert_eq!(compact(" { \"b\" : [ 1 , { } ] ,\n\t\"a\" : null } ").as_deref(), Ok(r#"{"b":[1,{}],"a":null}"#));
    }

    #[test]
    fn of_a_repeated_key_the_last_value_counts_at_every_level() {
        assert_eq!(compact(r#"{"a":1,"b":{"c":1,"\u0063":2},"a":3}"#).as_deref(), Ok(r#"{"b":{"\u0063":2},"a":3}"#));
        let many: Vec<String> = (0..40).map(|n| format!("\"k{}\":{n}", n % 20)).collect();
        let text = compact(&format!("{{{},\"end\":true}}", many.join(","))).unwrap_or_default();
        assert!(text.starts_with(r#"{"k0":20,"k1":21,"#), "{text}");
        assert_eq!(text.matches("\"k").count(), 20);
    }

    #[test]
    fn the_members_point_at_their_values_after_a_key_was_dropped() {
        let parsed = parse(r#"{"a":1, "b":[2, 3], "a":{"x": 4}}"#).map_err(|error| error.reason);
        let members: Vec<(String, String)> = parsed
            .iter()
            .flat_map(|parsed| parsed.members().into_iter().flatten())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(members, [("b".into(), "[2,3]".into()), ("a".into(), r#"{"x":4}"#.into())]);
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, position, reason) in [
            ("", 0, "Expecting value"),
            ("NaN", 0, "NaN is not JSON: send null, or the value as a string"),
            ("[-Infinity]", 1, "-Infinity is not JSON: send null, or the value as a string"),
            ("{\"a\":None}", 5, "None is not JSON: send null"),
            ("nul", 0, "Expecting value"),
            ("{\"a\":1,}", 7, "Expecting property name enclosed in double quotes"),
            ("{\"é\":01}", 6, "Expecting ',' delimiter"),
            ("[1] 2", 4, "Extra data"),
            ("\"abc", 4, "Unterminated string"),
            ("\"\\ud800\"", 1, LONE_SURROGATE),
            ("\"\\udc00\"", 1, LONE_SURROGATE),
            ("\"\\ud800\\u0041\"", 1, LONE_SURROGATE),
            ("\"\\x\"", 1, "Invalid \\escape"),
            ("\"\\u12\"", 1, "Invalid \\uXXXX escape"),
            ("\"\n\"", 1, "Invalid control character"),
            ("1.", 2, "Expecting a digit"),
            ("-", 1, "Expecting value"),
            ("tru", 0, "Expecting value"),
            ("\u{feff}{}", 0, "Expecting value"),
        ] {
            let error = parse(text).err();
            assert_eq!(error.map(|error| (error.position, error.reason)), Some((position, reason)), "{text}");
        }
    }

    #[test]
    fn a_field_may_be_100_levels_deep_and_not_101() {
        let nested = |levels: usize| {
            format!("{{\"metadata\":{}{}}}", "{\"a\":".repeat(levels - 1) + "{}", "}".repeat(levels - 1))
        };
        assert!(parse(&nested(100)).is_ok());
        let error = parse(&nested(101)).err();
        assert_eq!(error.as_ref().map(|error| error.reason), Some(TOO_DEEP));
        assert_eq!(error.and_then(|error| error.member).as_deref(), Some("metadata"));
        assert_eq!(parse(&"[".repeat(1_000_000)).err().map(|error| error.reason), Some(TOO_DEEP));
    }
}
