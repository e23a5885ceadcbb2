//! Enumerations whose values have one name each, on the wire and in the table.

use serde::Serializer;

/// An enumeration whose values have one name each, on the wire and in the table.
pub trait WireName: Copy + 'static {
    /// Every value, in the contract's order.
    const ALL: &'static [Self];

    /// The value's name.
    fn as_str(self) -> &'static str;

    /// The value of that name.
    #[must_use]
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == name)
    }
}

/// Serializes a value as its name.
///
/// # Errors
///
/// Those of the serializer.
pub(crate) fn serialize<T: WireName, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_str())
}
