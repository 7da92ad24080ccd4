//! Large numbers in words, as formatReadableQuantity and tables print them.

use pumphouse_storage::types::format_float;

const UNITS: [&str; 22] = [
    "",
    " thousand",
    " million",
    " billion",
    " trillion",
    " quadrillion",
    " quintillion",
    " sextillion",
    " septillion",
    " octillion",
    " nonillion",
    " decillion",
    " undecillion",
    " duodecillion",
    " tredecillion",
    " quattuordecillion",
    " quindecillion",
    " sexdecillion",
    " septendecillion",
    " octodecillion",
    " novemdecillion",
    " vigintillion",
];

/// `12345678` as `12.35 million`.
pub fn readable_quantity(value: f64) -> String {
    scaled(value, 1000.0, &UNITS, "")
}

/// `value` in the largest of `units` that it reaches, each `base` of the one before, with two decimals.
pub fn scaled(value: f64, base: f64, units: &[&str], space: &str) -> String {
    let (mut size, mut unit) = (value, 0);
    while size.abs() >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    // The longest number that ClickHouse writes without an exponent.
    match size.abs() < 1e60 {
        true => format!("{size:.2}{space}{}", units[unit]),
        false => format!("{}{space}{}", format_float(size), units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::readable_quantity;

    #[test]
    fn as_the_real_engine_prints_them() {
        let cases = [
            (999.0, "999.00"),
            (1e33, "1000.00 nonillion"),
            (1.5e33, "1.50 decillion"),
            (1.5e63, "1.50 vigintillion"),
            (-1e300, "-9.999999999999998e236 vigintillion"),
        ];
        for (value, text) in cases {
            assert_eq!(readable_quantity(value), text);
        }
    }
}
