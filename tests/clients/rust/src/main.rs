//! Drives the crate `clickhouse` against a server whose HTTP port is the first argument. Panics where an
//! answer is wrong.

use clickhouse::error::Error;
use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

#[derive(Row, Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Event {
    id: u64,
    name: String,
    score: f64,
    small: Option<i32>,
    tags: Vec<String>,
    #[serde(with = "clickhouse::serde::uuid")]
    uid: Uuid,
    #[serde(with = "clickhouse::serde::time::datetime")]
    at: OffsetDateTime,
    #[serde(with = "clickhouse::serde::time::datetime64::millis")]
    at3: OffsetDateTime,
    #[serde(with = "clickhouse::serde::time::date")]
    day: Date,
    flag: bool,
    pair: (i32, String),
    counts: Vec<(String, u8)>,
    big: i128,
    #[serde(with = "clickhouse::serde::ipv4")]
    ip: std::net::Ipv4Addr,
}

fn event(id: u64) -> Event {
    let at = OffsetDateTime::from_unix_timestamp(1_767_323_045).expect("in range");
    Event {
        id,
        name: format!("näme {id}\n'"),
        score: id as f64 / 4.0,
        small: (id % 2 == 0).then_some(-(id as i32)),
        tags: (0..id % 3).map(|i| format!("t{i}")).collect(),
        uid: Uuid::from_u128(u128::from(id) << 64 | 7),
        at,
        at3: at + time::Duration::milliseconds(678),
        day: at.date(),
        flag: id % 2 == 1,
        pair: (id as i32, "p".into()),
        counts: vec![("k".into(), (id % 200) as u8)],
        big: -(1i128 << 100) + i128::from(id),
        ip: std::net::Ipv4Addr::new(1, 2, 3, (id % 200) as u8),
    }
}

async fn run(client: Client) -> Result<(), Error> {
    let columns = "id UInt64, name String, score Float64, small Nullable(Int32), tags Array(String), uid UUID, at DateTime('UTC'), at3 DateTime64(3, 'UTC'), day Date, flag Bool, pair Tuple(Int32, String), counts Map(String, UInt8), big Int128, ip IPv4";
    client.query("DROP TABLE IF EXISTS r").execute().await?;
    client.query(&format!("CREATE TABLE r ({columns}) ENGINE = MergeTree ORDER BY id")).execute().await?;
    let rows: Vec<Event> = (0..3000).map(event).collect();
    let mut insert = client.insert::<Event>("r").await?;
    for row in &rows {
        insert.write(row).await?;
    }
    insert.end().await?;
    let mut inserter = client.inserter::<Event>("r").with_max_rows(100);
    for id in 10_000..10_250 {
        inserter.write(&event(id)).await?;
        inserter.commit().await?;
    }
    inserter.end().await?;
    let found = client
        .query("SELECT ?fields FROM r WHERE id < ? ORDER BY id")
        .bind(3000)
        .fetch_all::<Event>()
        .await?;
    assert_eq!(found, rows);
    assert_eq!(client.query("SELECT count() FROM r").fetch_one::<u64>().await?, 3250);
    let mut cursor =
        client.query("SELECT number, toString(number) FROM numbers(200000)").fetch::<(u64, String)>()?;
    let (mut sum, mut letters) = (0, 0);
    while let Some((n, text)) = cursor.next().await? {
        sum += n;
        letters += text.len();
    }
    assert_eq!((sum, letters), (199_999 * 100_000, 1_088_890));
    let parameter = client.query("SELECT {x:UInt32} + 1, {s:String}").param("x", 41u32).param("s", "a'b");
    assert_eq!(parameter.fetch_one::<(u64, String)>().await?, (42, "a'b".into()));
    let list = client.query("SELECT id FROM r WHERE id IN ? ORDER BY id").bind(vec![5u64, 7, 1 << 40]);
    assert_eq!(list.fetch_all::<u64>().await?, [5, 7]);
    assert_eq!(client.query("SELECT 1 WHERE 0").fetch_optional::<u8>().await?, None);
    let limited = client.clone().with_setting("max_result_rows", "10");
    let refused = limited.query("SELECT number FROM numbers(100)").fetch_all::<u64>().await;
    assert!(matches!(&refused, Err(Error::BadResponse(text)) if text.contains("Code: 396")), "{refused:?}");
    let unknown = client.query("SELECT nonsense").fetch_one::<u64>().await;
    assert!(matches!(&unknown, Err(Error::BadResponse(text)) if text.contains("Code: 47")), "{unknown:?}");
    let late = client
        .query("SELECT throwIf(number = 500000) FROM numbers(1000000) SETTINGS max_block_size = 1000")
        .fetch_all::<u8>()
        .await;
    assert!(
        matches!(&late, Err(Error::BadResponse(text)) if text.contains("Code: 395")),
        "an error within the answer"
    );
    let mut bytes = client.query("SELECT number FROM numbers(3)").fetch_bytes("JSONEachRow")?;
    let text = bytes.collect().await?;
    assert_eq!(&text[..], b"{\"number\":0}\n{\"number\":1}\n{\"number\":2}\n".as_slice());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    for compression in [Compression::None, Compression::Lz4] {
        let client =
            Client::default().with_url(format!("http://127.0.0.1:{port}")).with_compression(compression);
        run(client).await.expect("every statement is answered");
    }
    println!("all answers are right");
}
