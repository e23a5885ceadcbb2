//! What a report of a status does to a step, by hand (contract, "Report steps").

/// The statuses, and what a report of each does to a step in each: one line for each status of the step, one column for each
/// reported one in the same order. E: enters it. U: unchanged, or merged. S: stale. R: refused.
pub const TABLE: [(&str, &str); 9] = [
    ("pending", "UEEESEEEE"),
    ("queued", "SUEESEEEE"),
    ("running", "SSUEEEEEE"),
    ("retrying", "SEEUSEEEE"),
    ("interrupted", "SEEEUEEEE"),
    ("completed", "SSSSSURRR"),
    ("failed", "SSSSSRURR"),
    ("cancelled", "SSSSSRRUR"),
    ("timeout", "SSSSSRRRU"),
];
