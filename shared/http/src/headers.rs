//! The grammar of request headers: entity tags and media types.

/// An entity tag (RFC 9110, 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it is a weak one: `W/"..."`.
    pub weak: bool,
    /// The text between the quotes.
    pub opaque: &'a str,
}

/// Parses a list of entity tags; `None` if the text is not one. The text between quotes may be anything but quotes,
/// commas included.
#[must_use]
pub fn entity_tags(text: &str) -> Option<Vec<EntityTag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(EntityTag { weak, opaque });
        let after = after.trim_start();
        if after.is_empty() {
            return Some(tags);
        }
        rest = after.strip_prefix(',')?.trim_start();
    }
}

/// Whether a media type is one of the formats that say how to patch and not what to write: JSON Merge Patch (RFC 7396)
/// and JSON Patch (RFC 6902). Objects replace here, they do not merge, and a format that asks for the other must not be
/// taken for it.
#[must_use]
pub fn is_patch_format(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["application/merge-patch+json", "application/json-patch+json"]
        .iter()
        .any(|patch| media_type.eq_ignore_ascii_case(patch))
}

/// `application/json` or `*+json`, in UTF-8 if it names a charset.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = media_type == "application/json"
        || media_type.split_once('/').is_some_and(|(kind, subtype)| {
            !kind.is_empty() && subtype.len() > "+json".len() && subtype.ends_with("+json")
        });
    json && !is_patch_format(content_type)
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let charset = value.trim().trim_matches('"');
                charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
            }
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognized_by_its_content_type() {
        for json in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/vnd.acme.report+json",
            "application/json; profile=x",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in [
            "text/plain",
            "",
            "application/merge-patch+json",
            "Application/JSON-Patch+JSON; charset=utf-8",
            "application/json; charset=latin1",
            "application/jsonx",
            "+json",
            "a/+json",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn a_list_of_entity_tags_is_parsed_with_any_text_in_the_quotes() {
        let tag = |weak: bool, opaque: &'static str| EntityTag { weak, opaque };
        for (text, tags) in [
            ("\"7\"", Some(vec![tag(false, "7")])),
            (" W/\"7\" , \"a,b\",\"\" ", Some(vec![tag(true, "7"), tag(false, "a,b"), tag(false, "")])),
            ("", None),
            ("7", None),
            ("\"7", None),
            ("\"7\" \"8\"", None),
            ("\"7\",", None),
            ("w/\"7\"", None),
            ("*, \"7\"", None),
        ] {
            assert_eq!(entity_tags(text), tags, "{text}");
        }
    }
}
