//! Simple regular expressions, by hand: literals, classes, greedy `*`, `+` and `?`, groups
//! that do not repeat, anchors. Most patterns in queries are of this kind, and a direct walk is several
//! times faster than an automaton that tracks groups.
//!
//! The semantics are those of the full engine (leftmost, greedy first). Everything else, and rows that
//! would take too many steps, go to the full engine; the caller sees `Unknown` then. Text beyond ASCII is
//! walked only by patterns that cannot stop within a letter ([`SimplePattern::any_text`]).

use std::ops::Range;

use memchr::memmem::Finder;

/// Groups kept, with the whole match.
pub(super) const GROUPS_MAX: usize = 10;

/// Where the groups matched; None for those that did not.
pub(super) type Groups = [Option<(usize, usize)>; GROUPS_MAX];

/// A literal; one of up to 8 bytes is compared as a word.
#[derive(Debug, Clone)]
struct Literal {
    text: Vec<u8>,
    word: u64,
    mask: u64,
}

impl Literal {
    fn new(text: Vec<u8>) -> Literal {
        let short = text.len().min(8);
        let mut word = [0; 8];
        word[..short].copy_from_slice(&text[..short]);
        let mask = if short == 0 { 0 } else { u64::MAX >> (64 - short * 8) };
        Literal { text, word: u64::from_le_bytes(word), mask }
    }

    #[inline]
    fn begins(&self, rest: &[u8]) -> bool {
        match rest.first_chunk::<8>() {
            Some(word) if self.text.len() <= 8 => {
                (u64::from_le_bytes(*word) ^ self.word) & self.mask == 0
            }
            _ => rest.starts_with(&self.text),
        }
    }
}

#[derive(Debug, Clone)]
enum Element {
    Literal(Literal),
    /// The text, if it is there.
    Optional(Literal),
    /// Bytes of a set, as many as there are, at least `least` and at most `most`.
    Set {
        set: Box<[bool; 256]>,
        shape: Shape,
        least: usize,
        most: usize,
        /// Whether fewer than there are can never match: what follows begins with none of them.
        whole: bool,
    },
    Open(usize),
    Close(usize),
    Start,
    End,
}

/// How the end of a run of a set is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Every byte is in the set.
    All,
    /// Every byte but this one.
    Not(u8),
    Any,
}

#[derive(Debug, Clone)]
pub(super) struct SimplePattern {
    elements: Vec<Element>,
    /// Finds where a match may begin, if it begins with a literal.
    prefix: Option<Finder<'static>>,
    anchored: bool,
    /// Groups, the whole match not counted.
    groups: usize,
    /// Whether walking bytes is walking letters, in any valid UTF-8.
    pub any_text: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Match(Range<usize>),
    None,
    /// The full engine must say.
    Unknown,
}

impl SimplePattern {
    /// The pattern if it is simple.
    pub fn parse(pattern: &[u8]) -> Option<SimplePattern> {
        let mut parser = Parser { text: pattern, at: 0, elements: vec![], groups: 0 };
        parser.sequence(0)?;
        if parser.at != pattern.len() {
            return None;
        }
        let (mut elements, groups) = (parser.elements, parser.groups);
        mark_whole(&mut elements);
        let anchored = matches!(elements.first(), Some(Element::Start));
        let prefix = match elements.iter().find(|e| !matches!(e, Element::Open(_))) {
            Some(Element::Literal(literal)) => Some(Finder::new(&literal.text).into_owned()),
            _ => None,
        };
        let any_text = (0..elements.len()).all(|i| keeps_letters_whole(&elements[i..]));
        Some(SimplePattern { elements, prefix, anchored, groups, any_text })
    }

    /// The first match at or behind `from`, with its groups.
    pub fn find(&self, text: &[u8], from: usize, groups: &mut Groups) -> Found {
        let mut budget = 64 + text.len() * 8;
        let mut start = from;
        while start <= text.len() {
            if let Some(finder) = &self.prefix {
                match finder.find(&text[start..]) {
                    Some(at) => start += at,
                    None => return Found::None,
                }
            }
            if self.anchored && start > 0 {
                return Found::None;
            }
            groups[..=self.groups].fill(None);
            match walk(&self.elements, text, start, groups, &mut budget) {
                Some(Some(end)) => {
                    groups[0] = Some((start, end));
                    return Found::Match(start..end);
                }
                Some(None) => start += 1,
                None => return Found::Unknown,
            }
        }
        Found::None
    }
}

/// Marks the sets that take all there is or cannot match. A group boundary takes nothing.
fn mark_whole(elements: &mut [Element]) {
    for i in 0..elements.len() {
        let (head, rest) = elements.split_at_mut(i + 1);
        let Some(Element::Set { set, whole, .. }) = head.last_mut() else { continue };
        let next = rest.iter().find(|e| !matches!(e, Element::Open(_) | Element::Close(_)));
        *whole = match next {
            None | Some(Element::End) => true,
            Some(Element::Literal(literal)) => {
                literal.text.first().is_some_and(|b| !set[*b as usize])
            }
            Some(Element::Set { set: other, least: 1.., .. }) => {
                !set.iter().zip(other.iter()).any(|(a, b)| *a && *b)
            }
            _ => false,
        };
    }
}

/// Whether the first element takes whole letters of UTF-8: it has no byte of a long one, or it takes them
/// as long as they come and what follows begins elsewhere than in the middle of one.
fn keeps_letters_whole(elements: &[Element]) -> bool {
    let is_wide = |set: &[bool; 256]| set[0x80];
    match &elements[0] {
        Element::Set { set, most, .. } if is_wide(set) => {
            if *most != usize::MAX {
                return false;
            }
        }
        _ => return true,
    }
    for next in &elements[1..] {
        match next {
            Element::Set { set, .. } if is_wide(set) => return false,
            Element::Literal(_) | Element::End | Element::Set { least: 1.., .. } => return true,
            // May be nothing: what comes behind it counts, too.
            _ => {}
        }
    }
    true
}

/// The end of a match of `elements` at `at`; the outer None is an exhausted budget.
///
/// Groups need not be put back when a way leads nowhere: each stands once in the list, so that the way
/// that matches sets them all.
fn walk(
    elements: &[Element],
    text: &[u8],
    mut at: usize,
    groups: &mut Groups,
    budget: &mut usize,
) -> Option<Option<usize>> {
    for (i, element) in elements.iter().enumerate() {
        *budget = budget.checked_sub(1)?;
        match element {
            Element::Literal(wanted) => {
                if !wanted.begins(&text[at..]) {
                    return Some(None);
                }
                at += wanted.text.len();
            }
            Element::Optional(wanted) => {
                if wanted.begins(&text[at..]) {
                    let rest = &elements[i + 1..];
                    let behind = at + wanted.text.len();
                    if let Some(end) = walk(rest, text, behind, groups, budget)? {
                        return Some(Some(end));
                    }
                }
            }
            Element::Set { set, shape, least, most, whole } => {
                let rest = &text[at..];
                let run = match shape {
                    Shape::All => rest.len().min(*most),
                    Shape::Not(byte) if *most == usize::MAX => run_up_to(*byte, rest),
                    _ => rest.iter().take(*most).take_while(|b| set[**b as usize]).count(),
                };
                if run < *least {
                    return Some(None);
                }
                if *whole {
                    at += run;
                    continue;
                }
                return shorter(&elements[i + 1..], text, at, (*least, run), groups, budget);
            }
            Element::Open(group) => groups[*group] = Some((at, at)),
            Element::Close(group) => {
                if let Some((_, end)) = &mut groups[*group] {
                    *end = at;
                }
            }
            Element::Start if at != 0 => return Some(None),
            Element::End if at != text.len() => return Some(None),
            Element::Start | Element::End => {}
        }
    }
    Some(Some(at))
}

/// How many bytes there are before the first `byte`. Most runs end soon: no call for those.
#[inline(always)]
fn run_up_to(byte: u8, rest: &[u8]) -> usize {
    const LOWEST: u64 = 0x0101_0101_0101_0101;
    let wanted = LOWEST * byte as u64;
    for (i, eight) in rest.as_chunks::<8>().0.iter().take(3).enumerate() {
        let different = u64::from_le_bytes(*eight) ^ wanted;
        // The lowest bit that is set is that of the first byte that is the same.
        let same = different.wrapping_sub(LOWEST) & !different & (LOWEST << 7);
        if same != 0 {
            return i * 8 + same.trailing_zeros() as usize / 8;
        }
    }
    let from = (rest.len() / 8 * 8).min(24);
    memchr::memchr(byte, &rest[from..]).map_or(rest.len(), |at| from + at)
}

/// As [`walk`], behind a run of `least` to `most` bytes at `at`, the longest that matches.
fn shorter(
    rest: &[Element],
    text: &[u8],
    at: usize,
    (least, most): (usize, usize),
    groups: &mut Groups,
    budget: &mut usize,
) -> Option<Option<usize>> {
    for taken in (least..=most).rev() {
        *budget = budget.checked_sub(1)?;
        if let Some(Element::Literal(wanted)) = rest.first()
            && text.get(at + taken) != wanted.text.first()
        {
            continue;
        }
        if let Some(end) = walk(rest, text, at + taken, groups, budget)? {
            return Some(Some(end));
        }
    }
    Some(None)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    elements: Vec<Element>,
    groups: usize,
}

/// How often something stands.
#[derive(PartialEq, Eq)]
enum Repeat {
    Once,
    Optional,
    Any,
    Some,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Elements up to the end or a closing parenthesis.
    fn sequence(&mut self, depth: usize) -> Option<()> {
        while let Some(b) = self.peek() {
            self.at += 1;
            match b {
                b')' if depth > 0 => {
                    self.at -= 1;
                    return Some(());
                }
                b'(' => self.group(depth)?,
                b'[' => {
                    let set = self.class()?;
                    self.set(set)?;
                }
                b'.' => self.set([true; 256])?,
                b'^' if self.elements.iter().all(|e| matches!(e, Element::Open(_))) => {
                    self.elements.insert(0, Element::Start);
                }
                b'$' => self.elements.push(Element::End),
                b'\\' => match escape(self.peek()?)? {
                    Escape::Byte(b) => {
                        self.at += 1;
                        self.literal(b)?;
                    }
                    Escape::Set(set) => {
                        self.at += 1;
                        self.set(set)?;
                    }
                },
                b if b.is_ascii() && !b"*+?|){}^".contains(&b) => self.literal(b)?,
                _ => return None,
            }
        }
        (depth == 0).then_some(())
    }

    /// `( … )`, `(?: … )` or `(?: literal )?`.
    fn group(&mut self, depth: usize) -> Option<()> {
        if depth > 4 {
            return None;
        }
        let plain = self.text[self.at..].starts_with(b"?:");
        if plain {
            self.at += 2;
        } else if self.peek() == Some(b'?') {
            return None;
        }
        let outer = std::mem::take(&mut self.elements);
        let number = self.groups + 1;
        if !plain {
            self.groups += 1;
            if self.groups >= GROUPS_MAX {
                return None;
            }
        }
        // Start goes to the front of everything, which only an outermost sequence can tell.
        self.sequence(depth + 1)?;
        self.at += 1;
        let mut inner = std::mem::replace(&mut self.elements, outer);
        if inner.iter().any(|e| matches!(e, Element::Start)) {
            return None;
        }
        match self.repeat()? {
            Repeat::Once => {
                if !plain {
                    self.elements.push(Element::Open(number));
                }
                self.elements.append(&mut inner);
                if !plain {
                    self.elements.push(Element::Close(number));
                }
            }
            Repeat::Optional if plain => match inner.pop() {
                Some(Element::Literal(literal)) if inner.is_empty() => {
                    self.elements.push(Element::Optional(literal));
                }
                _ => return None,
            },
            _ => return None,
        }
        Some(())
    }

    fn repeat(&mut self) -> Option<Repeat> {
        let repeat = match self.peek() {
            Some(b'*') => Repeat::Any,
            Some(b'+') => Repeat::Some,
            Some(b'?') => Repeat::Optional,
            Some(b'{') => return None,
            _ => return Some(Repeat::Once),
        };
        self.at += 1;
        // Lazy and doubled repetitions are for the full engine.
        if matches!(self.peek(), Some(b'?' | b'*' | b'+' | b'{')) { None } else { Some(repeat) }
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        match self.repeat()? {
            Repeat::Once => match self.elements.last_mut() {
                Some(Element::Literal(literal)) => {
                    let mut text = std::mem::take(&mut literal.text);
                    text.push(byte);
                    *literal = Literal::new(text);
                }
                _ => self.elements.push(Element::Literal(Literal::new(vec![byte]))),
            },
            Repeat::Optional => self.elements.push(Element::Optional(Literal::new(vec![byte]))),
            repeat => {
                let mut set = [false; 256];
                set[byte as usize] = true;
                self.push_set(set, &repeat);
            }
        }
        Some(())
    }

    fn set(&mut self, set: [bool; 256]) -> Option<()> {
        let repeat = self.repeat()?;
        self.push_set(set, &repeat);
        Some(())
    }

    fn push_set(&mut self, set: [bool; 256], repeat: &Repeat) {
        let missing: Vec<u8> = (0..=255u8).filter(|b| b.is_ascii() && !set[*b as usize]).collect();
        let wide = set[0x80..].iter().all(|s| *s);
        let shape = match missing[..] {
            [] if wide => Shape::All,
            [byte] if wide => Shape::Not(byte),
            _ => Shape::Any,
        };
        let (least, most) = match repeat {
            Repeat::Once => (1, 1),
            Repeat::Optional => (0, 1),
            Repeat::Any => (0, usize::MAX),
            Repeat::Some => (1, usize::MAX),
        };
        let set = Box::new(set);
        self.elements.push(Element::Set { set, shape, least, most, whole: false });
    }

    /// `[…]` behind its opening bracket.
    fn class(&mut self) -> Option<[bool; 256]> {
        let negated = self.peek() == Some(b'^');
        self.at += usize::from(negated);
        let mut set = [false; 256];
        let mut first = true;
        loop {
            let b = self.peek()?;
            self.at += 1;
            let low = match b {
                b']' if !first => break,
                b'[' if self.peek() == Some(b':') => return None,
                b'\\' => {
                    let next = escape(self.peek()?)?;
                    self.at += 1;
                    match next {
                        Escape::Byte(b) => b,
                        Escape::Set(other) => {
                            set.iter_mut().zip(other).for_each(|(s, o)| *s |= o);
                            first = false;
                            continue;
                        }
                    }
                }
                b if b.is_ascii() => b,
                _ => return None,
            };
            first = false;
            let mut high = low;
            if self.peek() == Some(b'-') && self.text.get(self.at + 1).is_some_and(|b| *b != b']') {
                high = self.text[self.at + 1];
                if high == b'\\' || !high.is_ascii() || high < low {
                    return None;
                }
                self.at += 2;
            }
            (low..=high).for_each(|b| set[b as usize] = true);
        }
        if negated {
            set.iter_mut().for_each(|s| *s = !*s);
        }
        Some(set)
    }
}

enum Escape {
    Byte(u8),
    Set([bool; 256]),
}

fn escape(b: u8) -> Option<Escape> {
    let set = |f: fn(u8) -> bool| Escape::Set(std::array::from_fn(|b| f(b as u8)));
    Some(match b {
        b'd' => set(|b| b.is_ascii_digit()),
        b'D' => set(|b| !b.is_ascii_digit()),
        b'w' => set(|b| b.is_ascii_alphanumeric() || b == b'_'),
        b'W' => set(|b| !(b.is_ascii_alphanumeric() || b == b'_')),
        b's' => set(|b| matches!(b, b'\t' | b'\n' | 0x0C | b'\r' | b' ')),
        b'S' => set(|b| !matches!(b, b'\t' | b'\n' | 0x0C | b'\r' | b' ')),
        b't' => Escape::Byte(b'\t'),
        b'n' => Escape::Byte(b'\n'),
        b'r' => Escape::Byte(b'\r'),
        b if b.is_ascii_punctuation() => Escape::Byte(b),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::pattern::compile;
    use super::*;

    #[test]
    fn agrees_with_the_full_engine() {
        let patterns = [
            r"^https?://(?:www\.)?([^/]+)/.*$",
            r"id=([0-9]+)",
            r"a+b*c?",
            r"(a)(b+)c",
            r"([a-z]+)([0-9]*)",
            r"^abc$",
            r"[^a]+a",
            r".*x",
            r"x.y",
            r"\w+@\w+\.com",
            r"(\d+)-(\d+)",
            r"a*a*a*b",
            r"(x?)y",
            r"",
            r"$",
            r"^",
            r"[\w.-]+",
            r"/([^/?#]*)\??",
        ];
        let texts = [
            "",
            "a",
            "abc",
            "aaaab",
            "https://www.example.com/path/x?id=17",
            "http://x.y/",
            "https://www.a",
            "mail me@site.com now",
            "10-20-30",
            "xay",
            "y",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
            "no match\nhere x",
            "https://www.größe.example/東京/x?id=17",
            "é",
            "aéab",
        ];
        for pattern in patterns {
            let simple =
                SimplePattern::parse(pattern.as_bytes()).unwrap_or_else(|| panic!("{pattern}"));
            let full = compile(pattern.as_bytes(), false).unwrap();
            for text in texts.iter().filter(|t| t.is_ascii() || simple.any_text) {
                for from in (0..=text.len()).filter(|from| text.is_char_boundary(*from)) {
                    let text = text.as_bytes();
                    let mut groups = [None; GROUPS_MAX];
                    let mut locations = full.capture_locations();
                    let wanted = full.captures_read_at(&mut locations, text, from);
                    match simple.find(text, from, &mut groups) {
                        Found::Unknown => {}
                        Found::None => assert!(wanted.is_none(), "{pattern} {from}"),
                        Found::Match(range) => {
                            assert_eq!(wanted.map(|m| m.range()), Some(range), "{pattern} {from}");
                            for group in 1..full.captures_len() {
                                assert_eq!(
                                    groups[group],
                                    locations.get(group),
                                    "{pattern} {group}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn runs_end_where_they_do() {
        let text: Vec<u8> = (0..60u8).collect();
        for (from, byte) in (0..60).flat_map(|from| (0..=70u8).map(move |byte| (from, byte))) {
            let rest = &text[from..];
            let end = rest.iter().position(|b| *b == byte).unwrap_or(rest.len());
            assert_eq!(run_up_to(byte, rest), end, "{from} {byte}");
        }
        assert_eq!(run_up_to(0x80, &[0x7F, 0x81, 0, 1, 0x7F, 0x81, 0x80, 0x80, 0x80]), 6);
    }

    #[test]
    fn knows_where_letters_stay_whole() {
        let any_text = |p: &str| SimplePattern::parse(p.as_bytes()).unwrap().any_text;
        for pattern in [r"^https?://(?:www\.)?([^/]+)/.*$", r"[^a]+a", r".*x", r"id=([0-9]+)"] {
            assert!(any_text(pattern), "{pattern}");
        }
        for pattern in [r"x.y", r".*.*", r"[^a]+a?.+", r"([^/]+)(.)"] {
            assert!(!any_text(pattern), "{pattern}");
        }
    }

    #[test]
    fn leaves_the_rest_to_the_full_engine() {
        for pattern in ["a|b", "a{2}", "(ab)+", "a*?", "(?i)a", "é", r"\bx", "[[:alpha:]]", "a**"]
        {
            assert!(SimplePattern::parse(pattern.as_bytes()).is_none(), "{pattern}");
        }
        let slow = SimplePattern::parse(b"a*a*a*a*b").unwrap();
        let text = vec![b'a'; 2000];
        assert_eq!(slow.find(&text, 0, &mut [None; GROUPS_MAX]), Found::Unknown);
    }
}
