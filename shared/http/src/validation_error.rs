//! Validation errors, in pydantic's form (contract, "Errors"). A request is answered with all of them.

use ratchet_model::json::JsonText;
use ratchet_model::wire_name::WireName;
use serde::Serialize;

/// An input longer than this many bytes is shown as a string with its beginning.
const MAX_ECHO: usize = 2_048;

/// How many errors of unknown names say which names there are.
const MAX_NAMING: usize = 20;

/// One step of the way to a wrong value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Location {
    /// A name.
    Name(String),
    /// An offset into the body, or the index of an element of a list.
    Offset(u64),
}

impl From<&str> for Location {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// The kind of a validation error: pydantic's type name, its sentence, and the numbers in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValidationErrorKind {
    /// A required value is not there.
    Missing,
    /// Not an object, where the whole request or a part with named fields is expected.
    NotAModel,
    /// Not an object, where an object of the caller's own is expected.
    NotAnObject,
    /// Not a list.
    NotAList,
    /// A list of fewer elements than this many, and how many it has.
    TooFewItems(usize, usize),
    /// A list of more elements than this many, and how many it has.
    TooManyItems(usize, usize),
    /// The id of a step that another one in the same request has.
    RepeatedStep,
    /// Not a string.
    NotAString,
    /// Fewer than this many characters.
    TooShort(usize),
    /// More than this many characters.
    TooLong(usize),
    /// More than this many characters, in a field beside which another one takes a longer text.
    TooLongBeside(usize, &'static str),
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
    /// A field or a query parameter that this request does not have; those that it has, if they are to be named.
    Extra(Option<Vec<&'static str>>),
    /// A query parameter that is there more than once, and takes one value.
    Repeated,
    /// Not JSON, or nested too deep: why.
    NotJson(&'static str),
    /// A value that JSON does not have, and in which field it stands.
    NotJsonIn(&'static str, String),
    /// A cursor that this query did not get from this service.
    Cursor,
    /// A page that only a cursor reaches.
    PageTooFar,
    /// `page` and `cursor` together.
    PageWithCursor,
    /// A page whose records do not fit into one answer; how many would.
    PageTooLarge(usize),
    /// More validation errors than are listed; how many.
    More(usize),
}

impl ValidationErrorKind {
    /// The kind of the error of a value that is none of the names in `allowed`.
    #[must_use]
    pub fn not_one_of<T: WireName>(allowed: &[T]) -> Self {
        Self::NotOneOf(allowed.iter().map(|value| value.as_str()).collect())
    }

    /// The kind of the error of the n-th unknown name, from 0, beside these that there are. Of many unknown ones the first name
    /// them: an answer must not grow with the product of both.
    #[must_use]
    pub fn extra(known: &[&'static str], n: usize) -> Self {
        Self::Extra((n < MAX_NAMING).then(|| known.to_vec()))
    }

    /// The validation error of this kind for a value at `loc`. `input` is JSON text.
    #[must_use]
    pub fn at(&self, loc: Vec<Location>, input: &str) -> ValidationError {
        ValidationError { loc, msg: self.message(), kind: self.kind(), input: echo(input), ctx: self.context() }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotAModel => "model_attributes_type",
            Self::NotAnObject => "dict_type",
            Self::NotAList => "list_type",
            Self::TooFewItems(..) => "too_short",
            Self::TooManyItems(..) => "too_long",
            Self::NotAString => "string_type",
            Self::TooShort(_) => "string_too_short",
            Self::TooLong(_) | Self::TooLongBeside(..) => "string_too_long",
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
            Self::Extra(_) => "extra_forbidden",
            Self::Repeated => "multiple_argument_values",
            Self::NotJson(_) | Self::NotJsonIn(..) => "json_invalid",
            Self::Cursor | Self::PageTooFar | Self::PageWithCursor | Self::PageTooLarge(_) | Self::RepeatedStep => {
                "value_error"
            }
            Self::More(_) => "too_many_problems",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Missing => "Field required".to_owned(),
            Self::NotAModel => "Input should be a valid dictionary or object to extract fields from".to_owned(),
            Self::NotAnObject => "Input should be a valid dictionary".to_owned(),
            Self::NotAList => "Input should be a valid list".to_owned(),
            Self::TooFewItems(least, actual) => format!("List should have at least {}, not {actual}", items(*least)),
            Self::TooManyItems(most, actual) => format!("List should have at most {}, not {actual}", items(*most)),
            Self::RepeatedStep => {
                "This step is in the request already: send one report of a step in a request".to_owned()
            }
            Self::NotAString => "Input should be a valid string".to_owned(),
            Self::TooShort(length) => format!("String should have at least {}", characters(*length)),
            Self::TooLong(length) => format!("String should have at most {}", characters(*length)),
            Self::TooLongBeside(length, other) => {
                format!("String should have at most {}: send a longer text in {other}", characters(*length))
            }
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
            Self::Extra(None) => "Extra inputs are not permitted".to_owned(),
            Self::Extra(Some(known)) if known.is_empty() => {
                "Extra inputs are not permitted: there are none here".to_owned()
            }
            Self::Extra(Some(known)) => format!("Extra inputs are not permitted: there are {}", listed(known, "and")),
            Self::Repeated => "Got multiple values for a parameter that takes one".to_owned(),
            Self::NotJson(_) => "JSON decode error".to_owned(),
            Self::NotJsonIn(reason, field) => format!("JSON decode error in the field {field:?}: {reason}"),
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
                "The records of this page do not fit into one answer: ask for a page_size of at most {fitting}, or \
                 walk by cursor"
            ),
            Self::More(count) => format!("{count} more problems are not listed"),
        }
    }

    fn context(&self) -> Option<serde_json::Value> {
        use serde_json::json;
        Some(match self {
            Self::TooShort(length) => json!({ "min_length": length }),
            Self::TooLong(length) | Self::TooLongBeside(length, _) => json!({ "max_length": length }),
            Self::LessThan(bound) => json!({ "ge": bound }),
            Self::GreaterThan(bound) => json!({ "le": bound }),
            Self::NotOneOf(names) => json!({ "expected": expected(names) }),
            Self::NotJson(reason) | Self::NotJsonIn(reason, _) => json!({ "error": reason }),
            Self::Pattern(allowed) => json!({ "pattern": allowed }),
            Self::MalformedTime => json!({ "error": "not an RFC 3339 date and time" }),
            Self::TooFewItems(least, actual) => {
                json!({ "field_type": "List", "min_length": least, "actual_length": actual })
            }
            Self::TooManyItems(most, actual) => {
                json!({ "field_type": "List", "max_length": most, "actual_length": actual })
            }
            Self::Cursor | Self::PageTooFar | Self::PageWithCursor | Self::PageTooLarge(_) | Self::RepeatedStep => {
                json!({ "error": self.message() })
            }
            Self::Missing
            | Self::NotAModel
            | Self::NotAnObject
            | Self::NotAList
            | Self::NotAString
            | Self::NotAnInteger
            | Self::Fraction
            | Self::NotAnIntegerText
            | Self::NotANumber
            | Self::NotFinite
            | Self::NotATime
            | Self::TimeWithoutZone
            | Self::Extra(_)
            | Self::Repeated
            | Self::More(_) => return None,
        })
    }
}

fn items(count: usize) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}

fn characters(count: usize) -> String {
    if count == 1 { "1 character".to_owned() } else { format!("{count} characters") }
}

/// `'a', 'b' or 'c'`
fn expected(names: &[&str]) -> String {
    listed(names, "or")
}

/// Names in quotes, the last one after a word.
fn listed(names: &[&str], word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// One wrong value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(examples(json!(ValidationErrorKind::Fraction.at(vec!["body".into(), "tokens_used".into()], "1.5"))))
)]
pub struct ValidationError {
    /// The way to it: `body`, `query` or `header` first, then names of fields, and of an element of a list its index. A
    /// text that is not JSON has the offset of the mistake there, in characters.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub loc: Vec<Location>,
    /// A sentence for people.
    pub msg: String,
    /// pydantic's name of the fault, such as `missing`, `enum`, `int_type` or `extra_forbidden`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What was sent; of a long text its beginning.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub input: JsonText,
    /// The numbers and names in the sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Map<String, serde_json::Value>>, nullable = false))]
    pub ctx: Option<serde_json::Value>,
}

/// Everything that is wrong with a request.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValidationErrors {
    /// The problems.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub detail: Vec<ValidationError>,
}

#[cfg(feature = "openapi")]
impl ValidationErrors {
    /// Sample errors for the OpenAPI document: each with its location, its kind, and the JSON text of the input.
    #[must_use]
    pub fn sample<const N: usize>(errors: [(&[&str], ValidationErrorKind, &str); N]) -> Self {
        let error = |(loc, kind, input): (&[&str], ValidationErrorKind, &str)| {
            kind.at(loc.iter().map(|step| Location::from(*step)).collect(), input)
        };
        Self { detail: errors.map(error).into() }
    }
}

/// A text as JSON.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The input as JSON; a long one as a string that holds its beginning.
fn echo(input: &str) -> JsonText {
    if input.len() <= MAX_ECHO {
        return JsonText::new_unchecked(input.to_owned());
    }
    let beginning = input.char_indices().take_while(|(at, _)| *at < MAX_ECHO / 2).map(|(_, character)| character);
    let beginning: String = beginning.collect();
    JsonText::new_unchecked(quote(&format!("{beginning}... ({} bytes)", input.len())))
}
