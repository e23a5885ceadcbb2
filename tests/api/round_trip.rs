//! Every object comes back as it was sent: the digits of its numbers, the order of its keys, every character of its strings
//! (contract, "The record").
//!
//! A reader in this file, which keeps exactly these, compares what was sent and what came back. The service's reader, and one
//! that rounds numbers as `serde_json::Value` does, would hide what they lose.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;
use tests::{Answer, Api, text};

/// A JSON value without what has no meaning: white space and the spelling of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Json {
    /// `true`, `false` or `null`.
    Literal(&'static str),
    /// A number, digit by digit.
    Number(String),
    /// A string, decoded.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in its order.
    Object(Vec<(String, Json)>),
}

impl Json {
    fn depth(&self) -> usize {
        match self {
            Self::Literal(_) | Self::Number(_) | Self::Text(_) => 0,
            Self::List(values) => 1 + values.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
        }
    }

    /// The value in which only the last member of a repeated key is left.
    fn settled(self) -> Self {
        match self {
            Self::List(values) => Self::List(values.into_iter().map(Self::settled).collect()),
            Self::Object(members) => {
                let mut kept: Vec<(String, Self)> = Vec::new();
                for (key, value) in members {
                    kept.retain(|(earlier, _)| *earlier != key);
                    kept.push((key, value.settled()));
                }
                Self::Object(kept)
            }
            scalar => scalar,
        }
    }
}

/// Reads compact or spaced JSON. Ends the test if the text is not JSON.
struct Reader<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Reader<'_> {
    fn read(text: &str) -> Json {
        let mut reader = Reader(text.chars().peekable());
        let value = reader.value();
        assert_eq!(reader.next_token(), None, "after the end of {text}");
        value
    }

    fn next_token(&mut self) -> Option<char> {
        while self.0.next_if(|character| " \t\r\n".contains(*character)).is_some() {}
        self.0.peek().copied()
    }

    fn expect(&mut self, expected: char) {
        assert_eq!(self.next_token(), Some(expected));
        self.0.next();
    }

    fn value(&mut self) -> Json {
        match self.next_token() {
            Some('{') => Json::Object(self.items('{', '}', |reader| {
                reader.next_token();
                let key = reader.text();
                reader.expect(':');
                (key, reader.value())
            })),
            Some('[') => Json::List(self.items('[', ']', Self::value)),
            Some('"') => Json::Text(self.text()),
            Some(_) => {
                let mut word = String::new();
                while let Some(character) = self.0.next_if(|character| !" \t\r\n,]}".contains(*character)) {
                    word.push(character);
                }
                let literal = ["true", "false", "null"].into_iter().find(|literal| *literal == word);
                literal.map_or(Json::Number(word), Json::Literal)
            }
            None => panic!("a value is missing"),
        }
    }

    fn items<T>(&mut self, open: char, close: char, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        self.expect(open);
        let mut items = Vec::new();
        if self.next_token() != Some(close) {
            items.push(item(self));
            while self.next_token() == Some(',') {
                self.expect(',');
                items.push(item(self));
            }
        }
        self.expect(close);
        items
    }

    fn text(&mut self) -> String {
        self.expect('"');
        let mut units: Vec<u16> = Vec::new();
        loop {
            let character = match self.0.next().expect("the end of a string") {
                '"' => break,
                '\\' => match self.0.next().expect("an escape") {
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let digits: String = self.0.by_ref().take(4).collect();
                        units.push(u16::from_str_radix(&digits, 16).expect("four hexadecimal digits"));
                        continue;
                    }
                    itself => itself,
                },
                itself => itself,
            };
            units.extend(character.encode_utf16(&mut [0; 2]).iter());
        }
        String::from_utf16(&units).expect("whole characters")
    }
}

/// Writes a value in one of the many spellings that it has. `choices` picks the spelling.
struct Writer<'a> {
    choices: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    out: String,
}

impl<'a> Writer<'a> {
    fn write(value: &Json, choices: &'a [u8]) -> String {
        let mut writer = Self { choices: choices.iter().cycle(), out: String::new() };
        writer.value(value);
        writer.out
    }

    fn choice(&mut self) -> u8 {
        self.choices.next().copied().unwrap_or(0)
    }

    fn space(&mut self) {
        let choice = usize::from(self.choice());
        self.out.push_str(["", "", "", " ", "\n", "\t", "\r\n  "][choice % 7]);
    }

    fn value(&mut self, value: &Json) {
        self.space();
        match value {
            Json::Literal(literal) => self.out.push_str(literal),
            Json::Number(digits) => self.out.push_str(digits),
            Json::Text(text) => self.text(text),
            Json::List(values) => {
                self.out.push('[');
                for (index, value) in values.iter().enumerate() {
                    self.comma(index);
                    self.value(value);
                }
                self.space();
                self.out.push(']');
            }
            Json::Object(members) => {
                self.out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    self.comma(index);
                    self.space();
                    self.text(key);
                    self.space();
                    self.out.push(':');
                    self.value(value);
                }
                self.space();
                self.out.push('}');
            }
        }
        self.space();
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            let short = match character {
                '"' | '\\' | '/' => Some(character),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                _ => None,
            };
            let must = character < ' ' || character == '"' || character == '\\';
            match (self.choice() % 5, short) {
                (0, _) => self.units(character, |unit| format!("\\u{unit:04x}")),
                (1, _) => self.units(character, |unit| format!("\\u{unit:04X}")),
                (2, Some(short)) => self.out.extend(['\\', short]),
                (_, Some(short)) if must => self.out.extend(['\\', short]),
                _ if must => self.units(character, |unit| format!("\\u{unit:04x}")),
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }

    fn units(&mut self, character: char, write: impl Fn(u16) -> String) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            self.out.push_str(&write(*unit));
        }
    }
}

/// Every kind of character: ASCII and its controls, the bounds of the surrogates' range, astral ones, marks and invisible ones.
fn characters() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        1 => proptest::char::range('\0', '\u{1f}'),
        1 => proptest::sample::select(
            vec!['"', '\\', '/', '\u{7f}', '\u{a0}', '\u{2028}', '\u{d7ff}', '\u{e000}', '\u{feff}', '\u{ffff}'],
        ),
        1 => proptest::char::range('\u{10000}', '\u{10ffff}'),
        1 => any::<char>(),
    ];
    vec(character, 0..12).prop_map(|characters| characters.into_iter().collect())
}

/// Numbers as texts: a conversion to a double and back would change each of these.
fn numbers() -> impl Strategy<Value = String> {
    let known = [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1.0",
        "1e300",
        "1E+400",
        "-1e-400",
        "0e0",
        "1e00",
        "0.10",
        "100e-2",
        "9007199254740993",
        "-9223372036854775809",
        "18446744073709551616",
        "1234567890123456789012345678901234567890",
    ];
    let digits = |count| vec(proptest::char::range('0', '9'), count).prop_map(|digits| digits.into_iter().collect());
    let whole = (proptest::char::range('1', '9'), digits(0..45))
        .prop_map(|(first, rest): (char, String)| format!("{first}{rest}"));
    let created = (
        any::<bool>(),
        prop_oneof![Just("0".to_owned()), whole],
        proptest::option::of(digits(1..25)),
        proptest::option::of((proptest::sample::select(vec!["e", "E", "e+", "E-"]), digits(1..5))),
    )
        .prop_map(|(negative, whole, fraction, exponent): (_, _, Option<String>, Option<(&str, String)>)| {
            let sign = if negative { "-" } else { "" };
            let fraction = fraction.map_or(String::new(), |digits| format!(".{digits}"));
            let exponent = exponent.map_or(String::new(), |(mark, digits)| format!("{mark}{digits}"));
            format!("{sign}{whole}{fraction}{exponent}")
        });
    prop_oneof![proptest::sample::select(known.to_vec()).prop_map(str::to_owned), created]
}

fn keys() -> impl Strategy<Value = String> {
    // Also from a few short ones, so that some repeat.
    prop_oneof![proptest::sample::select(vec!["", "a", "b", "message"]).prop_map(str::to_owned), characters()]
}

/// An object, up to 100 levels deep.
fn objects() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        proptest::sample::select(vec!["true", "false", "null"]).prop_map(Json::Literal),
        numbers().prop_map(Json::Number),
        characters().prop_map(Json::Text),
    ];
    let tree = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![vec(inner.clone(), 0..6).prop_map(Json::List), vec((keys(), inner), 0..6).prop_map(Json::Object),]
    });
    let around = prop_oneof![3 => Just(0usize), 1 => 0usize..100, 1 => Just(99)];
    (vec((keys(), tree), 0..6), around, any::<u64>()).prop_map(|(members, around, kinds)| {
        let mut value = Json::Object(members);
        let levels = 99usize.saturating_sub(value.depth()).min(around);
        for level in 0..levels {
            value = if kinds >> (level % 64) & 1 == 0 {
                Json::List(vec![value])
            } else {
                Json::Object(vec![("in".to_owned(), value)])
            };
        }
        if levels > 0 { Json::Object(vec![("out".to_owned(), value)]) } else { value }
    })
}

/// A value and one of its spellings.
fn spelled() -> impl Strategy<Value = (Json, String)> {
    (objects(), vec(any::<u8>(), 1..64)).prop_map(|(value, choices)| {
        let text = Writer::write(&value, &choices);
        (value.settled(), text)
    })
}

fn runner(cases: u32) -> TestRunner {
    // A failure prints its smallest case. That becomes a test of its own and is not kept in a file.
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// The members of an object, as texts.
fn members(text: &str) -> HashMap<String, Box<RawValue>> {
    serde_json::from_str(text).expect("an object")
}

#[test]
fn this_files_own_reader_keeps_what_counts() {
    let object = |members: &[(&str, Json)]| {
        Json::Object(members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let number = |digits: &str| Json::Number(digits.to_owned());
    let read = Reader::read(" {\"b\" : [1.0,\n-0 ] , \"\\u0061\\ud83d\\ude00\\/\":null,\"b\":\"\"} ");
    let list = Json::List(vec![number("1.0"), number("-0")]);
    let expected = object(&[("b", list), ("a😀/", Json::Literal("null")), ("b", Json::Text(String::new()))]);
    assert_eq!(read, expected);
    assert_eq!(expected.depth(), 2);
    assert_eq!(expected.settled(), object(&[("a😀/", Json::Literal("null")), ("b", Json::Text(String::new()))]));
    assert_ne!(Reader::read("{\"a\":1}"), Reader::read("{\"a\":1.0}"));
    assert_ne!(Reader::read("{\"a\":1,\"b\":2}"), Reader::read("{\"b\":2,\"a\":1}"));
}

#[test]
fn the_reader_keeps_every_object_as_it_was_written() {
    let outcome = runner(2_000).run(&spelled(), |(value, text)| {
        let document = ratchet_model::json::parse(&text).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert_eq!(Reader::read(document.text()), value.clone());
        // What it kept, it keeps.
        let again =
            ratchet_model::json::parse(document.text()).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert_eq!(again.text(), document.text());
        let Json::Object(expected) = value else { return Err(TestCaseError::fail("no object")) };
        let found: Vec<(String, Json)> = document
            .members()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.to_owned(), Reader::read(value)))
            .collect();
        prop_assert_eq!(found, expected);
        Ok(())
    });
    outcome.expect("every object as it was written");
}

#[test]
fn the_reader_takes_and_refuses_what_another_reader_does() {
    let damage = (
        spelled(),
        any::<proptest::sample::Index>(),
        0usize..4,
        proptest::sample::select(vec![
            "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "\\u", "\\ud800", "\n", "\u{1}", "é", "tru",
            " ",
        ]),
    );
    let outcome = runner(2_000).run(&damage, |((_, text), at, removed, inserted)| {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let start = at.index(places.len());
        let end = places.get(start + removed).copied().unwrap_or(text.len());
        let damaged = format!("{}{inserted}{}", &text[..places[start]], &text[end..]);
        let expected = match serde_json::from_str::<Value>(&damaged) {
            Ok(_) => true,
            // A limit of serde_json that JSON does not have.
            Err(error) if error.to_string().contains("number out of range") => return Ok(()),
            Err(_) => false,
        };
        let found = ratchet_model::json::parse(&damaged);
        prop_assert_eq!(found.is_ok(), expected, "{}: {:?}", damaged, found.err());
        Ok(())
    });
    outcome.expect("both readers agree");
}

/// Ends the case unless a field of an answer is what was sent.
fn check(answer: &str, field: &str, sent: &Json) -> Result<(), TestCaseError> {
    let members = members(answer);
    let found = members.get(field).ok_or_else(|| TestCaseError::fail(format!("{field} is missing: {answer}")))?;
    prop_assert_eq!(&Reader::read(found.get()), sent, "{}", field);
    Ok(())
}

async fn send(api: &Api, method: Method, path: &str, members: &[(&str, &str)]) -> Result<Answer, TestCaseError> {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let call = api.request(method, path).header("content-type", "application/json");
    let answer = call.body(format!("{{{}}}", members.join(","))).send().await;
    if answer.status == 200 {
        Ok(answer)
    } else {
        Err(TestCaseError::fail(format!("{}: {}", answer.status, answer.text)))
    }
}

/// Sends one execution through every operation that writes or shows objects.
async fn walk(api: &Api, sent: &[(Json, String)]) -> Result<(), TestCaseError> {
    let [data, variables, metadata, output, metrics, details, other, info] = sent else {
        return Err(TestCaseError::fail("eight objects"));
    };
    let first = [("trigger_data", data), ("variables", variables), ("metadata", metadata)];
    let second =
        [("final_output", output), ("performance_metrics", metrics), ("error_details", details), ("metadata", other)];

    let required = [("flow_id", "\"demo\""), ("trigger_type", "\"test\"")];
    let fields: Vec<(&str, &str)> =
        required.into_iter().chain(first.iter().map(|(name, (_, text))| (*name, text.as_str()))).collect();
    let created = send(api, Method::POST, "/flows/execute", &fields).await?;
    let created_record = members(&created.text)["execution"].get().to_owned();
    let id = members(&created_record)["id"].get().trim_matches('"').to_owned();
    let path = format!("/flows/executions/{id}");
    let read = api.get(&path).await.text;
    for record in [&created_record, &read] {
        for (name, (value, _)) in &first {
            check(record, name, value)?;
        }
    }

    let fields: Vec<(&str, &str)> = [("status", "\"running\"")]
        .into_iter()
        .chain(second.iter().map(|(name, (_, text))| (*name, text.as_str())))
        .collect();
    let updated = send(api, Method::PATCH, &path, &fields).await?.text;
    let read = api.get(&path).await.text;
    let list = api.get("/flows/executions?page_size=1").await.text;
    let listed: Vec<Box<RawValue>> = serde_json::from_str(members(&list)["executions"].get()).expect("a list");
    let [listed] = &listed[..] else { return Err(TestCaseError::fail(format!("not one execution: {list}"))) };
    for record in [&updated, &read, &listed.get().to_owned()] {
        let found = members(record)["id"].get().to_owned();
        prop_assert_eq!(found, format!("\"{id}\""));
        for (name, (value, _)) in first.iter().take(2).chain(&second) {
            check(record, name, value)?;
        }
    }

    send(api, Method::PATCH, &format!("/executions/{id}"), &[("status", "\"failed\""), ("error_info", &info.1)])
        .await?;
    let read = api.get(&path).await.text;
    check(&read, "error_details", &info.0)?;
    // No other field changed; and a `message` in it is the error message, with all of its characters.
    check(&read, "metadata", &other.0)?;
    let Json::Object(info) = &info.0 else { return Err(TestCaseError::fail("no object")) };
    let message = info.iter().find(|(key, message)| key == "message" && matches!(message, Json::Text(_)));
    check(&read, "error_message", message.map_or(&Json::Literal("null"), |(_, message)| message))
}

#[test]
fn every_object_comes_back_from_the_store_as_it_was_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let api = runtime.block_on(Api::start());
    let outcome = runner(64).run(&vec(spelled(), 8), |sent| runtime.block_on(walk(&api, &sent)));
    outcome.expect("every object as it was sent");
}

#[test]
fn every_text_comes_back_from_the_store_as_it_was_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let api = runtime.block_on(Api::start());
    let texts = vec((characters(), vec(any::<u8>(), 1..16)), 3);
    let outcome = runner(64).run(&texts, |texts| {
        let names = ["flow_id", "agent_id", "parent_execution_id"];
        let given: Vec<(&str, &String)> =
            names.into_iter().zip(texts.iter().map(|(text, _)| text)).filter(|(_, text)| !text.is_empty()).collect();
        let spelled: Vec<String> = given
            .iter()
            .zip(&texts)
            .map(|((_, text), (_, choices))| Writer::write(&Json::Text((*text).clone()), choices))
            .collect();
        let mut fields: Vec<(&str, &str)> = vec![("flow_id", "\"demo\""), ("trigger_type", "\"test\"")];
        fields.extend(given.iter().zip(&spelled).map(|((name, _), text)| (*name, text.as_str())));
        runtime.block_on(async {
            let created = send(&api, Method::POST, "/flows/execute", &fields).await?;
            let id = text(&created.body["execution"]["id"]);
            let read = api.get(&format!("/flows/executions/{id}")).await;
            for (name, text) in &given {
                prop_assert_eq!(read.body[*name].as_str(), Some(text.as_str()), "{}", name);
            }
            // It is found by its flow, whatever the flow's name.
            let flow = text(&read.body["flow_id"]);
            let query: Vec<String> = flow.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let list = api.get(&format!("/flows/executions?page_size=1&flow_id={}", query.concat())).await;
            prop_assert_eq!(&list.body["executions"][0]["id"], id.as_str());

            let message = Writer::write(&Json::Text(texts[0].0.clone()), &texts[0].1);
            let path = format!("/flows/executions/{id}");
            let update = [("error_message", message.as_str()), ("status", "\"failed\"")];
            let updated = send(&api, Method::PATCH, &path, &update).await?;
            prop_assert_eq!(updated.body["error_message"].as_str(), Some(texts[0].0.as_str()));
            let transitions = api.get(&format!("/executions/{id}/transitions")).await;
            prop_assert_eq!(transitions.body["transitions"][0]["reason"].as_str(), Some(texts[0].0.as_str()));
            Ok(())
        })
    });
    outcome.expect("every text as it was sent");
}
