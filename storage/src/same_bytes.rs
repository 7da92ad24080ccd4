//! Whether two strings are the same, without a call for short ones, which most are.

/// As `a == b`, sooner for strings of up to 64 bytes.
#[inline(always)]
pub fn is_same_bytes(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Both ends cover what is between them.
    if a.len() > 64 {
        return a == b;
    }
    if let (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) =
        (a.first_chunk::<32>(), b.first_chunk::<32>(), a.last_chunk::<32>(), b.last_chunk::<32>())
    {
        return (a_first == b_first) & (a_last == b_last);
    }
    if let (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) =
        (a.first_chunk::<16>(), b.first_chunk::<16>(), a.last_chunk::<16>(), b.last_chunk::<16>())
    {
        return (a_first == b_first) & (a_last == b_last);
    }
    if let (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) =
        (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>())
    {
        return (a_first == b_first) & (a_last == b_last);
    }
    a.iter().zip(b).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for length in 0..80 {
            let a: Vec<u8> = (0..length).map(|i| i as u8).collect();
            assert!(is_same_bytes(&a, &a.clone()));
            assert!(!is_same_bytes(&a, &[&a[..], b"x"].concat()));
            for at in 0..length {
                let mut b = a.clone();
                b[at] ^= 0x80;
                assert!(!is_same_bytes(&a, &b), "{length} {at}");
            }
        }
    }
}
