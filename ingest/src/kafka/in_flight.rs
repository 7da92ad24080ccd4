//! Which messages a consumer has in work, in a small file that outlives the process: how a message that kills
//! the process is found.
//!
//! One file a consumer, rewritten every few messages ([`window`]) and not synced (it has to outlive the process, not
//! the machine). A start that finds the file of a process that did not end cleanly reads those messages
//! watchfully: each is named in the file while it is parsed. If the process crashes again, the message named is
//! condemned: set aside unread. If it was killed, as the kernel does when memory is short and people do for their
//! own reasons, the message is only accused: it is condemned if it is the one named at the next death too. If it
//! dies three times without a step forward, each message is also taken
//! through the views alone, one after the other. What the log holds already is suspected of nothing.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::crash_note::last_process_crashed;

/// Messages between two writes: the fewest and the most.
const WINDOW: i64 = 256;
const WINDOW_MAX: i64 = 8192;
/// Deaths without progress after which messages go through the views one by one.
const ALONE_AFTER: u32 = 3;
const CONDEMNED_MAX: usize = 1000;

/// Only one consumer takes a suspect through the views at a time: whoever is named is the one.
static ALONE: Mutex<()> = Mutex::new(());

/// How many messages are noted ahead while a block has so many: a part of what would be read again in any case.
pub(super) fn window(messages: u64) -> i64 {
    ((messages / 4) as i64).clamp(WINDOW, WINDOW_MAX)
}

type Place = (String, i32);

/// What this process wrote is no sign of a death.
fn process_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| Uuid::new_v4().to_string())
}

struct Entry {
    topic: Arc<str>,
    kafka_partition: i32,
    /// Where the log stood when this process began with the partition.
    from: i64,
    to: i64,
}

#[derive(Default)]
pub(super) struct Marker {
    path: PathBuf,
    file: Option<File>,
    /// Bytes in the file.
    length: u64,
    /// Deaths in a row without progress.
    deaths: u32,
    entries: Vec<Entry>,
    /// Messages before these offsets are read watchfully.
    suspects: Vec<(Place, i64)>,
    condemned: Vec<(Place, i64)>,
    /// Named when the process was killed.
    accused: Vec<(Place, i64)>,
    exact: Option<(Place, i64)>,
    alone: Option<MutexGuard<'static, ()>>,
}

impl Marker {
    /// Reads what the last process left. `stored`: what the log holds for a partition.
    pub(super) fn open(
        folder: Option<&Path>,
        name: &str,
        stored: impl Fn(&str, i32) -> Option<i64>,
    ) -> Marker {
        let mut marker = Marker::default();
        let Some(folder) = folder else { return marker };
        marker.path = folder.join(name);
        let text = std::fs::read_to_string(&marker.path).unwrap_or_default();
        marker.read(&text, last_process_crashed(folder), stored);
        if !marker.suspects.is_empty() {
            tracing::warn!(
                "the process ended {} time(s) with messages in work; reading them watchfully",
                marker.deaths
            );
        }
        let opened = std::fs::create_dir_all(folder).and_then(|()| {
            File::options().create(true).truncate(false).write(true).open(&marker.path)
        });
        match opened {
            Ok(file) => {
                marker.length = file.metadata().map_or(u64::MAX, |m| m.len());
                marker.file = Some(file);
            }
            Err(e) => tracing::warn!("{}: {e}", marker.path.display()),
        }
        marker.write();
        marker
    }

    fn read(&mut self, text: &str, crashed: bool, stored: impl Fn(&str, i32) -> Option<i64>) {
        let mut named = vec![];
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let ["1", process, deaths] = head[..] else { return };
        let died = process != process_id();
        let mut moved = false;
        for line in lines {
            let parts: Vec<&str> = line.split('\t').collect();
            let [kind, topic, partition, a, b] = parts[..] else { continue };
            let numbers = (partition.parse(), a.parse(), b.parse());
            let (Ok(partition), Ok(a), Ok(b)) = numbers else { continue };
            let (partition, a, b): (i32, i64, i64) = (partition, a, b);
            let next = stored(topic, partition).unwrap_or(i64::MIN);
            let place = (topic.to_string(), partition);
            match kind {
                "r" if died && b > next => {
                    moved |= next > a;
                    self.suspects.push((place, b));
                }
                "r" => moved = true,
                "!" if died && a >= next => named.push((place, a)),
                "?" if a >= next => self.accused.push((place, a)),
                "x" if a >= next => self.condemned.push((place, a)),
                _ => {}
            }
        }
        for message in named {
            match crashed || self.accused.contains(&message) {
                true => self.condemned.push(message),
                false => self.accused.push(message),
            }
        }
        self.condemned.truncate(CONDEMNED_MAX);
        self.accused.truncate(CONDEMNED_MAX);
        let before: u32 = deaths.parse().unwrap_or(0);
        self.deaths = match (self.suspects.is_empty(), moved) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => before.saturating_add(1),
        };
    }

    /// Whether messages have to be looked at one by one.
    #[inline]
    pub(super) fn is_watching(&self) -> bool {
        !self.suspects.is_empty() || !self.condemned.is_empty()
    }

    /// Whether messages go through the views alone, for now.
    pub(super) fn is_alone(&self) -> bool {
        self.deaths >= ALONE_AFTER && !self.suspects.is_empty()
    }

    /// Takes the right to be the only one; false: somebody else has it.
    pub(super) fn take_alone(&mut self) -> bool {
        if self.alone.is_none() {
            self.alone = ALONE.try_lock();
        }
        self.alone.is_some()
    }

    pub(super) fn is_condemned(&self, topic: &str, kafka_partition: i32, offset: i64) -> bool {
        let same = |(p, o): &&(Place, i64)| p.0 == topic && p.1 == kafka_partition && *o == offset;
        self.condemned.iter().any(|c| same(&c))
    }

    /// Names the message if it is a suspect; partitions that are past theirs are cleared.
    pub(super) fn name(&mut self, topic: &str, kafka_partition: i32, offset: i64) -> bool {
        let of = |p: &Place| p.0 == topic && p.1 == kafka_partition;
        let Some(at) = self.suspects.iter().position(|(p, _)| of(p)) else { return false };
        if offset >= self.suspects[at].1 {
            self.suspects.remove(at);
            if self.suspects.is_empty() {
                self.deaths = 0;
                self.alone = None;
            }
            self.exact = None;
            self.write();
            return false;
        }
        self.exact = Some(((topic.to_string(), kafka_partition), offset));
        self.write();
        true
    }

    /// The message that was named is parsed, or committed.
    pub(super) fn acquit(&mut self) {
        if let Some(message) = self.exact.take() {
            self.accused.retain(|accused| *accused != message);
            self.write();
        }
    }

    /// Notes that messages before `to` are in work; `stored` is where the log stands.
    pub(super) fn note(&mut self, topic: &Arc<str>, kafka_partition: i32, stored: i64, to: i64) {
        let same = |e: &&mut Entry| e.kafka_partition == kafka_partition && e.topic == *topic;
        match self.entries.iter_mut().find(same) {
            Some(entry) => entry.to = entry.to.max(to),
            None => {
                self.entries.push(Entry {
                    topic: topic.clone(),
                    kafka_partition,
                    from: stored,
                    to,
                });
            }
        }
        self.write();
    }

    /// A clean end: nobody is suspected.
    pub(super) fn clear(&mut self) {
        let condemned = std::mem::take(&mut self.condemned);
        self.entries.clear();
        self.suspects.clear();
        self.accused.clear();
        self.exact = None;
        if condemned.is_empty() && self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        } else {
            self.condemned = condemned;
            self.write();
        }
    }

    fn write(&mut self) {
        let Some(file) = &self.file else { return };
        let mut text = format!("1\t{}\t{}\n", process_id(), self.deaths);
        for e in &self.entries {
            let _ = writeln!(text, "r\t{}\t{}\t{}\t{}", e.topic, e.kafka_partition, e.from, e.to);
        }
        // Suspects that this process has not come to yet.
        for ((topic, partition), to) in &self.suspects {
            let known =
                self.entries.iter().any(|e| *e.topic == **topic && e.kafka_partition == *partition);
            if !known {
                let _ = writeln!(text, "r\t{topic}\t{partition}\t{}\t{to}", i64::MIN);
            }
        }
        for ((topic, partition), offset) in &self.condemned {
            let _ = writeln!(text, "x\t{topic}\t{partition}\t{offset}\t0");
        }
        for ((topic, partition), offset) in &self.accused {
            let _ = writeln!(text, "?\t{topic}\t{partition}\t{offset}\t0");
        }
        if let Some(((topic, partition), offset)) = &self.exact {
            let _ = writeln!(text, "!\t{topic}\t{partition}\t{offset}\t0");
        }
        let length = text.len() as u64;
        let mut written = file.write_all_at(text.as_bytes(), 0);
        if written.is_ok() && length < self.length {
            written = file.set_len(length);
        }
        self.length = if written.is_ok() { length } else { u64::MAX };
        if let Err(e) = written {
            tracing::debug!("{}: {e}", self.path.display());
        }
    }
}

/// For tests of all this: ends the process at messages that hold the text of `PUMPHOUSE_TEST_ABORT_ON`.
#[inline]
pub(super) fn test_fault(payload: Option<&[u8]>) {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    let text = TEXT.get_or_init(|| std::env::var("PUMPHOUSE_TEST_ABORT_ON").ok());
    if let (Some(text), Some(payload)) = (text, payload)
        && !text.is_empty()
        && payload.windows(text.len()).any(|w| w == text.as_bytes())
    {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, next: i64) -> Marker {
        read_after(text, true, next)
    }

    fn read_after(text: &str, crashed: bool, next: i64) -> Marker {
        let mut marker = Marker::default();
        marker.read(text, crashed, |_, _| Some(next));
        marker
    }

    #[test]
    fn after_kills_only_the_same_message_twice_is_condemned() {
        let named = "1\tother\t1\nr\tt\t0\t10\t266\n!\tt\t0\t57\t0\n";
        let mut once = read_after(named, false, 10);
        assert!(!once.is_condemned("t", 0, 57) && once.is_watching());
        assert_eq!(once.accused, [(("t".to_string(), 0), 57)]);
        let again = format!("{named}?\tt\t0\t57\t0\n");
        assert!(read_after(&again, false, 10).is_condemned("t", 0, 57));
        let another = format!("{named}?\tt\t0\t58\t0\n");
        assert!(!read_after(&another, false, 10).is_condemned("t", 0, 57));
        // Who is read without harm is free again.
        assert!(once.name("t", 0, 57));
        once.acquit();
        assert!(once.accused.is_empty());
    }

    #[test]
    fn deaths_are_counted_and_the_killer_is_condemned() {
        let first = read("1\tother\t0\nr\tt\t0\t10\t266\n", 10);
        assert!(first.is_watching() && !first.is_alone());
        assert_eq!(first.deaths, 1);
        let second = read("1\tother\t1\nr\tt\t0\t10\t266\n!\tt\t0\t57\t0\n", 10);
        assert!(second.is_condemned("t", 0, 57) && !second.is_condemned("t", 1, 57));
        assert!(read("1\tother\t2\nr\tt\t0\t10\t266\n", 10).is_alone());
        // Progress: the deaths had other reasons.
        let moved = read("1\tother\t7\nr\tt\t0\t10\t266\n!\tt\t0\t57\t0\n", 60);
        assert_eq!((moved.deaths, moved.condemned.len()), (1, 0));
        assert!(!read("1\tother\t7\nr\tt\t0\t10\t266\n", 266).is_watching(), "all is committed");
        let own = format!("1\t{}\t1\nr\tt\t0\t10\t266\n!\tt\t0\t57\t0\n", process_id());
        assert!(!read(&own, 10).is_watching(), "nobody died");
        for broken in ["", "nonsense", "1\tother\n", "1\tother\tx\nr\t\n", "2\ta\t1\nr\tt\t0\t1\t2"]
        {
            assert!(!read(broken, 0).is_watching(), "{broken}");
        }
    }

    #[test]
    fn the_file_is_as_long_as_its_text() {
        let folder = std::env::temp_dir().join(format!("marker-{}", Uuid::new_v4()));
        let mut marker = Marker::open(Some(&folder), "m", |_, _| None);
        let topic: Arc<str> = "a topic".into();
        marker.note(&topic, 3, 10, 10 + window(0));
        marker.suspects.push((("another topic".into(), 1), 77));
        marker.exact = Some((("another topic".into(), 1), 70));
        marker.write();
        let text = || std::fs::read_to_string(folder.join("m")).unwrap();
        assert!(text().contains("!\tanother topic\t1\t70"));
        marker.acquit();
        assert!(text().ends_with("\t77\n"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((window(0), window(8000), window(u64::MAX / 8)), (256, 2000, 8192));
    }

    #[test]
    fn who_gets_past_the_suspects_is_free() {
        let mut marker = read("1\tother\t0\nr\tt\t0\t10\t20\n", 10);
        assert!(marker.name("t", 0, 10) && marker.exact.is_some());
        marker.acquit();
        assert!(marker.exact.is_none() && marker.is_watching());
        assert!(!marker.name("t", 0, 20) && !marker.is_watching());
    }
}
