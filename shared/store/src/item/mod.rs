//! Conversions between records and [`Item`]s: one file per kind of item.

mod api_key;
mod attributes;
mod execution;
mod size;
mod transitions;

pub use self::api_key::{api_key_item, listed_api_key_item, read_api_key, read_api_key_origin};
pub use self::attributes::Item;
pub use self::execution::{
    Inputs, NewItems, SUMMARY_ATTRIBUTES, State, has_inputs_apart, inputs_of, new_execution_items, read_execution,
    read_state,
};
pub use self::size::size;
pub use self::transitions::{attempt_of, read_transitions, transition_entry};
