//! Parts of URLs: protocol, domain, path, query parameters. No strict parser: text goes in as it
//! comes, and what cannot be found is empty.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::encode::undo_percent;
use super::regexp::StringLists;
use super::registry::Registry;
use super::strings::{Strings, StringsBuilder};
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    r.part("protocol", protocol);
    r.part("domain", |u| domain(u, false));
    r.part("domainRFC", |u| domain(u, true));
    r.part("domainWithoutWWW", |u| without_www(domain(u, false)));
    r.part("domainWithoutWWWRFC", |u| without_www(domain(u, true)));
    r.part("topLevelDomain", |u| top_level(domain(u, false)));
    r.part("topLevelDomainRFC", |u| top_level(domain(u, true)));
    r.part("firstSignificantSubdomain", |u| first_significant(domain(u, false)).1);
    r.part("cutToFirstSignificantSubdomain", |u| first_significant(domain(u, false)).0);
    r.part("cutToFirstSignificantSubdomainWithWWW", |u| {
        first_significant_with_www(domain(u, false))
    });
    r.part("netloc", netloc);
    r.part("path", |u| {
        let rest = path_full(u);
        let end = rest.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(rest.len());
        &rest[..end]
    });
    r.part("pathFull", path_full);
    r.part("queryString", |u| query_range(u, false));
    r.part("queryStringAndFragment", |u| query_range(u, true));
    r.part("fragment", |u| memchr::memchr(b'#', u).map_or(&[], |at| &u[at + 1..]));
    r.text("cutWWW", |u, out| {
        let host = domain(u, false);
        let start = offset_in(host, u);
        match host.strip_prefix(b"www.") {
            // Only what stands behind `//` counts as a host here.
            Some(_) if start >= 2 => {
                out.extend_from_slice(&u[..start]);
                out.extend_from_slice(&u[start + 4..]);
            }
            _ => out.extend_from_slice(u),
        }
    });
    r.text("cutQueryString", |u, out| {
        let (start, end) = query_bounds(u);
        out.extend_from_slice(&u[..start]);
        out.extend_from_slice(&u[end..]);
    });
    r.part("cutFragment", |u| &u[..memchr::memchr(b'#', u).unwrap_or(u.len())]);
    r.part("cutQueryStringAndFragment", |u| {
        &u[..u.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(u.len())]
    });
    r.text("decodeURL", |u, out| undo_percent(u, out, false));
    r.add(
        "port",
        1..=2,
        |a| {
            a.string(0)?;
            a.integer(1)?;
            Ok(DataType::UInt16)
        },
        port,
    );
    r.add("extractURLParameter", 2..=2, |a| a.strings(0).map(|_| DataType::String), parameter);
    for (name, names) in [("extractURLParameters", false), ("extractURLParameterNames", true)] {
        r.add(
            name,
            1..=1,
            |a| a.string(0).map(|_| DataType::array(DataType::String)),
            move |c| parameters(c, names),
        );
    }
    for (name, from_path) in [("URLHierarchy", false), ("URLPathHierarchy", true)] {
        r.add(
            name,
            1..=1,
            |a| a.string(0).map(|_| DataType::array(DataType::String)),
            move |c| hierarchy(c, from_path),
        );
    }
    r.add("cutURLParameter", 2..=2, |a| a.string(0).map(|_| DataType::String), cut_parameter);
}

/// Where `part` lies in `whole` (it is a slice of it).
fn offset_in(part: &[u8], whole: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize).min(whole.len())
}

/// The end of the scheme's name, if a colon follows it.
fn scheme_end(url: &[u8]) -> Option<usize> {
    if !url.first()?.is_ascii_alphabetic() {
        return None;
    }
    let end = url.iter().position(|b| !(b.is_ascii_alphanumeric() || b"+-.".contains(b)))?;
    (url[end] == b':').then_some(end)
}

fn protocol(url: &[u8]) -> &[u8] {
    match scheme_end(url) {
        Some(end) if url[end..].starts_with(b":/") => &url[..end],
        _ => &[],
    }
}

/// What follows `scheme://` or `//`; None if the text has a scheme without them.
fn after_scheme(url: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = url.strip_prefix(b"//") {
        return Some(rest);
    }
    if let Some(end) = scheme_end(url) {
        let rest = &url[end + 1..];
        if let Some(rest) = rest.strip_prefix(b"//") {
            return Some(rest);
        }
    }
    Some(url)
}

fn domain(url: &[u8], rfc: bool) -> &[u8] {
    let Some(mut rest) = after_scheme(url) else { return &[] };
    if rfc {
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let authority = &rest[..end];
        if let Some(at) = memchr::memrchr(b'@', authority) {
            rest = &rest[at + 1..];
        }
        if rest.first() == Some(&b'[') {
            return memchr::memchr(b']', rest).map_or(&[], |e| &rest[..=e]);
        }
    }
    // Most bytes of a name are plain, so that the rest is looked at byte by byte only where it stops.
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let mut from = 0;
    while let Some(step) = rest[from..].iter().position(|b| !plain(b)) {
        let i = from + step;
        match rest[i] {
            b':' | b'/' | b'?' | b'#' => {
                // `host:` must be followed by a port, else the colon belongs to a user.
                if rest[i] == b':' && !rfc {
                    let port = &rest[i + 1..];
                    let end = port
                        .iter()
                        .position(|b| matches!(b, b'/' | b'?' | b'#'))
                        .unwrap_or(port.len());
                    if memchr::memchr(b'@', &port[..end]).is_some() {
                        return &[];
                    }
                }
                let host = &rest[..i];
                return if memchr::memchr(b'.', host).is_some() { host } else { &[] };
            }
            b'@' | b' ' | b'\t' | b'<' | b'>' | b'%' | b'{' | b'}' | b'|' | b'\\' | b'^' | b'~'
            | b'[' | b']' | b';' | b'=' | b'&' => return &[],
            _ => from = i + 1,
        }
    }
    let dot = memchr::memchr(b'.', rest).is_some();
    if dot { rest } else { &[] }
}

fn without_www(host: &[u8]) -> &[u8] {
    host.strip_prefix(b"www.").unwrap_or(host)
}

fn is_ip_address(host: &[u8]) -> bool {
    host.iter().all(|b| b.is_ascii_digit() || *b == b'.')
}

fn top_level(host: &[u8]) -> &[u8] {
    if host.first() == Some(&b'[') || is_ip_address(host) {
        return &[];
    }
    memchr::memrchr(b'.', host).map_or(&[], |at| &host[at + 1..])
}

/// Second-level names that are registries themselves, as in `co.uk`.
fn is_registry(name: &[u8]) -> bool {
    matches!(name, b"com" | b"co" | b"org" | b"net" | b"gov" | b"edu" | b"ac" | b"mil")
}

/// (from the first significant subdomain on, that subdomain).
fn first_significant(host: &[u8]) -> (&[u8], &[u8]) {
    let host_only = without_www(host);
    let mut starts: Vec<usize> = vec![0];
    starts.extend(memchr::memchr_iter(b'.', host_only).map(|at| at + 1));
    let label = |i: usize| {
        let end = starts.get(i + 1).map_or(host_only.len(), |s| s - 1);
        &host_only[starts[i]..end]
    };
    let count = starts.len();
    let first = match count {
        1 => return (host_only, host_only),
        2 => 0,
        _ if is_registry(label(count - 2)) => count - 3,
        _ => count - 2,
    };
    (&host_only[starts[first]..], label(first))
}

fn first_significant_with_www(host: &[u8]) -> &[u8] {
    let cut = first_significant(host).0;
    let start = offset_in(cut, host);
    if start == 4 && host.starts_with(b"www.") && memchr::memchr(b'.', cut).is_none() {
        return host;
    }
    cut
}

fn netloc(url: &[u8]) -> &[u8] {
    let Some(rest) = after_scheme(url) else { return &[] };
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    &rest[..end]
}

fn path_full(url: &[u8]) -> &[u8] {
    let rest = match after_scheme(url) {
        Some(rest) if offset_in(rest, url) > 0 => rest,
        _ => url,
    };
    memchr::memchr(b'/', rest).map_or(&[], |at| &rest[at..])
}

/// From the question mark to the fragment (both ends at the text's end if there is none).
fn query_bounds(url: &[u8]) -> (usize, usize) {
    let fragment = memchr::memchr(b'#', url).unwrap_or(url.len());
    match memchr::memchr(b'?', &url[..fragment]) {
        Some(at) => (at, fragment),
        None => (fragment, fragment),
    }
}

fn query_range(url: &[u8], with_fragment: bool) -> &[u8] {
    match url.iter().position(|b| matches!(b, b'?' | b'#')) {
        Some(at) if url[at] == b'#' => {
            if with_fragment {
                &url[at + 1..]
            } else {
                &[]
            }
        }
        Some(at) => {
            let rest = &url[at + 1..];
            if with_fragment {
                return rest;
            }
            &rest[..memchr::memchr(b'#', rest).unwrap_or(rest.len())]
        }
        None => &[],
    }
}

fn port(call: &FunctionCall) -> Result<Column> {
    let urls = call.strings(0)?;
    let defaults = call.numbers_or::<u16>(1, 0)?;
    call.finish_numbers(
        (0..call.rows)
            .map(|row| {
                let authority = netloc(urls.get(row));
                memchr::memrchr(b':', authority)
                    .and_then(|at| std::str::from_utf8(&authority[at + 1..]).ok()?.parse().ok())
                    .unwrap_or(defaults.get(row))
            })
            .collect::<Vec<u16>>(),
    )
}

/// The places of `name=value` behind `?`, `&` and `#`.
fn each_parameter(url: &[u8]) -> impl Iterator<Item = &[u8]> {
    let start = url.iter().position(|b| matches!(b, b'?' | b'#')).map_or(url.len(), |at| at + 1);
    url[start..]
        .split(|b| matches!(b, b'&' | b'#' | b'?'))
        .filter(|p| memchr::memchr(b'=', p).is_some())
}

fn parameter(call: &FunctionCall) -> Result<Column> {
    let (urls, names) = (call.strings(0)?, call.strings(1)?);
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 8);
    for row in 0..call.rows {
        let name = names.get(row);
        let value = each_parameter(urls.get(row))
            .find_map(|p| p.strip_prefix(name)?.strip_prefix(b"="))
            .unwrap_or_default();
        out.push(value);
    }
    call.finish(out.finish()?)
}

fn parameters(call: &FunctionCall, names: bool) -> Result<Column> {
    let urls = call.strings(0)?;
    let mut out = StringLists::with_capacity(call.rows);
    for row in 0..call.rows {
        for p in each_parameter(urls.get(row)) {
            let end = memchr::memchr(b'=', p).unwrap_or(p.len());
            out.push(if names { &p[..end] } else { p });
        }
        out.end_row();
    }
    out.finish(call)
}

/// The URL cut after every slash and question mark from the path on.
fn hierarchy(call: &FunctionCall, from_path: bool) -> Result<Column> {
    let urls = call.strings(0)?;
    let mut out = StringLists::with_capacity(call.rows);
    for row in 0..call.rows {
        let url = urls.get(row);
        let path = path_full(url);
        let start = if path.is_empty() { url.len() } else { offset_in(path, url) };
        let base = if from_path { start } else { 0 };
        let mut cuts: Vec<usize> = (start..url.len())
            .filter(|i| matches!(url[*i], b'/' | b'?' | b'#'))
            .map(|i| i + 1)
            .collect();
        if from_path && !cuts.is_empty() {
            // The root alone is no step.
            cuts.remove(0);
        }
        if cuts.last() != Some(&url.len()) && url.len() > base + usize::from(from_path) {
            cuts.push(url.len());
        }
        cuts.iter().for_each(|end| out.push(&url[base..*end]));
        out.end_row();
    }
    out.finish(call)
}

fn cut_parameter(call: &FunctionCall) -> Result<Column> {
    let urls = call.strings(0)?;
    let mut out = StringsBuilder::with_capacity(call.rows, urls.total(call.rows));
    let list = match call.data_type(1)? {
        DataType::Array(_) => Some(call.array(1)?),
        _ => None,
    };
    let items = list.as_ref().map(|l| Strings::of(l.items.array.as_ref())).transpose()?;
    let single = if list.is_none() { Some(call.strings(1)?) } else { None };
    for row in 0..call.rows {
        let mut url = urls.get(row).to_vec();
        if let Some(name) = single {
            remove_parameter(&mut url, name.get(row));
        } else if let (Some(list), Some(items)) = (&list, &items) {
            list.range(row).for_each(|i| remove_parameter(&mut url, items.get(i)));
        }
        out.push(&url);
    }
    call.finish(out.finish()?)
}

fn remove_parameter(url: &mut Vec<u8>, name: &[u8]) {
    let mut wanted = name.to_vec();
    wanted.push(b'=');
    let places: Vec<usize> = memchr::memmem::find_iter(url, &wanted).collect();
    for at in places {
        if at == 0 || !matches!(url[at - 1], b'?' | b'&' | b'#') {
            continue;
        }
        let end =
            at + url[at..].iter().position(|b| matches!(b, b'&' | b'#')).unwrap_or(url.len() - at);
        if url.get(end) == Some(&b'&') {
            url.drain(at..=end);
        } else if url[at - 1] == b'&' {
            url.drain(at - 1..end);
        } else {
            url.drain(at..end);
        }
        return;
    }
}
