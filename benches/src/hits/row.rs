//! What a hit's columns share: who, where, when and which page.
//!
//! Users, pages and phrases are drawn by rank from Zipf tails, so a few are everywhere and millions are
//! seen once. All text of a rank is derived from the rank, so the same page has the same address and title.

use super::random::{Random, mix};

/// How large and how skewed a data set is; the second shape is there to show that nothing is tuned to the first.
#[derive(Clone, Copy)]
pub struct Shape {
    pub seed: u64,
    pub counters: u64,
    /// Ranks of users, pages and search phrases.
    pub users: u64,
    pub pages: u64,
    pub phrases: u64,
    /// One in so many hits has a search phrase, and one in so many users a phone.
    pub phrase_one_in: u64,
    pub mobile_one_in: u64,
    /// Hits of a day.
    pub rows_per_day: u64,
}

impl Shape {
    /// The main shape for `rows` rows.
    pub fn main(rows: u64, seed: u64) -> Shape {
        Shape {
            seed,
            counters: 6_000,
            users: rows,
            pages: rows,
            phrases: rows / 8 + 1,
            phrase_one_in: 8,
            mobile_one_in: 6,
            rows_per_day: rows / 31 + 1,
        }
    }

    /// Fewer sites, fewer users with more hits each, more search, more phones.
    pub fn other(rows: u64, seed: u64) -> Shape {
        Shape {
            seed: mix(seed ^ 0x5ca1_ab1e),
            counters: 700,
            users: rows / 5 + 1,
            pages: rows / 3 + 1,
            phrases: rows / 3 + 1,
            phrase_one_in: 4,
            mobile_one_in: 2,
            rows_per_day: rows / 12 + 1,
        }
    }
}

/// One hit, as far as several columns depend on it.
#[derive(Default)]
pub struct Row {
    pub counter: u32,
    pub user: u64,
    /// Fixed per user.
    pub user_bits: u64,
    pub url_bits: u64,
    pub url_hash: u64,
    pub referer_hash: u64,
    pub ip: u32,
    pub region: u32,
    /// Seconds since 1970.
    pub time: u32,
    pub is_mobile: bool,
    pub url: Vec<u8>,
    pub referer: Vec<u8>,
    pub title: Vec<u8>,
    pub phrase: Vec<u8>,
}

/// 2024-07-01, a Monday.
const FIRST_DAY: u32 = 19_905;
const DAY_SECONDS: u64 = 86_400;
const WORDS: [&str; 48] = [
    "water",
    "pump",
    "garden",
    "price",
    "photo",
    "cheap",
    "news",
    "map",
    "weather",
    "recipe",
    "music",
    "game",
    "house",
    "school",
    "train",
    "ticket",
    "phone",
    "review",
    "football",
    "holiday",
    "bank",
    "credit",
    "doctor",
    "winter",
    "summer",
    "вода",
    "дом",
    "купить",
    "цена",
    "фото",
    "город",
    "игра",
    "Straße",
    "Bäcker",
    "günstig",
    "größe",
    "Wetter",
    "café",
    "señal",
    "mañana",
    "niño",
    "東京",
    "天気",
    "ニュース",
    "google",
    "video",
    "free",
    "auto",
];

impl Row {
    /// Fills the row with hit number `index`.
    pub fn fill(&mut self, shape: &Shape, index: u64, random: &mut Random) {
        let day = index / shape.rows_per_day;
        let second = index % shape.rows_per_day * DAY_SECONDS / shape.rows_per_day;
        self.time = ((u64::from(FIRST_DAY) + day) * DAY_SECONDS + second) as u32;
        let user = random.zipf(shape.users) ^ (random.below(4) * (shape.users / 4));
        self.user = mix(user ^ shape.seed) >> 1;
        self.user_bits = mix(self.user);
        self.is_mobile = self.user_bits.is_multiple_of(shape.mobile_one_in);
        self.ip = (self.user_bits >> 7) as u32 ^ (random.below(3) as u32);
        self.region = 1 + ((self.user_bits >> 3) % 5_000).min((self.user_bits >> 50) % 700) as u32;
        let page = random.zipf(shape.pages) ^ (random.below(4) * (shape.pages / 4));
        self.url_bits = mix(page ^ shape.seed.rotate_left(9));
        // A page belongs to one site; large sites have most pages.
        self.counter = 1
            + ((shape.counters as f64).powf((self.url_bits >> 11) as f64 / (1u64 << 53) as f64))
                as u32
                * 7;
        address(&mut self.url, self.url_bits, self.counter);
        self.url_hash = mix(self.url_bits);
        title(&mut self.title, self.url_bits);
        self.referer.clear();
        self.referer_hash = 0;
        if random.below(5) > 0 {
            let from = mix(random.zipf(shape.pages) ^ shape.seed.rotate_left(9));
            address(&mut self.referer, from, 1 + (from % shape.counters) as u32 * 7);
            self.referer_hash = mix(from);
        }
        self.phrase.clear();
        if random.below(shape.phrase_one_in) == 0 {
            let bits = mix(random.zipf(shape.phrases) ^ shape.seed.rotate_left(21));
            words(&mut self.phrase, bits, 1 + bits % 4, b' ');
        }
    }
}

fn words(out: &mut Vec<u8>, mut bits: u64, count: u64, separator: u8) {
    for i in 0..count {
        if i > 0 {
            out.push(separator);
        }
        out.extend_from_slice(WORDS[(bits % WORDS.len() as u64) as usize].as_bytes());
        bits = mix(bits);
    }
    if !bits.is_multiple_of(3) {
        out.push(separator);
        out.extend_from_slice(itoa::Buffer::new().format(bits % 10_000).as_bytes());
    }
}

fn address(out: &mut Vec<u8>, bits: u64, counter: u32) {
    out.clear();
    out.extend_from_slice(if bits.is_multiple_of(3) { b"https://" } else { b"http://" });
    if bits.is_multiple_of(4) {
        out.extend_from_slice(b"www.");
    }
    words(out, mix(u64::from(counter)), 1, b'-');
    out.extend_from_slice([".example", ".test", ".invalid"][(counter % 3) as usize].as_bytes());
    out.push(b'/');
    words(out, bits, 1 + bits % 3, b'/');
    if bits.is_multiple_of(2) {
        out.extend_from_slice(b".html");
    }
    if bits % 5 < 3 {
        out.extend_from_slice(b"?id=");
        out.extend_from_slice(itoa::Buffer::new().format(bits >> 30).as_bytes());
        out.extend_from_slice(b"&page=");
        out.extend_from_slice(itoa::Buffer::new().format(bits % 50).as_bytes());
    }
}

fn title(out: &mut Vec<u8>, bits: u64) {
    out.clear();
    words(out, mix(bits ^ 3), 3 + bits % 6, b' ');
    if bits.is_multiple_of(7) {
        out.extend_from_slice(b" - Google Play");
    }
}

/// Most phones do not say what they are.
pub fn write_model(out: &mut Vec<u8>, row: &Row) {
    if row.is_mobile && row.user_bits % 5 < 2 {
        out.extend_from_slice(
            ["iPhone 2", "iPad", "N8-00", "X10", "Desire", "One S"]
                [(row.user_bits >> 44) as usize % 6]
                .as_bytes(),
        );
        out.extend_from_slice(itoa::Buffer::new().format((row.user_bits >> 47) % 30).as_bytes());
    }
}

/// `2024-07-01`.
pub fn write_date(out: &mut Vec<u8>, time: u32) {
    let (mut day, mut month, mut year) = (time / DAY_SECONDS as u32 - FIRST_DAY, 7u32, 2024u32);
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= LENGTHS[month as usize - 1] {
        day -= LENGTHS[month as usize - 1];
        (month, year) = if month == 12 { (1, year + 1) } else { (month + 1, year) };
    }
    out.extend_from_slice(format!("{year}-{month:02}-{:02}", day + 1).as_bytes());
}

/// `2024-07-01 12:34:56`, UTC.
pub fn write_time(out: &mut Vec<u8>, time: u32) {
    write_date(out, time);
    let second = time % DAY_SECONDS as u32;
    let two = |out: &mut Vec<u8>, n: u32| {
        out.extend_from_slice(&[b'0' + (n / 10) as u8, b'0' + (n % 10) as u8])
    };
    out.push(b' ');
    two(out, second / 3600);
    out.push(b':');
    two(out, second / 60 % 60);
    out.push(b':');
    two(out, second % 60);
}
