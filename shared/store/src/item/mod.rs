//! Conversions between records and [`Item`]s: one file per kind of item.

mod api_key;
mod attributes;
mod execution;
mod size;
mod step;
mod transitions;

pub use self::api_key::{api_key_item, listed_api_key_item, read_api_key, read_api_key_origin};
pub use self::attributes::Item;
pub use self::execution::{
    GLANCE_ATTRIBUTES, Glance, Inputs, NewItems, State, WATCH_ATTRIBUTES, has_inputs_apart, has_steps, inputs_of,
    listed_attributes, new_execution_items, read_cancel, read_execution, read_glance, read_state, read_status,
    read_version, read_watch, report_attributes, watch_interval_of,
};
pub use self::size::size;
pub use self::step::{STEP_SUMMARY_ATTRIBUTES, read_step, step_values};
pub use self::transitions::{attempt_of, logged_reason, read_transitions, transition_entry};
