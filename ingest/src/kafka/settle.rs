//! A block that is worth a part goes before it is old, once all that the broker has was read and nothing comes:
//! to wait on would only keep its rows from being seen.
//!
//! Only where nobody said how long blocks are to gather. Transactions end behind what can be read, so behind
//! them, and where the end is not known, blocks wait until they are old.

use std::time::Duration;

use super::session::Session;

/// Rows that are worth a part.
const ROWS_MIN: usize = 8192;
/// A block gathers for so long in any case, which bounds how many there are.
const AGE_MIN: Duration = Duration::from_millis(100);
/// Nothing came for so long.
const QUIET: Duration = Duration::from_millis(25);

/// How long a block of that age still waits when nothing came for as long as `quiet`.
fn wait(age: Duration, quiet: Duration) -> Duration {
    AGE_MIN.saturating_sub(age).max(QUIET.saturating_sub(quiet))
}

impl Session<'_> {
    /// Time until the block may go; None if it has to be full or old.
    pub(super) fn time_to_settle(&self) -> Option<Duration> {
        let few = self.builder.rows() < ROWS_MIN || self.thread.shared.in_flight() > 0;
        if few || !self.thread.plan.settles || !self.has_read_all() {
            return None;
        }
        let age = self.builder.age(self.thread.plan.clock.monotonic())?;
        Some(wait(age, self.last_message?.elapsed()))
    }

    /// Whether no partition had more when the broker answered last.
    fn has_read_all(&self) -> bool {
        self.places.iter().all(|place| {
            let end = self.client.known_end(&place.topic, place.kafka_partition);
            let next = place.next.or(place.stored).unwrap_or(0);
            end.is_some_and(|end| next >= end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_wait_for_age_and_quiet() {
        let ms = Duration::from_millis;
        assert_eq!(wait(ms(10), ms(0)), ms(90));
        assert_eq!(wait(ms(90), ms(5)), ms(20));
        assert_eq!(wait(ms(300), ms(20)), ms(5));
        assert_eq!(wait(ms(100), ms(25)), ms(0));
    }
}
