//! Which files there are, and which of them they were before.
//!
//! A file is known by its inode and by the bytes at its head; its name may change (rotation). The choice
//! of what to read where ([`choose`]) is pure: it takes what the log remembers and what is found, and
//! touches nothing. Links are not followed, names that begin with a dot are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use uuid::Uuid;

/// Bytes at a file's head that tell it from others.
pub(super) const HEAD_BYTES: u64 = 1024;

/// What a file is, whatever its name: inode, length and hash of the head that was read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) inode: u64,
    pub(super) head: u16,
    hash: [u8; 6],
}

impl FileId {
    pub(super) fn of(inode: u64, head: &[u8]) -> FileId {
        let hash = xxhash_rust::xxh3::xxh3_64(head).to_be_bytes();
        let mut short = [0; 6];
        short.copy_from_slice(&hash[..6]);
        FileId { inode, head: head.len().min(usize::from(u16::MAX)) as u16, hash: short }
    }

    /// As the log keeps it.
    pub(super) fn to_uuid(self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.inode.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.head.to_be_bytes());
        bytes[10..].copy_from_slice(&self.hash);
        Uuid::from_bytes(bytes)
    }

    pub(super) fn from_uuid(id: Uuid) -> FileId {
        let bytes = id.as_bytes();
        let mut inode = [0; 8];
        inode.copy_from_slice(&bytes[..8]);
        let mut hash = [0; 6];
        hash.copy_from_slice(&bytes[10..]);
        let head = u16::from_be_bytes([bytes[8], bytes[9]]);
        FileId { inode: u64::from_be_bytes(inode), head, hash }
    }
}

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

/// What the log remembers under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Bytes consumed.
    pub(super) next: i64,
    pub(super) id: Option<FileId>,
}

/// A file and where to go on in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) file: Found,
    pub(super) from: u64,
    pub(super) was: Was,
}

/// What a found file is to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Was {
    /// Known under this name.
    Same,
    /// Known under another one.
    Renamed(String),
    /// Known, but shorter than what was consumed: its content is another.
    Truncated,
    New,
}

/// Where to go on in each file, oldest first. `head_is` says whether the file still begins with the head
/// of that identity.
pub(super) fn choose(
    found: &[Found],
    known: &BTreeMap<String, Known>,
    head_is: &mut dyn FnMut(&Found, FileId) -> bool,
) -> Vec<Choice> {
    let by_inode: BTreeMap<u64, (&String, Known)> =
        known.iter().filter_map(|(name, k)| k.id.map(|id| (id.inode, (name, *k)))).collect();
    let mut seen = BTreeSet::new();
    let mut choices = vec![];
    for file in found {
        // Of a file with two names one is enough.
        if !seen.insert(file.inode) {
            continue;
        }
        let (from, was) = match by_inode.get(&file.inode) {
            Some((name, k)) => {
                let same = k.id.is_some_and(|id| head_is(file, id));
                match (same, *name == &file.name) {
                    (true, _) if file.size < k.next.max(0) as u64 => (0, Was::Truncated),
                    (true, true) => (k.next.max(0) as u64, Was::Same),
                    (true, false) => (k.next.max(0) as u64, Was::Renamed(name.to_string())),
                    // The inode was given again, or all of it written anew.
                    (false, true) => (0, Was::Truncated),
                    (false, false) => (0, Was::New),
                }
            }
            None => (0, Was::New),
        };
        choices.push(Choice { file: file.clone(), from, was });
    }
    choices.sort_by(|a, b| (a.file.modified, &a.file.name).cmp(&(b.file.modified, &b.file.name)));
    choices
}

/// The folder of `path` and the pattern of names in it; None for all.
pub(super) fn split_path(path: &str) -> (PathBuf, Option<String>) {
    let whole = Path::new(path);
    if whole.is_dir() {
        return (whole.to_path_buf(), None);
    }
    let name = whole.file_name().map(|n| n.to_string_lossy().into_owned());
    (whole.parent().map(Path::to_path_buf).unwrap_or_default(), name)
}

/// Plain files of the folder whose names match.
pub(super) fn scan(folder: &Path, pattern: Option<&str>) -> io::Result<Vec<Found>> {
    use std::os::unix::fs::MetadataExt;
    let mut found = vec![];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || pattern.is_some_and(|p| !matches(p, &name)) {
            continue;
        }
        // Of the entry itself, not of what a link leads to.
        let Ok(about) = entry.metadata() else { continue };
        if !about.is_file() {
            continue;
        }
        found.push(Found {
            name,
            inode: about.ino(),
            size: about.len(),
            modified: about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        });
    }
    Ok(found)
}

/// Whether a file of which lines were read may be there under another name and was missed: a look may do that while
/// it is renamed. Its name is another's by then, who must not get its position.
pub(super) fn may_be_missed(found: &[Found], known: &BTreeMap<String, Known>) -> bool {
    found.iter().filter(|file| file.size > 0).any(|file| {
        let before = known.get(&file.name).and_then(|k| k.id).map(|id| id.inode);
        before.is_some_and(|inode| found.iter().all(|f| f.inode != inode))
    })
}

/// The file that was found, if its name is still its own.
pub(super) fn open(folder: &Path, found: &Found) -> Option<std::fs::File> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::File::open(folder.join(&found.name)).ok()?;
    let inode = file.metadata().ok()?.ino();
    (inode == found.inode).then_some(file)
}

/// The first bytes of a file, as many as there are.
pub(super) fn head(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = vec![];
    std::fs::File::open(path)?.take(bytes).read_to_end(&mut head)?;
    Ok(head)
}

/// Up to `bytes` bytes from `from` on.
pub(super) fn read_at(file: &mut std::fs::File, from: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![];
    file.seek(SeekFrom::Start(from))?;
    file.take(bytes).read_to_end(&mut buffer)?;
    Ok(buffer)
}

/// `*` any characters, `?` one.
fn matches(pattern: &str, name: &str) -> bool {
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut i) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while i < n.len() {
        match p.get(at) {
            Some('*') => {
                star = Some((at, i));
                at += 1;
            }
            Some(c) if *c == '?' || *c == n[i] => {
                at += 1;
                i += 1;
            }
            _ => match star {
                Some((s, from)) => {
                    star = Some((s, from + 1));
                    at = s + 1;
                    i = from + 1;
                }
                None => return false,
            },
        }
    }
    p[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, inode: u64, size: u64) -> Found {
        Found { name: name.into(), inode, size, modified: SystemTime::UNIX_EPOCH }
    }

    fn known(entries: &[(&str, u64, i64)]) -> BTreeMap<String, Known> {
        entries
            .iter()
            .map(|(name, inode, next)| {
                (name.to_string(), Known { next: *next, id: Some(FileId::of(*inode, b"head")) })
            })
            .collect()
    }

    fn chosen(found: &[Found], known: &BTreeMap<String, Known>) -> Vec<(String, u64, Was)> {
        let choices = choose(found, known, &mut |_, _| true);
        choices.into_iter().map(|c| (c.file.name, c.from, c.was)).collect()
    }

    #[test]
    fn a_file_is_followed_through_rotations() {
        let log = known(&[("a", 1, 100), ("a.1", 2, 50)]);
        let found = [file("a", 3, 10), file("a.1", 1, 120), file("a.2", 2, 50)];
        let expected = [
            ("a".to_string(), 0, Was::New),
            ("a.1".into(), 100, Was::Renamed("a".into())),
            ("a.2".into(), 50, Was::Renamed("a.1".into())),
        ];
        assert_eq!(chosen(&found, &log), expected);
    }

    #[test]
    fn a_name_that_is_another_files_asks_for_a_second_look() {
        let log = known(&[("a", 1, 100), ("b", 2, 50)]);
        let both = [file("a", 3, 10), file("a.1", 1, 120), file("b", 2, 50)];
        assert!(!may_be_missed(&both, &log));
        assert!(may_be_missed(&[both[0].clone(), both[2].clone()], &log), "a.1 was not seen");
        assert!(!may_be_missed(&both[2..], &log), "a is gone, and nobody has its name");
        assert!(!may_be_missed(&[file("a", 3, 0)], &log), "nothing to read yet");
    }

    #[test]
    fn only_the_file_that_was_found_is_opened() {
        let folder = std::env::temp_dir().join(format!("pumphouse-names-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("log"), "1\n").unwrap();
        let found = scan(&folder, None).unwrap();
        let mut file = open(&folder, &found[0]).unwrap();
        assert_eq!(read_at(&mut file, 0, 9).unwrap(), b"1\n");
        std::fs::rename(folder.join("log"), folder.join("log.1")).unwrap();
        assert!(open(&folder, &found[0]).is_none(), "the name is nobody's");
        std::fs::write(folder.join("log"), "2\n").unwrap();
        assert!(open(&folder, &found[0]).is_none(), "the name is another's");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn growth_truncation_and_second_names() {
        let log = known(&[("a", 1, 100), ("b", 2, 100)]);
        let found = [file("a", 1, 150), file("also_a", 1, 150), file("b", 2, 20), file("c", 9, 5)];
        let expected = [
            ("a".to_string(), 100, Was::Same),
            ("b".into(), 0, Was::Truncated),
            ("c".into(), 0, Was::New),
        ];
        assert_eq!(chosen(&found, &log), expected);
        let anew = choose(&found[..1], &log, &mut |_, _| false);
        assert_eq!((anew[0].from, &anew[0].was), (0, &Was::Truncated), "other bytes at its head");
        let reused = choose(&[file("z", 1, 150)], &log, &mut |_, _| false);
        assert_eq!((reused[0].from, &reused[0].was), (0, &Was::New), "an inode given again");
    }

    #[test]
    fn identities_and_patterns() {
        let id = FileId::of(77, b"name,age\nada,36\n");
        assert_eq!(FileId::from_uuid(id.to_uuid()), id);
        assert_ne!(FileId::of(77, b"name,age\nbob,36\n"), id);
        for (pattern, name, yes) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.1", false),
            ("a?c*", "abcdef", true),
            ("*", "x", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b", "aXXbY", false),
        ] {
            assert_eq!(matches(pattern, name), yes, "{pattern} {name}");
        }
    }
}
