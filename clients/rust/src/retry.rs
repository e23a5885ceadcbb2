//! Whether and when a call is tried again: after a random time, as long as attempts and time are left, and no earlier than the
//! service asks for. clients/conformance/README.md says it for all clients.

use std::time::Duration;

/// How often, and for how long, a call is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many requests a call makes at most. Not below 1.
    pub requests: u32,
    /// The least that is waited between two requests. The most is four times that before the second one, and four times as
    /// much again before each further one.
    pub base: Duration,
    /// The most that is ever waited, where the service asks for nothing.
    pub cap: Duration,
    /// The longest Retry-After that is waited for. A longer one ends the call, with the time in its error.
    pub longest_retry_after: Duration,
    /// How long one request may take, its connection included.
    pub request_timeout: Duration,
    /// How long the whole call may take, its waits included.
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            requests: 4,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(5),
            longest_retry_after: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            total: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One request, and no more.
    #[must_use]
    pub fn once() -> Self {
        Self { requests: 1, ..Self::default() }
    }

    /// As often as it takes within this time.
    #[must_use]
    pub fn within(total: Duration) -> Self {
        Self { requests: u32::MAX, total, ..Self::default() }
    }

    /// How long to wait after `made` requests, `elapsed` after the first began; `None`: give up. `random` is any number, and
    /// decides how long: every time from the base up to the ceiling is as likely as another, so that callers whom one outage
    /// stopped do not come back together.
    #[must_use]
    pub fn next_delay(
        &self,
        made: u32,
        elapsed: Duration,
        retry_after: Option<Duration>,
        random: u32,
    ) -> Option<Duration> {
        if made >= self.requests || retry_after.is_some_and(|asked| asked > self.longest_retry_after) {
            return None;
        }
        let spread = self.ceiling(made).saturating_sub(self.base);
        let drawn = self.base.min(self.cap) + spread.mul_f64(f64::from(random) / f64::from(u32::MAX));
        let delay = drawn.max(retry_after.unwrap_or_default());
        // A wait after which no time is left would only delay the error.
        (elapsed.saturating_add(delay) < self.total).then_some(delay)
    }

    /// The most that is waited after `made` requests.
    fn ceiling(&self, made: u32) -> Duration {
        self.base.saturating_mul(4_u32.saturating_pow(made)).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: u32 = u32::MAX;

    #[test]
    fn the_longest_wait_grows_fourfold_up_to_the_cap() {
        let policy = RetryPolicy { requests: 100, ..RetryPolicy::default() };
        let longest: Vec<u128> = [1, 2, 3, 4, 50]
            .map(|made| policy.next_delay(made, Duration::ZERO, None, LATEST).unwrap().as_millis())
            .to_vec();
        assert_eq!(longest, [400, 1_600, 5_000, 5_000, 5_000]);
    }

    #[test]
    fn every_wait_between_the_base_and_the_longest_is_possible() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.next_delay(1, Duration::ZERO, None, 0), Some(Duration::from_millis(100)));
        let half = policy.next_delay(1, Duration::ZERO, None, u32::MAX / 2).unwrap();
        assert!((249..=251).contains(&half.as_millis()), "{half:?}");
    }

    #[test]
    fn the_last_request_is_the_last() {
        let policy = RetryPolicy::default();
        assert!(policy.next_delay(3, Duration::ZERO, None, LATEST).is_some());
        assert_eq!(policy.next_delay(4, Duration::ZERO, None, LATEST), None);
        assert_eq!(RetryPolicy::once().next_delay(1, Duration::ZERO, None, 0), None);
    }

    #[test]
    fn a_retry_after_is_the_least_that_is_waited() {
        let policy = RetryPolicy::default();
        let asked = Duration::from_secs(7);
        for random in [0, LATEST] {
            assert_eq!(policy.next_delay(1, Duration::ZERO, Some(asked), random), Some(asked));
        }
        let short = Some(Duration::from_millis(1));
        assert_eq!(policy.next_delay(1, Duration::ZERO, short, 0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn a_retry_after_that_is_too_long_ends_the_call() {
        let policy = RetryPolicy::default();
        assert!(policy.next_delay(1, Duration::ZERO, Some(Duration::from_secs(30)), 0).is_some());
        assert_eq!(policy.next_delay(1, Duration::ZERO, Some(Duration::from_secs(31)), 0), None);
    }

    #[test]
    fn a_wait_past_the_end_is_not_made() {
        let policy = RetryPolicy { total: Duration::from_secs(10), ..RetryPolicy::default() };
        let asked = Some(Duration::from_secs(3));
        assert!(policy.next_delay(1, Duration::from_millis(6_999), asked, LATEST).is_some());
        assert_eq!(policy.next_delay(1, Duration::from_millis(7_000), asked, LATEST), None);
    }
}
