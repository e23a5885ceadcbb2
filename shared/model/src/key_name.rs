//! The name of an API key (contract, "Keys and scopes").

use std::fmt;

use serde::{Serialize, Serializer};

use crate::limits::MAX_KEY_NAME;

/// The name that an operator gave to an API key, such as `CI deploy bot`: 1 to [`MAX_KEY_NAME`] characters, no blank at
/// either end, and no character that a reader cannot see. It is shown to people, beside the key's id, and identifies
/// nothing: two keys may have one name.
///
/// A name that was accepted once must be accepted for good: a key whose name is refused when its item is read lets
/// nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

/// Why a text is not the name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNameError {
    /// It has no character.
    Empty,
    /// It has more than [`MAX_KEY_NAME`] characters; how many.
    TooLong(usize),
    /// It begins or ends with a blank, by which it would differ from another name unseen.
    BlankAtAnEnd,
    /// It has this character, which is not allowed.
    Character(char),
}

impl KeyName {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// [`KeyNameError`], the first that applies.
    pub fn parse(text: &str) -> Result<Self, KeyNameError> {
        let length = text.chars().count();
        if length == 0 {
            return Err(KeyNameError::Empty);
        }
        if length > MAX_KEY_NAME {
            return Err(KeyNameError::TooLong(length));
        }
        if let Some(character) = text.chars().find(|character| !is_allowed(*character)) {
            return Err(KeyNameError::Character(character));
        }
        // Not trimmed: what is stored is what was given.
        if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            return Err(KeyNameError::BlankAtAnEnd);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a name may have this character. Control characters and separators of lines would break the line in which a
/// name is shown; marks of direction would reorder what stands beside it (Unicode Technical Report 36, 2.5); and a
/// character of no width would make two names of one look. The joiners U+200C and U+200D are letters of some scripts and
/// parts of emoji, and stay.
fn is_allowed(character: char) -> bool {
    let hidden = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{2028}' | '\u{2029}')
        || matches!(character, '\u{200b}' | '\u{2060}' | '\u{feff}');
    !character.is_control() && !hidden
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_text_that_a_reader_can_see() {
        for name in
            ["a", "CI deploy bot", "Zoë's laptop", "デプロイ", "מפתח", "🦀 \u{1f469}\u{200d}\u{1f4bb}", "50% of \"#1\""]
        {
            assert_eq!(KeyName::parse(name).map(|name| name.to_string()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn its_length_counts_in_characters() {
        for character in ["x", "é", "🦀"] {
            assert!(KeyName::parse(&character.repeat(64)).is_ok(), "{character}");
            assert_eq!(KeyName::parse(&character.repeat(65)), Err(KeyNameError::TooLong(65)), "{character}");
        }
        assert_eq!(KeyName::parse(""), Err(KeyNameError::Empty));
    }

    #[test]
    fn what_a_reader_cannot_see_is_refused() {
        for name in [" a", "a ", "\u{a0}a", "a\u{3000}", " "] {
            assert_eq!(KeyName::parse(name), Err(KeyNameError::BlankAtAnEnd), "{name:?}");
        }
        let unseen = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}";
        for character in unseen.chars() {
            let refused = Err(KeyNameError::Character(character));
            assert_eq!(KeyName::parse(&format!("a{character}b")), refused, "{character:?}");
            assert_eq!(KeyName::parse(&character.to_string()), refused, "{character:?}");
        }
    }
}
