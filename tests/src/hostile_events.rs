//! API Gateway's events that mean harm: texts that follow from a seed, in every place that a caller can fill and in what else
//! stands in an event as text; and what a function must read of each.
//!
//! What is expected is found without the crates that the service reads events with: a mistake of theirs must not be expected.

use std::fmt::Write;

use crate::seeded::Random;

/// What texts are made of: everything that means something in a URL, in a header or in JSON, and what means nothing there.
const PARTS: [&str; 68] = [
    "a",
    "Z",
    "7",
    ".",
    "..",
    "-",
    "_",
    "~",
    "!",
    "$",
    "*",
    "'",
    "(",
    ")",
    ",",
    ";",
    ":",
    "/",
    "//",
    "\\",
    "?",
    "#",
    "&",
    "=",
    "==",
    "+",
    "@",
    "|",
    "^",
    "`",
    "<",
    ">",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "%",
    "%zz",
    "%2",
    "%20",
    "%00",
    "%ff",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "\u{1}",
    "\u{1b}",
    "\u{7f}",
    "\u{80}",
    "\u{ad}",
    "é",
    "😀",
    "\u{feff}",
    "\u{202e}",
    "\u{3002}",
    "\u{ff5e}",
    "xn--",
    "localhost",
    "http",
    "https",
    "data:",
    "::1",
    "1.2.3.4",
    "256.1",
    "99999",
];

/// Of how many of these a text is made.
const LENGTHS: [u64; 12] = [0, 1, 1, 1, 2, 2, 2, 3, 3, 5, 9, 40];

/// Names of headers that a function reads, or somebody on the way to it does.
const NAMES: [&str; 10] = [
    "accept",
    "content-length",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "prefer",
    "transfer-encoding",
    "x-correlation-id",
    "x-forwarded-for",
    "X-Upper",
];

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    let at = random.below(choices.len() as u64);
    *usize::try_from(at).ok().and_then(|at| choices.get(at)).expect("one of the choices")
}

fn text(random: &mut Random) -> String {
    (0..pick(random, &LENGTHS)).map(|_| pick(random, &PARTS)).collect()
}

/// An event.
#[derive(Debug)]
pub struct HostileEvent {
    /// The path, not percent-encoded.
    pub path: String,
    /// The query as it stands in the URL.
    pub query: String,
    /// The headers, in no two spellings of one name.
    pub headers: Vec<(String, String)>,
    /// The cookies.
    pub cookies: Vec<String>,
    /// The parameter in the path.
    pub execution_id: String,
    /// The body as it stands in the event.
    pub body: String,
    /// Whether that claims to be base64.
    pub is_base64: bool,
    /// The id of the request.
    pub request_id: String,
    domain_name: Option<String>,
    stage: Option<String>,
    user_agent: Option<String>,
    parameter: Option<String>,
}

impl HostileEvent {
    /// The next one. A part that means no harm is short or left out: reading it would say nothing, and takes time.
    pub fn roll(random: &mut Random) -> Self {
        let mut hostile = |per_mille: u64| random.chance(per_mille).then(|| text(random));
        let mut event = Self {
            path: hostile(150).unwrap_or_else(|| "/executions".to_owned()),
            query: hostile(333).unwrap_or_default(),
            headers: Vec::new(),
            cookies: Vec::new(),
            execution_id: hostile(200).unwrap_or_else(|| "1".to_owned()),
            body: hostile(333).unwrap_or_else(|| "{}".to_owned()),
            is_base64: false,
            request_id: hostile(100).unwrap_or_else(|| "r".to_owned()),
            domain_name: hostile(100),
            stage: hostile(100),
            user_agent: hostile(100),
            parameter: hostile(100),
        };
        for name in ["host", "x-forwarded-proto", "user-agent", "content-type"] {
            event.headers.extend(hostile(150).map(|value| (name.to_owned(), value)));
        }
        if random.chance(150) {
            // A path that begins as paths do, and goes on as none does.
            event.path = format!("/{}", text(random));
        }
        for _ in 0..pick(random, &[0, 0, 1, 2]) {
            let name = if random.chance(600) { pick(random, &NAMES).to_owned() } else { text(random) };
            let value = text(random);
            if !event.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
                event.headers.push((name, value));
            }
        }
        if random.chance(200) {
            event.cookies = (0..=random.below(2)).map(|_| text(random)).collect();
        }
        event.is_base64 = random.chance(333);
        if event.is_base64 && random.chance(700) {
            event.body = base64(event.body.as_bytes());
        }
        event
    }

    /// As API Gateway writes it, but for members that no function reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(1_024);
        json.push('{');
        member(&mut json, "rawPath", &self.path);
        member(&mut json, "rawQueryString", &self.query);
        json.push_str(r#","headers":{"#);
        for (name, value) in &self.headers {
            member(&mut json, name, value);
        }
        json.push_str(r#"},"pathParameters":{"#);
        member(&mut json, "execution_id", &self.execution_id);
        if let Some(parameter) = &self.parameter {
            json.push_str(r#"},"queryStringParameters":{"#);
            member(&mut json, parameter, parameter);
        }
        json.push_str(r#"},"requestContext":{"timeEpoch":1767225600000,"http":{"method":"PATCH""#);
        if let Some(user_agent) = &self.user_agent {
            member(&mut json, "userAgent", user_agent);
        }
        json.push_str(r#"},"authorizer":{"lambda":{"organization_id":"acme","key_id":"k","scopes":"admin"}}"#);
        member(&mut json, "requestId", &self.request_id);
        for (name, value) in [("domainName", &self.domain_name), ("stage", &self.stage)] {
            if let Some(value) = value {
                member(&mut json, name, value);
            }
        }
        json.push('}');
        if let [first, rest @ ..] = &self.cookies[..] {
            json.push_str(r#","cookies":["#);
            quote(&mut json, first);
            for cookie in rest {
                json.push(',');
                quote(&mut json, cookie);
            }
            json.push(']');
        }
        member(&mut json, "body", &self.body);
        json.push_str(if self.is_base64 { r#","isBase64Encoded":true}"# } else { r#","isBase64Encoded":false}"# });
        json
    }

    /// The parameters of the query, decoded as the URL standard says (application/x-www-form-urlencoded).
    #[must_use]
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let parts = self.query.split('&').filter(|part| !part.is_empty());
        parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(n, v)| (decode(n), decode(v))).collect()
    }

    /// The bytes of the body: what is in the base64, or the text if it is none.
    #[must_use]
    pub fn body_bytes(&self) -> Vec<u8> {
        let decoded = self.is_base64.then(|| decode_base64(&self.body)).flatten();
        decoded.unwrap_or_else(|| self.body.clone().into_bytes())
    }

    /// Whether the body claims to be base64 and is not.
    #[must_use]
    pub fn is_base64_by_mistake(&self) -> bool {
        self.is_base64 && decode_base64(&self.body).is_none()
    }

    /// The headers that HTTP allows (RFC 9110, 5.1) but for Host, which no function needs; control characters in their
    /// values as spaces (5.5).
    #[must_use]
    pub fn legal_headers(&self) -> Vec<(&str, String)> {
        let legal = self.headers.iter().filter(|(name, _)| is_token(name) && name != "host");
        legal.map(|(name, value)| (name.as_str(), value.replace(is_illegal, " "))).collect()
    }

    /// Whether there is a header that HTTP does not allow.
    #[must_use]
    pub fn has_illegal_headers(&self) -> bool {
        self.headers.iter().any(|(name, value)| !is_token(name) || value.contains(is_illegal))
    }

    /// The header that the cookies make, if HTTP allows it.
    #[must_use]
    pub fn cookie_header(&self) -> Option<String> {
        let joined = self.cookies.join("; ");
        (!self.cookies.is_empty() && !joined.contains(is_illegal)).then_some(joined)
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a header's value may not have it.
fn is_illegal(character: char) -> bool {
    character.is_ascii_control() && character != '\t'
}

/// Writes a member of an object.
fn member(json: &mut String, name: &str, value: &str) {
    if !json.ends_with('{') {
        json.push(',');
    }
    quote(json, name);
    json.push(':');
    quote(json, value);
}

/// Writes a string.
fn quote(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let (plain, after) = rest.split_at(at);
        let (escaped, after) = after.split_at(1);
        json.push_str(plain);
        write!(json, "\\u{:04x}", escaped.as_bytes()[0]).expect("a string takes everything");
        rest = after;
    }
    json.push_str(rest);
    json.push('"');
}

fn decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (*first, digit(after.first()), digit(after.get(1))) {
            (b'+', ..) => b' ',
            (b'%', Some(high), Some(low)) => {
                rest = after.get(2..).unwrap_or_default();
                u8::try_from(high << 4 | low).expect("two digits")
            }
            (other, ..) => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// In base64 (RFC 4648, 4), with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let digit = |bits: u32| char::from(DIGITS[(bits & 63) as usize]);
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let all = [digit(bits >> 18), digit(bits >> 12), digit(bits >> 6), digit(bits)];
        text.extend(&all[..=chunk.len()]);
        text.extend(std::iter::repeat_n('=', 3 - chunk.len()));
    }
    text
}

/// What a text in base64 holds; `None` for every text that [`base64`] does not write.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        bits = (bits << 6 | u32::try_from(digit).ok()?) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xFF).ok()?);
        }
    }
    (base64(&bytes) == text).then_some(bytes)
}
