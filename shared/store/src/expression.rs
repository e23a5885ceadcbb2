//! Builds DynamoDB's expressions: names and values become placeholders, and equal ones share one.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

/// An expression's placeholders, and the clauses of an update.
#[derive(Debug, Default)]
pub struct Expression {
    names: Vec<String>,
    values: Vec<AttributeValue>,
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
}

/// What name placeholders stand for.
type Names = HashMap<String, String>;

/// What value placeholders stand for.
type Values = HashMap<String, AttributeValue>;

/// A text value.
pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number value.
pub fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A binary value.
pub fn binary(value: impl AsRef<[u8]>) -> AttributeValue {
    AttributeValue::B(Blob::new(value.as_ref()))
}

/// An empty map.
pub fn empty_map() -> AttributeValue {
    AttributeValue::M(HashMap::new())
}

impl Expression {
    /// The placeholder of an attribute's name. Every name gets one: many short names are reserved words.
    pub fn name(&mut self, name: &str) -> String {
        let index = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#{index}")
    }

    /// The placeholder of a member of a map attribute.
    pub fn member(&mut self, map: &str, key: &str) -> String {
        let map = self.name(map);
        let key = self.name(key);
        format!("{map}.{key}")
    }

    /// The placeholder of a value.
    pub fn value(&mut self, value: AttributeValue) -> String {
        let index = self.values.iter().position(|known| *known == value).unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        format!(":{index}")
    }

    /// Adds a condition; all must hold.
    pub fn require(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// Adds an assignment to a path (a placeholder, or several with dots).
    pub fn set(&mut self, path: &str, value: &str) {
        self.sets.push(format!("{path} = {value}"));
    }

    /// Sets an attribute to a value.
    pub fn assign(&mut self, name: &str, value: AttributeValue) {
        let path = self.name(name);
        let value = self.value(value);
        self.set(&path, &value);
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &str) {
        let path = self.name(name);
        self.removes.push(path);
    }

    /// Adds texts to a set, which is created if there is none.
    pub fn add_to_set(&mut self, name: &str, texts: Vec<String>) {
        let path = self.name(name);
        let value = self.value(AttributeValue::Ss(texts));
        self.adds.push(format!("{path} {value}"));
    }

    /// The condition, if there is one.
    pub fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    /// The update, if anything is set or removed.
    pub fn update(&self) -> Option<String> {
        let clauses = [("SET", &self.sets), ("REMOVE", &self.removes), ("ADD", &self.adds)]
            .into_iter()
            .filter(|(_, paths)| !paths.is_empty());
        let clauses: Vec<String> = clauses.map(|(clause, paths)| format!("{clause} {}", paths.join(", "))).collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    /// What the placeholders stand for.
    pub fn into_maps(self) -> (Option<Names>, Option<Values>) {
        let names: HashMap<_, _> =
            self.names.into_iter().enumerate().map(|(index, name)| (format!("#{index}"), name)).collect();
        let values: HashMap<_, _> =
            self.values.into_iter().enumerate().map(|(index, value)| (format!(":{index}"), value)).collect();
        ((!names.is_empty()).then_some(names), (!values.is_empty()).then_some(values))
    }
}
