//! Which service, and which key: flags come before the environment, and that before the file.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ratchet_client::client::Client;
use serde::Deserialize;

use crate::arguments::Service;
use crate::errors::CliError;

/// The profile of the file that is used where none is named.
const DEFAULT: &str = "default";

/// One profile of the file.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Profile {
    url: Option<String>,
    api_key: Option<String>,
}

/// The client of the service that the command line, the environment or the file names.
///
/// # Errors
///
/// What is missing, and where it could be said.
pub fn client(service: &Service) -> Result<Client, CliError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let named = service.profile.clone().or_else(|| variable("RATCHET_PROFILE"));
    let path = service.config.clone().or_else(default_path);
    let profile = match &path {
        Some(path) => read_profile(path, named.as_deref(), service.config.is_some())?,
        None => Profile::default(),
    };
    let environment = Profile { url: variable("RATCHET_URL"), api_key: variable("RATCHET_API_KEY") };
    let (url, key) = choose(service.url.as_deref(), named.is_some(), environment, profile)
        .map_err(|message| CliError::usage(with_place(&message, path.as_deref())))?;
    Client::new(&url, &key).map_err(CliError::from)
}

fn with_place(message: &str, path: Option<&Path>) -> String {
    let place = path.map_or_else(String::new, |path| format!(", or in {}", path.display()));
    message.replace("{file}", &place)
}

/// The URL and the key. A key is used with the URL that it belongs to alone: one that stands beside another URL in the file is
/// never sent elsewhere.
fn choose(
    flag: Option<&str>,
    profile_is_named: bool,
    environment: Profile,
    profile: Profile,
) -> Result<(String, String), String> {
    // A profile that was asked for by name comes before what the environment happens to have.
    let (first, second) = if profile_is_named { (profile, environment) } else { (environment, profile) };
    let url = flag
        .map(str::to_owned)
        .or_else(|| first.url.clone())
        .or_else(|| second.url.clone())
        .ok_or("no service is named: set RATCHET_URL, give --url{file}")?;
    let belongs = |settings: &Profile, is_file: bool| {
        let other = settings.url.as_ref().is_some_and(|own| *own != url);
        settings.api_key.clone().filter(|_| !(is_file && other))
    };
    belongs(&first, profile_is_named)
        .or_else(|| belongs(&second, !profile_is_named))
        .map(|key| (url, key))
        .ok_or_else(|| "no API key for this URL: set RATCHET_API_KEY{file}".to_owned())
}

/// Where the file is, if it is not named.
fn default_path() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("ratchet").join("config.toml"))
}

/// Reads a profile of the file. A file that is not there has none, unless it was named.
fn read_profile(path: &Path, name: Option<&str>, is_named: bool) -> Result<Profile, CliError> {
    let place = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
            return match name {
                None | Some(DEFAULT) => Ok(Profile::default()),
                Some(name) => Err(CliError::usage(format!("there is no profile {name}: {place} is not there"))),
            };
        }
        Err(error) => return Err(CliError::usage(format!("{place} cannot be read: {error}"))),
    };
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        return Err(CliError::usage(format!("{place} has keys in it, and others may read it: chmod 600 {place}")));
    }
    profile_of(&text, name).map_err(|message| CliError::usage(format!("{place}: {message}")))
}

/// A profile in the text of the file.
fn profile_of(text: &str, name: Option<&str>) -> Result<Profile, String> {
    // Without the library's excerpt of the text, which may be a key's line.
    let profiles: BTreeMap<String, Profile> =
        toml::from_str(text).map_err(|error| error.message().trim().to_owned())?;
    match (profiles.get(name.unwrap_or(DEFAULT)), name) {
        (Some(profile), _) => Ok(profile.clone()),
        (None, None) => Ok(Profile::default()),
        (None, Some(name)) => {
            let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
            Err(format!("there is no profile {name}, only: {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(url: &str, key: &str) -> Profile {
        let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Profile { url: set(url), api_key: set(key) }
    }

    fn chosen(flag: Option<&str>, named: bool, environment: Profile, file: Profile) -> Option<(String, String)> {
        choose(flag, named, environment, file).ok()
    }

    fn pair(url: &str, key: &str) -> (String, String) {
        (url.to_owned(), key.to_owned())
    }

    #[test]
    fn the_environment_comes_before_the_file_and_a_named_profile_before_both() {
        let (environment, file) = (profile("http://e", "ke"), profile("http://f", "kf"));
        assert_eq!(chosen(None, false, environment.clone(), file.clone()), Some(pair("http://e", "ke")));
        assert_eq!(chosen(None, true, environment.clone(), file.clone()), Some(pair("http://f", "kf")));
        assert_eq!(chosen(None, false, Profile::default(), file), Some(pair("http://f", "kf")));
        assert_eq!(chosen(Some("http://x"), false, environment, Profile::default()), Some(pair("http://x", "ke")));
    }

    #[test]
    fn a_key_of_the_file_is_never_sent_to_another_url() {
        let file = profile("http://f", "kf");
        assert_eq!(chosen(Some("http://x"), false, Profile::default(), file.clone()), None);
        assert_eq!(chosen(None, false, profile("http://e", ""), file.clone()), None);
        assert_eq!(chosen(Some("http://f"), false, Profile::default(), file.clone()), Some(pair("http://f", "kf")));
        assert_eq!(chosen(Some("http://x"), true, Profile::default(), file), None);
    }

    #[test]
    fn a_profile_is_read_by_its_name() {
        let text = "[default]\nurl = \"http://a\"\napi_key = \"ka\"\n[staging]\nurl = \"http://b\"\n";
        assert_eq!(profile_of(text, None), Ok(profile("http://a", "ka")));
        assert_eq!(profile_of(text, Some("staging")), Ok(profile("http://b", "")));
        assert_eq!(profile_of(text, Some("prod")), Err("there is no profile prod, only: default, staging".to_owned()));
        assert_eq!(profile_of("", None), Ok(Profile::default()));
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said_without_its_keys() {
        for text in
            ["[default]\napi_key = \"rk_secret", "[default]\napikey = \"rk_secret\"", "rk_secret", "[default]\nurl = 5"]
        {
            let error = profile_of(text, None).unwrap_err();
            assert!(!error.contains("rk_secret"), "{error}");
        }
    }
}
