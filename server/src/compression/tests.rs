//! Frames against known bytes; every encoding both ways, in several streams, cut and damaged.

use std::io::{Cursor, Read};

use super::encodings::{Encoder, Encoding};
use super::frames::{FrameReader, Method, parse_frame, write_frame};
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn sample(bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|i| (i * i / 7 % 251) as u8).collect()
}

#[test]
fn frames_are_clickhouses() {
    let data = hex("01020163 0555496e7438 01ff");
    let plain =
        hex("8aac7ffde4690a7a1517ef52c25edfc4 02 15000000 0c000000 010201630555496e743801ff");
    let lz4 =
        hex("b68855d024ca844d3ab497ee855700d2 82 16000000 0c000000 c0010201630555496e743801ff");
    for (method, want) in [(Method::None, plain), (Method::Lz4, lz4)] {
        let mut out = vec![];
        write_frame(&data, method, &mut out);
        assert_eq!(out, want);
        assert_eq!(parse_frame(&want, true).unwrap(), Some((data.clone(), want.len())));
        for end in 0..want.len() {
            assert_eq!(parse_frame(&want[..end], true).unwrap(), None);
        }
        let mut damaged = want.clone();
        damaged[30] ^= 1;
        assert!(parse_frame(&damaged, true).is_err());
    }
}

#[test]
fn a_stream_of_frames_of_every_method() {
    let mut out = vec![];
    let mut want = vec![];
    for (method, bytes) in [(Method::Zstd, 300_000), (Method::None, 5), (Method::Lz4, 70_000)] {
        let data = sample(bytes);
        write_frame(&data, method, &mut out);
        want.extend(data);
    }
    let mut got = vec![];
    FrameReader::new(Cursor::new(&out), true).read_to_end(&mut got).unwrap();
    assert!(got == want);
    // A frame that announces more than is allowed is refused before it is unpacked.
    out[17..21].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(FrameReader::new(Cursor::new(&out), true).read_to_end(&mut got).is_err());
}

#[test]
fn encodings_both_ways_in_several_streams() {
    let data = sample(500_000);
    for encoding in Encoding::ALL {
        let mut body = vec![];
        // Three streams, one of them empty, each in pieces.
        for part in [&data[..200_000], &data[200_000..200_000], &data[200_000..]] {
            let mut encoder = Encoder::new(encoding, 3).unwrap();
            for piece in part.chunks(70_000) {
                body.extend(encoder.encode(piece, false).unwrap());
            }
            body.extend(encoder.encode(&[], true).unwrap());
        }
        let read = |body: Vec<u8>| {
            let source: Box<dyn Read + Send> = Box::new(Cursor::new(body));
            let mut got = vec![];
            unpacked(source, Some(encoding.name()), false, true)
                .unwrap()
                .read_to_end(&mut got)
                .map(|_| got)
        };
        assert!(read(body.clone()).unwrap() == data, "{}", encoding.name());
        let mut damaged = body.clone();
        let middle = damaged.len() / 2;
        damaged[middle..].iter_mut().for_each(|b| *b ^= 0x5a);
        assert!(!read(damaged).is_ok_and(|got| got == data), "{}", encoding.name());
        assert!(read(body[..body.len() - 20].to_vec()).is_err(), "{}", encoding.name());
    }
}

#[test]
fn the_client_is_given_what_it_takes() {
    assert_eq!(Encoding::chosen("gzip, deflate, br;q=0.1"), Some(Encoding::Brotli));
    assert_eq!(Encoding::chosen("gzip;q=0, deflate"), Some(Encoding::Deflate));
    assert_eq!(Encoding::chosen("identity"), None);
    let refused = unpacked(Box::new(std::io::empty()), Some("rot13"), false, true);
    assert_eq!(refused.err().map(|e| e.code()), Some(48));
}

#[test]
fn frames_go_inside_the_encoding() {
    let data = sample(3 << 20);
    let mut packer = Packer::new(true, Some(Encoding::Gzip), 3).unwrap();
    let mut body = packer.pack(data[..100].to_vec(), false).unwrap();
    body.extend(packer.pack(data[100..].to_vec(), true).unwrap());
    let source: Box<dyn Read + Send> = Box::new(Cursor::new(body));
    let mut got = vec![];
    unpacked(source, Some("gzip"), true, true).unwrap().read_to_end(&mut got).unwrap();
    assert!(got == data);
}

#[test]
fn a_frame_of_clickhouses_own_files() {
    let frame = hex(
        "c0d0c559337ab52dec48dc23d604b43782720200005406000034616230030014310300143203001433030014\
     34030014350300143603001437030014380300143903002731300400005e0004040017320400173304001734\
     0400173504001736040017370400173804001639040027323004001731040000d90004040017330400173404\
     0017350400173604001737040017380400163904002733300400173104001732040000540104040017340400\
     1735040017360400173704001738040016390400273430040017310400173204001733040000cf0104040017\
     35040017360400173704001738040016390400273530040017310400173204001733040017340400004a0204\
     0400173604001737040017380400163904002736300400173104001732040017330400173404001735040000\
     c502040400173704001738040016390400273730040017310400173204001733040017340400173504001736\
     0400004003040400173804001639040027383004001731040017320400173304001734040017350400173604\
     001737040000bb03040400163904002739300400173104001732040017330400173404001735040017360400\
     17370400173804000036040304002131303904060500003804070500003f0407050000420407050000450407\
     0500004804070500004b04070500004e0407050000510407050000540406050001cf04070500009100070500\
     0091000705000091000705000091000705000091000705000091000705000091000705000091000705000091\
     0006050000ed0408050000910007050000910007050000910007050000910007050000910007050000910007\
     0500009100070500009100070500b03961623132396162313239",
    );
    let (data, used) = parse_frame(&frame, true).unwrap().unwrap();
    assert_eq!(used, frame.len());
    assert!(data.starts_with(b"ab0ab0ab0ab1"));
}
