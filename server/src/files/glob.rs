//! Patterns in paths: `*`, `?`, `**`, `{a,b}` and `{1..9}`.

use std::path::{Path, PathBuf};

use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

/// Paths that braces may stand for.
const ALTERNATIVES_MAX: usize = 1000;
/// Files that one pattern may find.
const FILES_MAX: usize = 100_000;
/// Folders below each other.
const DEPTH_MAX: usize = 64;

/// The paths that the braces of `text` stand for.
pub(super) fn alternatives(text: &str) -> Result<Vec<String>> {
    let (Some(open), Some(close)) = (text.find('{'), text.find('}')) else {
        return Ok(vec![text.to_string()]);
    };
    if close < open {
        return Ok(vec![text.to_string()]);
    }
    let (before, inner, after) = (&text[..open], &text[open + 1..close], &text[close + 1..]);
    let items: Vec<String> = match range(inner) {
        Some(numbers) => numbers,
        None => inner.split(',').map(str::to_string).collect(),
    };
    let mut all = vec![];
    for rest in alternatives(after)? {
        for item in &items {
            all.push(format!("{before}{item}{rest}"));
            if all.len() > ALTERNATIVES_MAX {
                return Err(too_many("alternatives"));
            }
        }
    }
    Ok(all)
}

/// `1..9`, with the zeros that the first number has in front.
fn range(text: &str) -> Option<Vec<String>> {
    let (from, to) = text.split_once("..")?;
    let (first, last): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
    if last < first || last - first > ALTERNATIVES_MAX as u64 {
        return None;
    }
    let width = from.len();
    Some((first..=last).map(|n| format!("{n:0width$}")).collect())
}

/// Adds the files below `root` that match `pattern`, whose parts are matched one by one.
pub(super) fn walk(root: &Path, pattern: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let parts: Vec<String> =
        pattern.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    descend(root, &parts, 0, found)
}

fn descend(folder: &Path, parts: &[String], depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    if depth > DEPTH_MAX {
        return Ok(());
    }
    if !part.contains(['*', '?']) {
        let path = folder.join(part);
        return match rest.is_empty() {
            true if path.is_file() => add(path, found),
            true => Ok(()),
            false => descend(&path, rest, depth + 1, found),
        };
    }
    if part == "**" {
        descend(folder, rest, depth + 1, found)?;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if part == "**" {
            match path.is_dir() && !path.is_symlink() {
                true => descend(&path, parts, depth + 1, found)?,
                false if rest.is_empty() && path.is_file() => add(path, found)?,
                false => {}
            }
        } else if matches(part.as_bytes(), name.as_bytes()) {
            match rest.is_empty() {
                true if path.is_file() => add(path, found)?,
                true => {}
                false => descend(&path, rest, depth + 1, found)?,
            }
        }
    }
    Ok(())
}

fn add(path: PathBuf, found: &mut Vec<PathBuf>) -> Result<()> {
    if found.len() >= FILES_MAX {
        return Err(too_many("files"));
    }
    found.push(path);
    Ok(())
}

/// `*` is any letters, `?` is one.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

fn too_many(what: &str) -> Error {
    Error::new(codes::BAD_ARGUMENTS, format!("The path stands for too many {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_and_wildcards() {
        assert_eq!(alternatives("a{x,y}/{08..10}").unwrap().len(), 6);
        assert!(alternatives("a{x,y}/{08..10}").unwrap().contains(&"ay/09".to_string()));
        assert!(matches(b"*.csv", b"a.csv") && matches(b"a?c*", b"abcd") && matches(b"*", b""));
        assert!(!matches(b"*.csv", b"a.csv.gz") && !matches(b"a?", b"a"));
    }
}
