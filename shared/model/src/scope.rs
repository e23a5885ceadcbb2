//! What an API key may do (contract, "Keys and scopes").

use std::fmt;

use serde::{Serialize, Serializer};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "lowercase"))]
pub enum Scope {
    /// The GETs.
    Read,
    /// Execute, update execution, and `cancelled` on update execution status.
    Write,
    /// All.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope's name, as in the `scopes` of a key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a text is not a list of scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopesError {
    /// It has no name.
    Empty,
    /// The first name that is not a scope.
    Unknown(String),
}

/// The scopes of one key: at least one, where they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes {
    read: bool,
    write: bool,
    admin: bool,
}

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self { read: true, write: true, admin: true };

    /// Reads names separated by commas or spaces.
    ///
    /// # Errors
    ///
    /// [`ScopesError`].
    pub fn parse(names: &str) -> Result<Self, ScopesError> {
        let mut scopes = Self::default();
        for name in names.split([',', ' ']).filter(|name| !name.is_empty()) {
            match Scope::ALL.into_iter().find(|scope| scope.as_str() == name) {
                Some(Scope::Read) => scopes.read = true,
                Some(Scope::Write) => scopes.write = true,
                Some(Scope::Admin) => scopes.admin = true,
                None => return Err(ScopesError::Unknown(name.to_owned())),
            }
        }
        if scopes == Self::default() { Err(ScopesError::Empty) } else { Ok(scopes) }
    }

    /// The scopes that the key was given, in the order of [`Scope::ALL`].
    pub fn held(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| match scope {
            Scope::Read => self.read,
            Scope::Write => self.write,
            Scope::Admin => self.admin,
        })
    }

    /// Whether these scopes allow what `scope` allows. `admin` allows all.
    #[must_use]
    pub const fn allow(self, scope: Scope) -> bool {
        self.admin
            || match scope {
                Scope::Read => self.read,
                Scope::Write => self.write,
                Scope::Admin => false,
            }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.held().map(Scope::as_str).collect();
        formatter.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_admin_allows_all() {
        let read = Scopes::parse("read").unwrap();
        assert!(read.allow(Scope::Read) && !read.allow(Scope::Write) && !read.allow(Scope::Admin));
        let write = Scopes::parse("write").unwrap();
        assert!(!write.allow(Scope::Read) && write.allow(Scope::Write) && !write.allow(Scope::Admin));
        let admin = Scopes::parse("admin").unwrap();
        assert!(Scope::ALL.into_iter().all(|scope| admin.allow(scope)));
        assert_eq!(Scopes::parse("write, read").unwrap().to_string(), "read,write");
        assert_eq!(Scopes::parse("read,root"), Err(ScopesError::Unknown("root".to_owned())));
        assert_eq!(Scopes::parse(" "), Err(ScopesError::Empty));
    }
}
