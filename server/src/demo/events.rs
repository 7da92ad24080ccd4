//! Lifelike web events: pages and users by Zipf's law, countries and devices by weight, durations
//! with a long tail, some errors. Deterministic by seed.

/// A generator of events as JSON.
pub struct Events {
    state: u64,
    pages: Vec<(f64, &'static str)>,
}

const PAGES: [&str; 24] = [
    "/",
    "/pricing",
    "/docs",
    "/docs/quickstart",
    "/blog",
    "/login",
    "/signup",
    "/docs/kafka",
    "/docs/sql",
    "/search",
    "/cart",
    "/checkout",
    "/product/1",
    "/product/2",
    "/product/3",
    "/product/4",
    "/about",
    "/careers",
    "/contact",
    "/status",
    "/docs/views",
    "/blog/exactly-once",
    "/settings",
    "/logout",
];
const COUNTRIES: [(&str, u64); 12] = [
    ("US", 28),
    ("IN", 16),
    ("DE", 11),
    ("BR", 9),
    ("GB", 8),
    ("JP", 7),
    ("FR", 6),
    ("NL", 4),
    ("PL", 4),
    ("KE", 3),
    ("AU", 2),
    ("CL", 2),
];
const DEVICES: [(&str, u64); 3] = [("mobile", 58), ("desktop", 37), ("tablet", 5)];
const USERS: f64 = 200_000.0;

impl Events {
    pub fn new(seed: u64) -> Events {
        let mut sum = 0.0;
        let pages = PAGES
            .iter()
            .enumerate()
            .map(|(rank, page)| {
                sum += 1.0 / (rank as f64 + 1.0);
                (sum, *page)
            })
            .collect();
        Events { state: seed | 1, pages }
    }

    fn next(&mut self) -> u64 {
        // xorshift64*: small and good enough for a picture.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn weighted(&mut self, items: &[(&'static str, u64)]) -> &'static str {
        let total: u64 = items.iter().map(|(_, w)| w).sum();
        let mut at = self.next() % total;
        for (name, weight) in items {
            if at < *weight {
                return name;
            }
            at -= weight;
        }
        items[0].0
    }

    /// One event at `now_ms`, as a JSON object.
    pub fn event(&mut self, now_ms: u64) -> String {
        let total = self.pages[self.pages.len() - 1].0;
        let at = self.unit() * total;
        let page = self.pages[self.pages.partition_point(|(sum, _)| *sum < at)].1;
        // Few users come often: the square crowds towards 0.
        let user = (self.unit().powi(2) * USERS) as u64;
        let duration = (20.0 + 180.0 * -(1.0 - self.unit()).ln()) as u64;
        let status = match self.next() % 200 {
            0 => 500,
            1..=4 => 404,
            _ => 200,
        };
        let (country, device) = (self.weighted(&COUNTRIES), self.weighted(&DEVICES));
        let (seconds, ms) = (now_ms / 1000, now_ms % 1000);
        format!(
            "{{\"ts\":{seconds}.{ms:03},\"user_id\":{user},\"page\":\"{page}\",\"country\":\"{country}\",\"device\":\"{device}\",\"duration_ms\":{duration},\"status\":{status}}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_are_json_and_repeat_by_seed() {
        let (mut a, mut b) = (Events::new(7), Events::new(7));
        for i in 0..1000 {
            let text = a.event(1_700_000_000_000 + i);
            assert_eq!(text, b.event(1_700_000_000_000 + i));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(value["page"].as_str().unwrap().starts_with('/'));
        }
    }
}
