//! What is wrong with a request, in pydantic's shape (contract, "Errors"). All of it at once.

use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::execution::Named;
use crate::json::JsonText;

/// Problems beyond this many are counted and not listed: an answer must stay below what Lambda can return.
const MAX_LISTED: usize = 1_000;

/// An input longer than this many bytes is shown as a string with its beginning.
const MAX_ECHO: usize = 2_048;

/// One step of the way to a wrong value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loc {
    /// `body`, `query`, `path`, `header`, or the name of a field.
    Name(String),
    /// An offset into the body, in characters.
    Offset(usize),
}

impl Serialize for Loc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Offset(offset) => serializer.serialize_u64(*offset as u64),
        }
    }
}

impl From<&str> for Loc {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// What is wrong with one value: pydantic's type name, its sentence, and the numbers in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A required value is not there.
    Missing,
    /// Not an object, where the whole request or a part with named fields is expected.
    NotAModel,
    /// Not an object, where an object of the caller's own is expected.
    NotAnObject,
    /// Not a string.
    NotAString,
    /// Fewer than this many characters.
    TooShort(usize),
    /// More than this many characters.
    TooLong(usize),
    /// Characters that are not allowed; a description of those that are.
    Pattern(&'static str),
    /// Not a number without a fraction.
    NotAnInteger,
    /// A number with a fraction.
    Fraction,
    /// A text (in a query) that is no integer.
    NotAnIntegerText,
    /// Not a number.
    NotANumber,
    /// A number that no double can hold.
    NotFinite,
    /// Less than this.
    LessThan(i64),
    /// Greater than this.
    GreaterThan(i64),
    /// Not a date and time.
    NotATime,
    /// A text that is no RFC 3339 date and time.
    MalformedTime,
    /// A date and time without a zone.
    TimeWithoutZone,
    /// None of these names.
    NotOneOf(Vec<&'static str>),
    /// A field that this request does not have.
    Extra,
    /// Not JSON, or nested too deep: why.
    NotJson(&'static str),
    /// A cursor that this query did not get from this service.
    Cursor,
    /// A page that only a cursor reaches.
    PageTooFar,
    /// `page` and `cursor` together.
    PageWithCursor,
    /// A page whose records do not fit into one answer; how many would.
    PageTooLarge(usize),
    /// More problems than are listed; how many.
    More(usize),
}

impl Fault {
    /// The fault of a value that is none of `T`'s names.
    #[must_use]
    pub fn not_one_of<T: Named>(allowed: &[T]) -> Self {
        Self::NotOneOf(allowed.iter().map(|value| value.name()).collect())
    }

    /// The error of a request that has this fault and no other. `input` is JSON text.
    #[must_use]
    pub fn alone(&self, loc: Vec<Loc>, input: &str) -> Error {
        Error::Invalid(vec![self.at(loc, input)])
    }

    /// The error of a request in which this query parameter has this fault, and nothing else is wrong.
    #[must_use]
    pub fn of_parameter(&self, name: &str, input: &str) -> Error {
        self.alone(vec!["query".into(), name.into()], &quote(input))
    }

    fn at(&self, loc: Vec<Loc>, input: &str) -> Problem {
        Problem { loc, msg: self.message(), kind: self.kind(), input: echo(input), ctx: self.context() }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotAModel => "model_attributes_type",
            Self::NotAnObject => "dict_type",
            Self::NotAString => "string_type",
            Self::TooShort(_) => "string_too_short",
            Self::TooLong(_) => "string_too_long",
            Self::Pattern(_) => "string_pattern_mismatch",
            Self::NotAnInteger => "int_type",
            Self::Fraction => "int_from_float",
            Self::NotAnIntegerText => "int_parsing",
            Self::NotANumber => "float_type",
            Self::NotFinite => "finite_number",
            Self::LessThan(_) => "greater_than_equal",
            Self::GreaterThan(_) => "less_than_equal",
            Self::NotATime => "datetime_type",
            Self::MalformedTime => "datetime_parsing",
            Self::TimeWithoutZone => "timezone_aware",
            Self::NotOneOf(_) => "enum",
            Self::Extra => "extra_forbidden",
            Self::NotJson(_) => "json_invalid",
            Self::Cursor | Self::PageTooFar | Self::PageWithCursor | Self::PageTooLarge(_) => "value_error",
            Self::More(_) => "too_many_problems",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Missing => "Field required".to_owned(),
            Self::NotAModel => "Input should be a valid dictionary or object to extract fields from".to_owned(),
            Self::NotAnObject => "Input should be a valid dictionary".to_owned(),
            Self::NotAString => "Input should be a valid string".to_owned(),
            Self::TooShort(length) => format!("String should have at least {}", characters(*length)),
            Self::TooLong(length) => format!("String should have at most {}", characters(*length)),
            Self::Pattern(allowed) => format!("String should be {allowed}"),
            Self::NotAnInteger => "Input should be a valid integer".to_owned(),
            Self::Fraction => "Input should be a valid integer, got a number with a fractional part".to_owned(),
            Self::NotAnIntegerText => {
                "Input should be a valid integer, unable to parse string as an integer".to_owned()
            }
            Self::NotANumber => "Input should be a valid number".to_owned(),
            Self::NotFinite => "Input should be a finite number".to_owned(),
            Self::LessThan(bound) => format!("Input should be greater than or equal to {bound}"),
            Self::GreaterThan(bound) => format!("Input should be less than or equal to {bound}"),
            Self::NotATime => "Input should be a valid datetime".to_owned(),
            Self::MalformedTime => {
                "Input should be a valid datetime, in RFC 3339 form such as 2023-11-07T05:31:56Z".to_owned()
            }
            Self::TimeWithoutZone => "Input should have timezone info: end it with Z or an offset".to_owned(),
            Self::NotOneOf(names) => format!("Input should be {}", expected(names)),
            Self::Extra => "Extra inputs are not permitted".to_owned(),
            Self::NotJson(_) => "JSON decode error".to_owned(),
            Self::Cursor => {
                "This cursor does not belong to this query: use next_cursor of the page before, with the same filters"
                    .to_owned()
            }
            Self::PageTooFar => {
                "This page is too far into the list for a number: start without page, and pass next_cursor as cursor"
                    .to_owned()
            }
            Self::PageWithCursor => "Pass either page or cursor: a cursor already says where it goes on".to_owned(),
            Self::PageTooLarge(fitting) => format!(
                "The records of this page do not fit into one answer: ask for a page_size of at most {fitting}, or walk \
                 by cursor"
            ),
            Self::More(count) => format!("{count} more problems are not listed"),
        }
    }

    fn context(&self) -> Option<serde_json::Value> {
        use serde_json::json;
        Some(match self {
            Self::TooShort(length) => json!({ "min_length": length }),
            Self::TooLong(length) => json!({ "max_length": length }),
            Self::LessThan(bound) => json!({ "ge": bound }),
            Self::GreaterThan(bound) => json!({ "le": bound }),
            Self::NotOneOf(names) => json!({ "expected": expected(names) }),
            Self::NotJson(reason) => json!({ "error": reason }),
            Self::Pattern(allowed) => json!({ "pattern": allowed }),
            Self::MalformedTime => json!({ "error": "not an RFC 3339 date and time" }),
            Self::Cursor | Self::PageTooFar | Self::PageWithCursor | Self::PageTooLarge(_) => {
                json!({ "error": self.message() })
            }
            Self::Missing
            | Self::NotAModel
            | Self::NotAnObject
            | Self::NotAString
            | Self::NotAnInteger
            | Self::Fraction
            | Self::NotAnIntegerText
            | Self::NotANumber
            | Self::NotFinite
            | Self::NotATime
            | Self::TimeWithoutZone
            | Self::Extra
            | Self::More(_) => return None,
        })
    }
}

fn characters(count: usize) -> String {
    if count == 1 { "1 character".to_owned() } else { format!("{count} characters") }
}

/// `'a', 'b' or 'c'`
fn expected(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// One wrong value, as the answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: `body`, `query`, `path` or `header` first.
    pub loc: Vec<Loc>,
    /// A sentence for people.
    pub msg: String,
    /// pydantic's name of the fault.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What was sent.
    pub input: JsonText,
    /// The numbers and names in the sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<serde_json::Value>,
}

/// Collects the problems of one request.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    unlisted: usize,
}

impl Problems {
    /// Adds a problem of a value of the body, or of a part of it. `input` is JSON text.
    pub fn add(&mut self, loc: Vec<Loc>, fault: &Fault, input: &str) {
        if self.list.len() >= MAX_LISTED {
            self.unlisted += 1;
            return;
        }
        self.list.push(fault.at(loc, input));
    }

    /// Adds a problem of a query parameter or a header. `input` is the text as sent.
    pub fn add_text(&mut self, place: &str, name: &str, fault: &Fault, input: &str) {
        self.add(vec![place.into(), name.into()], fault, &quote(input));
    }

    /// Ends the collecting.
    ///
    /// # Errors
    ///
    /// All the problems, if there is one.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.unlisted > 0 {
            self.list.push(Fault::More(self.unlisted).at(vec!["body".into()], "null"));
        }
        if self.list.is_empty() { Ok(()) } else { Err(Error::Invalid(self.list)) }
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The input as JSON; a long one as a string that holds its beginning.
fn echo(input: &str) -> JsonText {
    if input.len() <= MAX_ECHO {
        return JsonText::from_trusted(input.to_owned());
    }
    let beginning = input.char_indices().take_while(|(at, _)| *at < MAX_ECHO / 2).map(|(_, character)| character);
    let beginning: String = beginning.collect();
    JsonText::from_trusted(quote(&format!("{beginning}... ({} bytes)", input.len())))
}
