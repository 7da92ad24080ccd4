//! UUID, IPv4 and IPv6 text. The 16 bytes are big-endian, as columns hold them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{TextError, TextResult, excerpt};
use crate::error::codes;

/// A UUID with dashes or without.
pub fn parse_uuid(text: &[u8]) -> TextResult<[u8; 16]> {
    let bad =
        || TextError::new(codes::CANNOT_PARSE_UUID, format!("Cannot parse uuid {}", excerpt(text)));
    let dashed = text.len() == 36;
    if !dashed && text.len() != 32 {
        return Err(bad());
    }
    let mut out = [0u8; 16];
    let mut at = 0;
    for (i, byte) in out.iter_mut().enumerate() {
        if dashed && matches!(i, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return Err(bad());
            }
            at += 1;
        }
        let (Some(high), Some(low)) = (hex(text[at]), hex(text[at + 1])) else {
            return Err(bad());
        };
        *byte = high << 4 | low;
        at += 2;
    }
    Ok(out)
}

/// The value of a hexadecimal digit.
pub fn hex(b: u8) -> Option<u8> {
    (b as char).to_digit(16).map(|d| d as u8)
}

pub fn parse_ipv4(text: &[u8]) -> TextResult<u32> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse::<Ipv4Addr>().ok())
        .map(u32::from)
        .ok_or_else(|| TextError::new(codes::CANNOT_PARSE_IPV4, "Invalid IPv4 value"))
}

/// An IPv6 address; an IPv4 one becomes `::ffff:a.b.c.d`.
pub fn parse_ipv6(text: &[u8]) -> TextResult<[u8; 16]> {
    let bad = || TextError::new(codes::CANNOT_PARSE_IPV6, "Invalid IPv6 value");
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    if let Ok(v6) = text.parse::<Ipv6Addr>() {
        return Ok(v6.octets());
    }
    text.parse::<Ipv4Addr>().map(|v4| v4.to_ipv6_mapped().octets()).map_err(|_| bad())
}

pub fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (i, b) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[(b >> 4) as usize]);
        out.push(HEX[(b & 15) as usize]);
    }
}

pub fn write_ipv4(word: u32, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    for (i, b) in word.to_be_bytes().into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(digits.format(b).as_bytes());
    }
}

/// The longest run of zero groups is `::`; an address that embeds an IPv4 one ends in dots.
pub fn write_ipv6(bytes: &[u8], out: &mut Vec<u8>) {
    let mut groups = [0u16; 8];
    for (group, pair) in groups.iter_mut().zip(bytes.chunks_exact(2)) {
        *group = u16::from_be_bytes([pair[0], pair[1]]);
    }
    let (mut best, mut best_length, mut start) = (8, 1, None);
    for i in 0..=8 {
        match (groups.get(i), start) {
            (Some(0), None) => start = Some(i),
            (Some(0), Some(_)) => {}
            (_, Some(s)) => {
                if i - s > best_length {
                    (best, best_length) = (s, i - s);
                }
                start = None;
            }
            _ => {}
        }
    }
    let embeds = best == 0 && (best_length == 6 || (best_length == 5 && groups[5] == 0xffff));
    let mut i = 0;
    while i < 8 {
        if i == best {
            out.extend_from_slice(b"::");
            i += best_length;
            continue;
        }
        if embeds && i == 6 {
            if out.last() != Some(&b':') {
                out.push(b':');
            }
            write_ipv4((groups[6] as u32) << 16 | groups[7] as u32, out);
            return;
        }
        if i > 0 && i != best + best_length {
            out.push(b':');
        }
        out.extend_from_slice(format!("{:x}", groups[i]).as_bytes());
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_text() {
        for text in [
            "::1",
            "::",
            "2001:db8::1",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
            "1:2:3:4:5:6:7:8",
            "1::5:0:0:8",
            "1:0:0:2::3",
            "0:1::",
            "1:0:2:3:4:5:6:7",
            "1::",
        ] {
            let mut out = vec![];
            write_ipv6(&parse_ipv6(text.as_bytes()).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        assert_eq!(parse_ipv6(b"1::2::3").unwrap_err().code, 676);
        assert_eq!(parse_ipv6(b"1.2.3.4"), parse_ipv6(b"::ffff:1.2.3.4"));
        assert_eq!(parse_ipv4(b"01.2.3.4").unwrap_err().code, 675);
    }

    #[test]
    fn uuid_text() {
        let dashed = b"00112233-4455-6677-8899-aabbccddeeff";
        let bytes = parse_uuid(dashed).unwrap();
        assert_eq!(parse_uuid(b"00112233445566778899AABBCCDDEEFF"), Ok(bytes));
        let mut out = vec![];
        write_uuid(&bytes, &mut out);
        assert_eq!(out, dashed);
        assert!(parse_uuid(b"0011223344556677-8899-aabbccddeeff--").is_err());
    }
}
