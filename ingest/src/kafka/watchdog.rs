//! Notices a consumer that has messages to read and reads none: its client is made anew.
//!
//! Not counted: partitions that wait for a reason (they say so themselves), a full pipeline, a pause.

use std::time::{Duration, Instant};

use super::positions::is_waiting;
use super::session::Session;

/// How long there may be lag without a message.
const STALL_MAX: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What was seen last.
pub(super) struct Watch {
    next_look: Instant,
    messages: u64,
    since: Option<Instant>,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Watch {
        Watch { next_look: now + LOOK_INTERVAL, messages: 0, since: None }
    }

    /// `messages` read so far, `lag` of what could be read now; true when it has stood still too long.
    fn look(&mut self, now: Instant, messages: u64, lag: i64) -> bool {
        self.next_look = now + LOOK_INTERVAL;
        let moved = std::mem::replace(&mut self.messages, messages) != messages;
        if moved || lag <= 0 {
            self.since = None;
            return false;
        }
        now.saturating_duration_since(*self.since.get_or_insert(now)) >= STALL_MAX
    }
}

impl Session<'_> {
    /// An error when the client is to be made anew.
    pub(super) fn watch(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if now < self.watch.next_look {
            return Ok(());
        }
        if let Some(why) = self.client.fatal_error() {
            return Err(format!("fatal, the client is made anew: {why}"));
        }
        let busy =
            self.paused_all || !self.builder.is_empty() || self.thread.shared.in_flight() > 0;
        let mut status = self.thread.shared.status.lock();
        let mut lag = 0;
        for place in self.places.iter().filter(|p| !busy && !is_waiting(p)) {
            let assignment = status.assignment(&place.topic, place.kafka_partition);
            lag += assignment.map_or(0, |a| a.lag.max(0));
        }
        let messages = status.messages;
        drop(status);
        if !self.watch.look(now, messages, lag) {
            return Ok(());
        }
        let text = format!(
            "{lag} messages wait in the broker and none came for {} s; the client is made anew",
            STALL_MAX.as_secs()
        );
        let now_us = self.thread.plan.clock.now_us();
        self.thread.shared.event(now_us, "stalled", ("", -1, -1), &text);
        Err(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lag_without_progress_is_a_stall() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut watch = Watch::new(start);
        assert!(!watch.look(at(5), 10, 100));
        assert!(!watch.look(at(60), 10, 100));
        assert!(!watch.look(at(100), 20, 100), "it moved");
        assert!(!watch.look(at(150), 20, 100));
        assert!(!watch.look(at(155), 20, 0), "nothing to read");
        assert!(!watch.look(at(160), 20, 7));
        assert!(watch.look(at(221), 20, 7));
    }
}
