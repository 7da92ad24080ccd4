//! Conformance of all codecs: what they wrote comes back, damage is no panic, declarations are judged
//! as ClickHouse judges them.

use super::chain;
use super::declare::parse_default;
use super::*;
use crate::part::tests::Random;
use crate::types::parse_data_type;

/// Data that is easy, hard and odd, for words of `width` bytes.
fn samples(width: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut r = Random(width as u64 + 11);
    let mut words = |n: usize, f: &mut dyn FnMut(u64, u64) -> u64| -> Vec<u8> {
        (0..n as u64)
            .flat_map(|i| {
                let value = f(i, r.next());
                let mut bytes = value.to_le_bytes().to_vec();
                // Sign extended to the wide ones.
                bytes.resize(width.max(8), if (value as i64) < 0 { 0xFF } else { 0 });
                bytes.truncate(width);
                bytes
            })
            .collect()
    };
    let float = |i: u64| (20.0 + (i as f64 / 9.0).sin()).to_bits();
    let mut at = 0u64;
    vec![
        ("none", vec![]),
        ("one", words(1, &mut |_, r| r)),
        ("two", words(2, &mut |_, r| r)),
        ("random", words(777, &mut |_, r| r)),
        ("zeros", words(500, &mut |_, _| 0)),
        ("ones", words(500, &mut |_, _| u64::MAX)),
        ("count", words(1000, &mut |i, _| i.wrapping_mul(30) + (1 << 40))),
        ("down", words(300, &mut |i, _| 0u64.wrapping_sub(i * 7))),
        (
            "steps",
            words(640, &mut |_, r| {
                at = at.wrapping_add(1000 + r % 3);
                at
            }),
        ),
        (
            "extremes",
            words(200, &mut |i, r| [0, u64::MAX, 1 << 63, i64::MAX as u64, r][i as usize % 5]),
        ),
        ("small", words(64, &mut |_, r| r % 11)),
        ("multiples", words(500, &mut |_, r| (r % 5000) * 1200)),
        ("negative", words(129, &mut |_, r| ((r % 2001) as i64 - 1000) as u64)),
        ("floats", words(600, &mut |i, _| float(i))),
        (
            "floats of 32 bits",
            words(600, &mut |i, _| (f64::from_bits(float(i)) as f32).to_bits() as u64),
        ),
        ("nan", words(90, &mut |i, _| if i % 3 == 0 { f64::NAN.to_bits() } else { float(i) })),
        ("text", b"the quick brown fox jumps over the lazy dog, the quick brown dog ".repeat(40)),
        ("odd tail", [words(70, &mut |i, _| i), vec![1, 2, 3]].concat()),
        ("long run", [vec![9; 70_000], words(10, &mut |_, r| r)].concat()),
    ]
}

fn levels(codec: &dyn Codec) -> Vec<i8> {
    match codec.name() {
        "ZSTD" => vec![-5, 0, 1, 3, 9],
        "LZ4HC" => vec![0, 1, 4, 12],
        "T64" => vec![0, 1],
        "FPC" => vec![1, 12, 16],
        _ => vec![0],
    }
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    for codec in REGISTRY {
        for width in [1, 2, 4, 8, 16, 32] {
            if width > 8 && codec.typed() && codec.name() != "GCD" {
                continue;
            }
            for (name, bytes) in samples(width) {
                for level in levels(*codec) {
                    for signed in [false, true] {
                        let parameters = Parameters { width: width as u8, level, signed };
                        let mut stored = vec![];
                        codec.encode(parameters, &bytes, &mut stored);
                        assert!(stored.len() <= encoded_bytes_max(bytes.len()), "{name}");
                        let mut back = vec![0xAA; bytes.len()];
                        codec.decode(parameters, &stored, &mut back).unwrap_or_else(|e| {
                            panic!("{} {width} {level} {name}: {}", codec.name(), e.0)
                        });
                        assert!(back == bytes, "{} {width} {level} {name}", codec.name());
                    }
                }
            }
        }
    }
}

#[test]
fn codecs_make_what_they_are_for_small() {
    let stored = |name: &str, level: i8, width: usize, sample: &str| {
        let bytes = samples(width).into_iter().find(|(n, _)| *n == sample).unwrap().1;
        let mut out = vec![];
        let parameters = Parameters { width: width as u8, level, signed: false };
        by_name(name).unwrap().encode(parameters, &bytes, &mut out);
        (bytes.len(), out.len())
    };
    for (name, level, width, sample, times) in [
        ("LZ4", 0, 8, "text", 20),
        ("LZ4HC", 12, 8, "text", 20),
        ("ZSTD", 1, 8, "text", 20),
        ("DoubleDelta", 0, 8, "count", 40),
        ("Gorilla", 0, 8, "zeros", 50),
        ("T64", 1, 8, "small", 10),
        ("T64", 0, 4, "multiples", 1),
        ("FPC", 12, 8, "zeros", 14),
    ] {
        let (raw, small) = stored(name, level, width, sample);
        assert!(small * times <= raw, "{name} {sample}: {raw} as {small}");
    }
    // Searching harder pays.
    let log: Vec<u8> = (0..3000u32)
        .flat_map(|i| format!("GET /item/{} user={} \n", i * 7919 % 613, i * 31 % 97).into_bytes())
        .collect();
    let size = |name: &str, level| {
        let mut out = vec![];
        by_name(name).unwrap().encode(
            Parameters { width: 1, level, signed: false },
            &log,
            &mut out,
        );
        out.len()
    };
    assert!(size("LZ4HC", 0) * 100 < size("LZ4", 0) * 90);
    assert!(size("LZ4HC", 9) <= size("LZ4HC", 1));
}

/// Damaged and arbitrary bytes: an error or some bytes, no panic.
#[test]
fn no_codec_panics_on_damage() {
    let mut random = Random(3);
    for codec in REGISTRY {
        for width in [1, 2, 4, 8, 16, 32, 0, 3, 255] {
            for (_, bytes) in samples(if matches!(width, 0 | 3 | 255) { 4 } else { width as usize })
            {
                if bytes.len() > 10_000 {
                    continue;
                }
                for level in levels(*codec).into_iter().chain([-128, 127]) {
                    let parameters = Parameters { width, level, signed: true };
                    let mut stored = vec![];
                    if levels(*codec).contains(&level) && matches!(width, 1 | 2 | 4 | 8) {
                        codec.encode(parameters, &bytes, &mut stored);
                    } else {
                        stored = bytes.clone();
                    }
                    for _ in 0..4 {
                        let mut damaged = stored.clone();
                        for _ in 0..random.below(3) {
                            if !damaged.is_empty() {
                                let at = random.below(damaged.len() as u64) as usize;
                                damaged[at] = random.next() as u8;
                            }
                        }
                        if random.below(3) == 0 {
                            damaged.truncate(random.below(damaged.len() as u64 + 1) as usize);
                        }
                        let mut out = vec![0; bytes.len()];
                        let _ = codec.decode(parameters, &damaged, &mut out);
                    }
                }
            }
        }
    }
}

#[test]
fn chains_give_back_what_they_were_given() {
    let mut random = Random(17);
    for round in 0..300 {
        let width = [1, 2, 4, 8][round % 4];
        let stages: Vec<Stage> = (0..1 + random.below(4))
            .map(|_| {
                let codec = REGISTRY[random.below(REGISTRY.len() as u64) as usize];
                let levels = levels(codec);
                Stage {
                    codec,
                    width: [0, 0, 1, 4, 8][random.below(5) as usize],
                    level: levels[random.below(levels.len() as u64) as usize],
                }
            })
            .collect();
        let names: Vec<&str> = stages.iter().map(|s| s.codec.name()).collect();
        let samples = samples(width);
        let (name, bytes) = &samples[random.below(samples.len() as u64) as usize];
        let mut stored = vec![];
        chain::encode(&stages, width, round % 2 == 0, bytes, &mut stored);
        let mut back = vec![0; bytes.len()];
        chain::decode(&stored, &mut back).unwrap_or_else(|e| panic!("{names:?} {name}: {}", e.0));
        assert!(back == *bytes, "{names:?} {name}");
        for _ in 0..20 {
            let mut damaged = stored.clone();
            let at = random.below(damaged.len() as u64) as usize;
            damaged[at] = random.next() as u8;
            let _ = chain::decode(&damaged, &mut back);
        }
    }
}

/// One line per codec list and type: what ClickHouse shows of it, or its error code.
#[test]
fn declarations_are_judged_as_clickhouse_does() {
    let lines = include_str!("testdata/declarations.tsv").lines();
    let (mut checked, mut wrong) = (0, vec![]);
    for line in lines {
        let [list, name, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("a line of three fields: {line}")
        };
        let data_type = parse_data_type(name).unwrap();
        let got = match settle(&format!("CODEC({list})"), &data_type, false) {
            Ok(text) => text,
            Err(crate::error::Error::Expression { code, message }) => {
                format!("{code} {}", message.trim_end_matches('.'))
            }
            Err(other) => other.to_string(),
        };
        checked += 1;
        if got != expected.trim_end_matches('.') {
            wrong.push(format!("{list} | {name}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 500);
}

#[test]
fn a_column_codec_knows_its_parts() {
    let of = |text: &str, name: &str| {
        let codec = ColumnCodec::of(text, &parse_data_type(name).unwrap(), Generic::Zstd(3));
        let stages: Vec<_> =
            codec.stages.iter().map(|s| (s.codec.name(), s.width, s.level)).collect();
        (stages, codec.generic)
    };
    assert_eq!(of("", "UInt8"), (vec![], Generic::Zstd(3)));
    assert_eq!(of("CODEC(Default)", "UInt8"), (vec![], Generic::Zstd(3)));
    assert_eq!(of("CODEC(NONE)", "String"), (vec![], Generic::Nothing));
    assert_eq!(of("CODEC(LZ4HC(4))", "String"), (vec![], Generic::Lz4Hc(4)));
    let delta = vec![("Delta", 4, 0), ("ZSTD", 0, 3)];
    assert_eq!(of("CODEC(Delta(4), Default)", "UInt32"), (delta, Generic::Zstd(3)));
    let each = vec![("Delta", 0, 0), ("LZ4", 0, 0)];
    assert_eq!(of("CODEC(Delta, LZ4)", "Tuple(UInt8, UInt64)"), (each, Generic::Lz4));
    assert_eq!(of("CODEC(FromTheFuture(1))", "UInt8"), (vec![], Generic::Zstd(3)));
    assert_eq!(parse_default("").unwrap(), Generic::Lz4);
    assert_eq!(parse_default("ZSTD").unwrap(), Generic::Zstd(1));
    assert!(parse_default("Delta").is_err() && parse_default("ZSTD(99)").is_err());
}
