//! How readers take values where settings ask for another way than usual: words for Bool, enums by number,
//! times in the plain form, names by their letters' case, NULLs, and what JSON values may stand for.
//!
//! As a style does in writing, a way holds while one call of a reader runs ([`styled`]), on its thread alone: the
//! values' parsers are shared by all formats, and most inputs need none of this. Where no setting differs from
//! its default readers are left as they are.

use std::cell::{Cell, RefCell};

use pumphouse_query::error::Result;

use super::{Evaluator, FormatOptions, FormatReader, ParseError, ParsedRows};

/// What may differ, as flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    pub enums_by_number: bool,
    /// Times in the plain form only, not any that people write.
    pub plain_times: bool,
    /// A bare number is a DateTime64's ticks, not seconds, where bare and quoted ones differ.
    pub raw_times: bool,
    /// Columns go by their exact names only.
    pub exact_names: bool,
    /// What a row does not give is NULL, not the column's default.
    pub absent_is_null: bool,
    /// NULL for a type that has none is the column's default.
    pub null_as_default: bool,
    pub json: JsonWays,
}

/// What JSON values are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonWays {
    pub bools_as_numbers: bool,
    pub bools_as_strings: bool,
    pub numbers_as_strings: bool,
    pub objects_as_strings: bool,
    pub arrays_as_strings: bool,
    pub named_tuples_as_objects: bool,
    /// Keys of an object that its tuple does not have are passed over.
    pub unknown_tuple_keys: bool,
    /// Elements of a tuple that its object does not have are defaults.
    pub missing_tuple_elements: bool,
    /// `""` is the default of any type.
    pub empty_as_default: bool,
    pub maps_as_arrays: bool,
    /// Escapes that mean nothing stay as they are.
    pub bad_escapes: bool,
}

const USUAL: Ways = Ways {
    enums_by_number: false,
    plain_times: false,
    raw_times: false,
    exact_names: false,
    absent_is_null: false,
    null_as_default: true,
    json: JsonWays {
        bools_as_numbers: true,
        bools_as_strings: true,
        numbers_as_strings: true,
        objects_as_strings: true,
        arrays_as_strings: true,
        named_tuples_as_objects: true,
        unknown_tuple_keys: true,
        missing_tuple_elements: true,
        empty_as_default: false,
        maps_as_arrays: false,
        bad_escapes: false,
    },
};

thread_local! {
    static WAYS: Cell<Ways> = const { Cell::new(USUAL) };
    /// The words for true and false.
    static BOOLS: RefCell<Option<[Vec<u8>; 2]>> = const { RefCell::new(None) };
}

/// What holds on this thread.
#[inline]
pub fn ways() -> Ways {
    WAYS.get()
}

/// What a word that the settings have for Bool says.
pub fn bool_word(text: &[u8]) -> Option<bool> {
    BOOLS.with_borrow(|words| {
        let [yes, no] = words.as_ref()?;
        if text == yes { Some(true) } else { (text == no).then_some(false) }
    })
}

fn ways_of(name: &str, options: &FormatOptions) -> Ways {
    let set = |name: &str, default: bool| options.settings.bool(name, default);
    let json = |name: &str, default: bool| set(&format!("input_format_json_{name}"), default);
    let tabs = ["TSV", "Tab", "TSKV", "Raw"].iter().any(|family| name.starts_with(family));
    let enums =
        if tabs { "input_format_tsv_enum_as_number" } else { "input_format_csv_enum_as_number" };
    Ways {
        enums_by_number: (tabs || name.starts_with("CSV")) && set(enums, false),
        plain_times: options.settings.get("date_time_input_format") == Some("basic"),
        raw_times: set("input_format_read_datetime_number_as_raw_value", false),
        exact_names: options.settings.get("input_format_column_name_matching_mode")
            == Some("match_case"),
        absent_is_null: set("input_format_force_null_for_omitted_fields", false),
        null_as_default: set("input_format_null_as_default", true),
        json: JsonWays {
            bools_as_numbers: json("read_bools_as_numbers", true),
            bools_as_strings: json("read_bools_as_strings", true),
            numbers_as_strings: json("read_numbers_as_strings", true),
            objects_as_strings: json("read_objects_as_strings", true),
            arrays_as_strings: json("read_arrays_as_strings", true),
            named_tuples_as_objects: json("named_tuples_as_objects", true),
            unknown_tuple_keys: json("ignore_unknown_keys_in_named_tuple", true),
            missing_tuple_elements: json("defaults_for_missing_elements_in_named_tuple", true),
            empty_as_default: json("empty_as_default", false),
            maps_as_arrays: json("map_as_array_of_tuples", false),
            bad_escapes: !json("throw_on_bad_escape_sequence", true),
        },
    }
}

/// `inner` itself, or one that reads in the ways that the settings ask for.
pub(super) fn styled(
    name: &str,
    inner: Box<dyn FormatReader>,
    options: &FormatOptions,
) -> Box<dyn FormatReader> {
    let ways = ways_of(name, options);
    let word = |name: &str| options.settings.get(name).map(|w| w.as_bytes().to_vec());
    let bools = match (word("bool_true_representation"), word("bool_false_representation")) {
        (None, None) => None,
        (yes, no) => Some([yes.unwrap_or(b"true".to_vec()), no.unwrap_or(b"false".to_vec())]),
    };
    if ways == USUAL && bools.is_none() {
        return inner;
    }
    Box::new(Styled { inner, ways, bools })
}

struct Styled {
    inner: Box<dyn FormatReader>,
    ways: Ways,
    bools: Option<[Vec<u8>; 2]>,
}

/// Puts back what held before, however the call ends.
struct Before(Ways, Option<[Vec<u8>; 2]>);

impl Drop for Before {
    fn drop(&mut self) {
        WAYS.set(self.0);
        BOOLS.replace(self.1.take());
    }
}

impl Styled {
    fn hold<T>(&mut self, call: impl FnOnce(&mut dyn FormatReader) -> T) -> T {
        let _before = Before(WAYS.replace(self.ways), BOOLS.replace(self.bools.clone()));
        call(self.inner.as_mut())
    }
}

impl FormatReader for Styled {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        self.hold(|inner| inner.read_message(message))
    }

    fn read_stream(
        &mut self,
        input: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        self.hold(|inner| inner.read_stream(input, last, rows_max))
    }

    fn announce(&mut self, bytes: usize) {
        self.inner.announce(bytes);
    }

    fn set_evaluator(&mut self, evaluator: Evaluator) {
        self.inner.set_evaluator(evaluator);
    }

    fn rows(&self) -> usize {
        self.inner.rows()
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.inner.take()
    }
}
