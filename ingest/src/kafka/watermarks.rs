//! Watermarks and lag out of librdkafka's statistics, so that nobody has to ask the broker.

use serde_json::Value;

/// What the statistics say about one partition; -1 for not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Watermark {
    pub(super) topic: String,
    pub(super) kafka_partition: i32,
    pub(super) low: i64,
    pub(super) high: i64,
    /// Where the client fetches next, and messages that it holds for us.
    pub(super) next_fetch: i64,
    pub(super) queued: i64,
}

/// Partitions with a known high watermark.
pub(super) fn parse(statistics: &[u8]) -> Option<Vec<Watermark>> {
    let json: Value = serde_json::from_slice(statistics).ok()?;
    let mut found = vec![];
    for (topic, entry) in json.get("topics")?.as_object()? {
        let Some(partitions) = entry.get("partitions").and_then(Value::as_object) else { continue };
        for (number, partition) in partitions {
            let Ok(kafka_partition) = number.parse::<i32>() else { continue };
            let offset = |name: &str| partition.get(name).and_then(Value::as_i64).unwrap_or(-1);
            // Readers of committed records end at the last stable offset.
            let stable = offset("ls_offset");
            let high = if stable >= 0 { stable } else { offset("hi_offset") };
            if kafka_partition >= 0 && high >= 0 {
                let low = offset("lo_offset");
                let (next_fetch, queued) = (offset("next_offset"), offset("fetchq_cnt"));
                let topic = topic.clone();
                found.push(Watermark { topic, kafka_partition, low, high, next_fetch, queued });
            }
        }
    }
    Some(found)
}

/// Messages in the broker that are not committed here.
pub(super) fn lag(committed: i64, low: i64, high: i64) -> i64 {
    if high < 0 {
        return -1;
    }
    (high - committed.max(low).max(0)).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_give_watermarks() {
        let json =
            br#"{"topics":{"t":{"partitions":{"0":{"lo_offset":2,"hi_offset":9,"ls_offset":8,
            "next_offset":5,"fetchq_cnt":3},
            "1":{"hi_offset":-1001},"-1":{"hi_offset":5}}}}}"#;
        let found = parse(json).unwrap();
        let expected = Watermark {
            topic: "t".into(),
            kafka_partition: 0,
            low: 2,
            high: 8,
            next_fetch: 5,
            queued: 3,
        };
        assert_eq!(found, [expected]);
        assert!(parse(b"not json").is_none());
    }

    #[test]
    fn lag_counts_what_is_not_committed() {
        assert_eq!(lag(-1, 0, 10), 10);
        assert_eq!(lag(4, 0, 10), 6);
        assert_eq!(lag(4, 7, 10), 3);
        assert_eq!(lag(12, 0, 10), 0);
        assert_eq!(lag(4, -1, -1), -1);
    }
}
