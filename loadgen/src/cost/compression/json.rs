//! Messages as an application sends them: JSON objects that resemble each other and differ in their values.
//! Invariant: the same count and size give the same messages, each of exactly that size and valid JSON.

/// The least size: a message without any item.
pub(crate) const BYTES_MIN: usize = 64;
/// What an item takes at most.
const ITEM_BYTES_MAX: usize = 200;

const SYMBOLS: [&str; 8] = ["ACME", "GLOBEX", "INITECH", "HOOLI", "UMBRELLA", "STARK", "WAYNE", "TYRELL"];
const VENUES: [&str; 4] = ["north", "south", "harbour", "old town"];
const TAGS: [&str; 6] = ["limit", "market", "partial", "retry", "hidden", "iceberg"];
const WORDS: [&str; 16] = [
    "order",
    "filled",
    "at",
    "the",
    "best",
    "price",
    "after",
    "a",
    "short",
    "wait",
    "by",
    "customer",
    "request",
    "with",
    "no",
    "remainder",
];

/// So many different messages of `bytes` each, which is [`BYTES_MIN`] or more.
pub(crate) fn messages(count: usize, bytes: usize) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(1);
    (0..count).map(|sequence| message(sequence, bytes.max(BYTES_MIN), &mut numbers).into_bytes()).collect()
}

/// Items as long as there is room, then a note that fills it.
fn message(sequence: usize, bytes: usize, numbers: &mut Numbers) -> String {
    const END: &str = "\"}";
    let mut text = format!("{{\"type\":\"fills\",\"sequence\":{sequence},\"items\":[");
    let mut separator = "";
    while text.len() + ITEM_BYTES_MAX < bytes {
        text += separator;
        text += &item(numbers);
        separator = ",";
    }
    text += "],\"note\":\"";
    while text.len() + END.len() < bytes {
        text += numbers.choose(&WORDS);
        text += " ";
    }
    text.truncate(bytes - END.len());
    text + END
}

fn item(numbers: &mut Numbers) -> String {
    format!(
        "{{\"id\":{},\"symbol\":\"{}\",\"price\":{}.{:02},\"quantity\":{},\"side\":\"{}\",\"venue\":\"{}\",\
         \"tag\":\"{}\",\"at\":\"2026-03-{:02}T{:02}:{:02}:{:02}.{:03}Z\"}}",
        numbers.below(10_000_000),
        numbers.choose(&SYMBOLS),
        numbers.below(900) + 100,
        numbers.below(100),
        (numbers.below(50) + 1) * 10,
        numbers.choose(&["buy", "sell"]),
        numbers.choose(&VENUES),
        numbers.choose(&TAGS),
        numbers.below(31) + 1,
        numbers.below(24),
        numbers.below(60),
        numbers.below(60),
        numbers.below(1_000),
    )
}

/// Numbers that look random, from a linear congruence with the constants of Knuth's MMIX.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn choose<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_exactly_the_size_asked_for_and_is_json() {
        for bytes in [BYTES_MIN, 256, 1_024, 1_025, 16_384, 65_536] {
            for message in messages(5, bytes) {
                assert_eq!(message.len(), bytes);
                let value: serde_json::Value = serde_json::from_slice(&message).unwrap();
                assert_eq!(value["type"], "fills");
            }
        }
    }

    #[test]
    fn the_same_messages_come_every_time_and_none_twice() {
        let mut twice = messages(32, 1_024);
        assert_eq!(twice, messages(32, 1_024));
        twice.sort();
        twice.dedup();
        assert_eq!(twice.len(), 32);
    }

    #[test]
    fn most_of_a_message_is_items() {
        let message = messages(1, 1_024).remove(0);
        let value: serde_json::Value = serde_json::from_slice(&message).unwrap();
        assert!(value["items"].as_array().unwrap().len() >= 5, "{value}");
    }
}
