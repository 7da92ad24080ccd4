//! The columns of the `hits` table: name, ClickHouse type, and how a row's value comes about.
//!
//! Seventy columns shaped like those of a web-analytics counter: a few identifiers with many values,
//! long texts with a Zipf tail, and many small numbers that are constant over long runs. The order here is
//! the order of the fields in a generated line.

use super::random::Random;
use super::row::Row;

/// One column; `write` appends the row's value as TabSeparated text.
pub struct Column {
    pub name: &'static str,
    pub data_type: &'static str,
    pub write: fn(&Row, &mut Random, &mut Vec<u8>),
}

fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// `rare` in one of `one_in` rows, else `usual`.
fn mostly(random: &mut Random, usual: u64, rare: u64, one_in: u64) -> u64 {
    if random.below(one_in) == 0 { rare } else { usual }
}

macro_rules! columns {
    ($($name:literal $type:literal ($row:ident, $random:ident, $out:ident) $body:expr;)*) => {
        /// All columns in order.
        pub static COLUMNS: &[Column] = &[$(Column {
            name: $name,
            data_type: $type,
            write: |$row, $random, $out| $body,
        }),*];
    };
}

columns! {
    "WatchID" "UInt64" (_r, g, o) number(o, g.next_u64() >> 1);
    "JavaEnable" "UInt8" (r, _g, o) number(o, u8::from(r.user_bits % 10 < 7));
    "Title" "String" (r, _g, o) o.extend_from_slice(&r.title);
    "GoodEvent" "Int16" (_r, _g, o) number(o, 1);
    "EventTime" "DateTime" (r, _g, o) super::row::write_time(o, r.time);
    "EventDate" "Date" (r, _g, o) super::row::write_date(o, r.time);
    "CounterID" "UInt32" (r, _g, o) number(o, r.counter);
    "ClientIP" "UInt32" (r, _g, o) number(o, r.ip);
    "RegionID" "UInt32" (r, _g, o) number(o, r.region);
    "UserID" "UInt64" (r, _g, o) number(o, r.user);
    "CounterClass" "Int8" (r, _g, o) number(o, (r.counter % 3) as i8 - 1);
    "OS" "UInt8" (r, _g, o) number(o, r.user_bits % 40);
    "UserAgent" "UInt8" (r, _g, o) number(o, (r.user_bits >> 8) % 60);
    "URL" "String" (r, _g, o) o.extend_from_slice(&r.url);
    "Referer" "String" (r, _g, o) o.extend_from_slice(&r.referer);
    "IsRefresh" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1, 12));
    "RefererCategoryID" "UInt16" (r, _g, o) number(o, if r.referer.is_empty() { 0 } else { r.url_bits % 900 });
    "RefererRegionID" "UInt32" (r, _g, o) number(o, if r.referer.is_empty() { 0 } else { r.region });
    "URLCategoryID" "UInt16" (r, _g, o) number(o, r.counter % 14_000);
    "URLRegionID" "UInt32" (r, _g, o) number(o, r.counter % 230);
    "ResolutionWidth" "UInt16" (r, _g, o) number(o, [1366u16, 1920, 1280, 1024, 1600, 360, 414, 1440, 768, 0][(r.user_bits >> 16) as usize % 10]);
    "ResolutionHeight" "UInt16" (r, _g, o) number(o, [768u16, 1080, 800, 768, 900, 640, 896, 900, 1024, 0][(r.user_bits >> 16) as usize % 10]);
    "ResolutionDepth" "UInt8" (r, _g, o) number(o, if r.user_bits % 9 == 0 { 32 } else { 24 });
    "FlashMajor" "UInt8" (r, _g, o) number(o, (r.user_bits >> 20) % 13);
    "FlashMinor" "UInt8" (r, _g, o) number(o, (r.user_bits >> 24) % 4);
    "NetMajor" "UInt8" (_r, g, o) number(o, mostly(g, 0, 4, 50));
    "UserAgentMajor" "UInt16" (r, _g, o) number(o, (r.user_bits >> 9) % 70);
    "UserAgentMinor" "String" (r, _g, o) o.extend_from_slice([&b""[..], b"0", b"1", b"D\xd0\xa2"][(r.user_bits >> 28) as usize % 4]);
    "CookieEnable" "UInt8" (_r, g, o) number(o, mostly(g, 1, 0, 300));
    "JavascriptEnable" "UInt8" (_r, g, o) number(o, mostly(g, 1, 0, 200));
    "IsMobile" "UInt8" (r, _g, o) number(o, u8::from(r.is_mobile));
    "MobilePhone" "UInt8" (r, _g, o) number(o, if r.is_mobile { 1 + (r.user_bits >> 30) % 80 } else { 0 });
    "MobilePhoneModel" "String" (r, _g, o) super::row::write_model(o, r);
    "Params" "String" (_r, g, o) if g.below(400) == 0 { o.extend_from_slice(b"{\"campaign\":\""); number(o, g.below(500)); o.extend_from_slice(b"\"}"); };
    "IPNetworkID" "UInt32" (r, _g, o) number(o, r.ip >> 12);
    "TraficSourceID" "Int8" (r, g, o) number(o, if r.phrase.is_empty() { [-1i8, 0, 1, 1, -1, 5][g.below(6) as usize] } else { 2 });
    "SearchEngineID" "UInt16" (r, g, o) number(o, if r.phrase.is_empty() { 0 } else { 1 + g.zipf(90) });
    "SearchPhrase" "String" (r, _g, o) o.extend_from_slice(&r.phrase);
    "AdvEngineID" "UInt8" (_r, g, o) number(o, if g.below(160) == 0 { 2 + g.zipf(50) } else { 0 });
    "IsArtifical" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1, 30));
    "WindowClientWidth" "UInt16" (r, g, o) number(o, (r.user_bits >> 12) % 1900 + g.below(3) * 7);
    "WindowClientHeight" "UInt16" (r, g, o) number(o, (r.user_bits >> 22) % 1000 + g.below(3) * 5);
    "ClientTimeZone" "Int16" (r, _g, o) number(o, (r.region % 25) as i16 * 60 - 720);
    "ClientEventTime" "DateTime" (r, g, o) super::row::write_time(o, r.time + g.below(4) as u32);
    "PageCharset" "String" (r, _g, o) o.extend_from_slice(if r.counter % 11 == 0 { b"windows-1251" } else { b"utf-8" });
    "CodeVersion" "UInt32" (r, _g, o) number(o, 1_500 + r.counter % 40);
    "IsLink" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1, 9));
    "IsDownload" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1, 250));
    "IsNotBounce" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1, 5));
    "FUniqID" "UInt64" (r, _g, o) number(o, if r.user % 3 == 0 { 0 } else { r.user.rotate_left(17) >> 2 });
    "HID" "UInt32" (_r, g, o) number(o, g.next_u64() >> 34);
    "IsOldCounter" "UInt8" (_r, _g, o) number(o, 0);
    "IsEvent" "UInt8" (_r, _g, o) number(o, 0);
    "IsParameter" "UInt8" (_r, _g, o) number(o, 0);
    "DontCountHits" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1, 15));
    "WithHash" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1, 40));
    "HitColor" "String" (_r, g, o) o.push(b"5ESDW"[g.zipf(5) as usize]);
    "Age" "UInt8" (r, _g, o) number(o, [0u8, 0, 0, 22, 31, 39, 50, 60][(r.user_bits >> 33) as usize % 8]);
    "Sex" "UInt8" (r, _g, o) number(o, (r.user_bits >> 36) % 3);
    "Income" "UInt8" (r, _g, o) number(o, (r.user_bits >> 38) % 4);
    "Interests" "UInt16" (r, _g, o) number(o, if r.user_bits % 4 == 0 { (r.user_bits >> 40) % 65_000 } else { 0 });
    "Robotness" "UInt8" (_r, g, o) number(o, mostly(g, 0, 1 + 3, 700));
    "RemoteIP" "UInt32" (r, _g, o) number(o, r.ip ^ 0x2a);
    "BrowserLanguage" "FixedString(2)" (r, _g, o) o.extend_from_slice([b"en", b"de", b"ru", b"pt", b"fr", b"tr"][r.region as usize % 6]);
    "SocialNetwork" "String" (_r, g, o) if g.below(900) == 0 { o.extend_from_slice(b"friends") };
    "HTTPError" "UInt16" (_r, g, o) number(o, mostly(g, 0, 404, 1000));
    "SendTiming" "Int32" (_r, g, o) number(o, g.zipf(30_000));
    "ResponseEndTiming" "Int32" (_r, g, o) number(o, g.zipf(60_000));
    "RefererHash" "Int64" (r, _g, o) number(o, r.referer_hash as i64);
    "URLHash" "Int64" (r, _g, o) number(o, r.url_hash as i64);
}
