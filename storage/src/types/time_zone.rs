//! A time zone by IANA name, cheap to copy. The names and rules come from the `chrono-tz` crate.

use std::fmt;

/// An IANA zone, for example `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeZone(pub chrono_tz::Tz);

impl TimeZone {
    pub const UTC: TimeZone = TimeZone(chrono_tz::Tz::UTC);

    /// The zone called `name` (exact spelling, as in the IANA database), or None.
    pub fn parse(name: &str) -> Option<TimeZone> {
        name.parse::<chrono_tz::Tz>().ok().map(TimeZone)
    }

    pub fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
