//! What generators of clients need, and the derived document does not have: `tools/clients.sh` shows that they take it.

use ratchet_model::samples;
use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::openapi::content::Content;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{AnyOf, OneOf, Schema};
use utoipa::openapi::{Components, OpenApi, Ref, RefOr, Required};

/// Where the schemas stand.
const SCHEMAS: &str = "#/components/schemas/";

/// Unions, descriptions and examples in the form that generators read.
pub struct Generators;

impl Modify for Generators {
    fn modify(&self, document: &mut OpenApi) {
        let operations = document.paths.paths.values_mut();
        let operations = operations.flat_map(|path| [&mut path.post, &mut path.patch].into_iter().flatten());
        operations.filter_map(|operation| operation.request_body.as_mut()).for_each(optional_body);
        let examples = examples(document);
        let Some(components) = &mut document.components else { return };
        for schema in components.schemas.values_mut() {
            describe_optional_references(schema);
            any_of_references(schema);
        }
        for (schema, example) in examples {
            add_example(components, &schema, example);
        }
        // No bodies by themselves; and their own modules, from which the samples are made, cannot name one.
        for transition in [samples::claimed(), samples::ended()] {
            add_example(components, &format!("{SCHEMAS}Transition"), json!(transition));
        }
        for step in [samples::running_step(), samples::completed_step()] {
            add_example(components, &format!("{SCHEMAS}Step"), json!(step));
        }
    }
}

/// Makes a body that is its schema or null one that need not be sent: null is no body, and no generator leaves one out for it.
fn optional_body(body: &mut RefOr<RequestBody>) {
    let RefOr::T(body) = body else { return };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if let Some(RefOr::T(Schema::OneOf(OneOf { items, .. }))) = &mut content.schema
            && let Some(RefOr::Ref(schema)) = items.iter().find(|item| matches!(item, RefOr::Ref(_)))
        {
            content.schema = Some(RefOr::Ref(Ref::new(schema.ref_location.clone())));
            body.required = Some(Required::False);
        }
    }
}

/// Makes a union of references `anyOf`, without descriptions beside them: openapi-generator takes a reference that has one
/// for a schema without a name, and its TypeScript client then does not import what it uses.
fn any_of_references(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(OneOf { items, description, .. })) = schema else { return };
    let bare = |item: &RefOr<Schema>| match item {
        RefOr::Ref(reference) => Some(RefOr::Ref(Ref::new(reference.ref_location.clone()))),
        RefOr::T(_) => None,
    };
    if let Some(items) = items.iter().map(bare).collect() {
        *schema = RefOr::T(Schema::AnyOf(AnyOf { items, description: description.take(), ..AnyOf::default() }));
    }
}

/// Moves the description of an optional property from beside the reference to the property, where generators look for it.
fn describe_optional_references(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for property in object.properties.values_mut() {
        let RefOr::T(Schema::OneOf(OneOf { items, description, .. })) = property else { continue };
        for item in items {
            if let RefOr::Ref(reference) = item
                && !reference.description.is_empty()
            {
                *description = Some(std::mem::take(&mut reference.description));
            }
        }
    }
}

/// The examples of all bodies, each with the name of its schema.
fn examples(document: &OpenApi) -> Vec<(String, Value)> {
    let operations = document.paths.paths.values();
    let operations = operations.flat_map(|path| [&path.get, &path.post, &path.patch].into_iter().flatten());
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    for operation in operations {
        requests.extend(&operation.request_body);
        responses.extend(operation.responses.responses.values());
    }
    responses.extend(document.components.iter().flat_map(|components| components.responses.values()));
    let responses = responses.into_iter().filter_map(given).flat_map(|response| response.content.values());
    let bodies = requests.into_iter().filter_map(given).flat_map(|body| body.content.values()).chain(responses);
    bodies.filter_map(given).flat_map(examples_of).collect()
}

/// What stands here itself; nothing for a reference.
const fn given<T>(value: &RefOr<T>) -> Option<&T> {
    match value {
        RefOr::T(value) => Some(value),
        RefOr::Ref(_) => None,
    }
}

/// The examples of one body.
fn examples_of(body: &Content) -> Vec<(String, Value)> {
    let Some(RefOr::Ref(schema)) = &body.schema else { return Vec::new() };
    let named = body.examples.values().filter_map(given).filter_map(|example| example.value.as_ref());
    body.example.iter().chain(named).map(|value| (schema.ref_location.clone(), value.clone())).collect()
}

/// Adds an example to a schema that does not have it yet.
fn add_example(components: &mut Components, schema: &str, example: Value) {
    let schema = schema.strip_prefix(SCHEMAS).and_then(|name| components.schemas.get_mut(name));
    let examples = match schema {
        Some(RefOr::T(Schema::Object(object))) => &mut object.examples,
        Some(RefOr::T(Schema::AnyOf(union))) => &mut union.examples,
        _ => return,
    };
    if !examples.contains(&example) {
        examples.push(example);
    }
}
