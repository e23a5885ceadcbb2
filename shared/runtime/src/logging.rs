//! The functions' logs: one JSON line per event.

use std::env;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The prefix of the names of the crates in `shared/`: a target of the filter matches every target that it is a prefix
/// of.
const SHARED_CRATES: &str = "ratchet_";

/// Logs to standard output, at the level that the function is set to. `function` is the name of its crate.
pub fn init(function: &str) {
    // Lambda has one level more than tracing.
    let level = match env::var("AWS_LAMBDA_LOG_LEVEL").as_deref() {
        Ok("FATAL") => LevelFilter::ERROR,
        Ok(level) => level.parse().unwrap_or(LevelFilter::INFO),
        Err(_) => LevelFilter::INFO,
    };
    // A second subscriber, in a test that starts several functions, is ignored.
    let _ = subscriber(function, level, std::io::stdout).try_init();
}

/// Which events are logged at `level`: those of `functions` and of the crates that they share. Libraries are logged
/// from ERROR on only: their debug lines may show what callers sent, and the SDK warns of every condition that does not
/// hold, which is an ordinary answer here.
#[must_use]
pub fn targets<'a>(functions: impl IntoIterator<Item = &'a str>, level: LevelFilter) -> Targets {
    let own = functions.into_iter().chain([SHARED_CRATES]).map(|target| (target.to_owned(), level));
    Targets::new().with_default(level.min(LevelFilter::ERROR)).with_targets(own)
}

/// Writes the events of one function as JSON lines, with the names that Lambda's own JSON log format has.
pub fn subscriber<W>(function: &str, level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer)
        .with_filter(targets([function], level));
    tracing_subscriber::registry().with(lines)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_function_logs_its_own_events_and_those_of_the_shared_crates() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber("enforce_deadlines", LevelFilter::INFO, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "enforce_deadlines", "own");
            tracing::info!(target: "enforce_deadlines::pass", "own module");
            tracing::info!(target: "ratchet_store::attempts", "shared");
            tracing::debug!(target: "enforce_deadlines", "too detailed");
            tracing::warn!(target: "aws_smithy_runtime", "a library's");
            tracing::warn!(target: "another_function", "another function's");
            tracing::error!(target: "aws_smithy_runtime", "a library's error");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let logged: Vec<bool> = ["own\"", "own module", "shared", "a library's error"]
            .iter()
            .map(|message| text.contains(message))
            .collect();
        assert_eq!((logged, text.lines().count()), (vec![true; 4], 4), "{text}");
    }
}
