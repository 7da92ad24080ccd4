//! How values of settings are read, what they are kept as, and what `readonly` and `allow_ddl` allow.

use pumphouse_storage::{DataType, Value};

use super::{Changes, Settings, of_text, of_value, typed};

/// Values as text and what they are kept as, or the error's code; asked of ClickHouse 26.9.
#[test]
fn texts_are_read_by_the_setting_s_type() {
    for (name, text, wanted) in [
        ("max_memory_usage", "10T", Ok("10000000000000")),
        ("max_memory_usage", "1Ki", Ok("1024")),
        ("max_memory_usage", "+5", Ok("5")),
        ("max_memory_usage", "0005", Ok("5")),
        ("max_memory_usage", "1KiB", Err(27)),
        ("max_memory_usage", "1.5G", Err(27)),
        ("max_memory_usage", "-0", Err(72)),
        ("max_memory_usage", "18446744073709551616", Err(72)),
        ("max_memory_usage", "", Err(32)),
        ("max_threads", "auto", Ok("0")),
        ("max_threads", "abc", Err(27)),
        ("max_block_size", "0", Err(36)),
        ("log_queries", "tRuE", Ok("1")),
        ("log_queries", "yes", Err(467)),
        ("max_execution_time", "1e2", Ok("100")),
        ("max_execution_time", ".5", Ok("0.5")),
        ("max_execution_time", "abc", Err(72)),
        ("max_execution_time", "5 ", Err(27)),
        ("max_execution_time", "inf", Err(72)),
        ("zstd_window_log_max", "-1", Ok("-1")),
        ("format_csv_delimiter", ";", Ok(";")),
        ("format_csv_delimiter", "é", Err(19)),
        ("session_timezone", "Europe/Berlin", Ok("Europe/Berlin")),
        ("session_timezone", "Mars/X", Err(36)),
        ("join_algorithm", "hash, partial_merge", Ok("hash,partial_merge")),
        ("join_algorithm", "HASH", Err(418)),
        ("read_overflow_mode", "BREAK", Err(145)),
        ("additional_table_filters", "x", Err(27)),
        ("no_such_setting", "1", Err(115)),
    ] {
        let read = of_text(name, text).map(|(_, value)| value).map_err(|e| e.code());
        assert_eq!(read.as_deref().map_err(|c| *c), wanted, "{name} = '{text}'");
    }
}

#[test]
fn literals_and_names_that_stand_for_others() {
    for (name, value, wanted) in [
        ("max_threads", Value::Float(1.5), Ok("1")),
        ("max_threads", Value::Int(-1), Err(70)),
        ("max_threads", Value::Null, Err(70)),
        ("log_queries", Value::UInt(2), Err(70)),
        ("log_queries", Value::Bool(true), Ok("1")),
        ("session_timezone", Value::UInt(1), Err(170)),
        ("max_memory_usage", Value::Float(1e12), Ok("1000000000000")),
    ] {
        let read = of_value(name, &value).map(|(_, value)| value).map_err(|e| e.code());
        assert_eq!(read.as_deref().map_err(|c| *c), wanted, "{name} = {value:?}");
    }
    let (name, _) = of_text("async_insert_busy_timeout_ms", "5").unwrap();
    assert_eq!(name, "async_insert_busy_timeout_max_ms");
    let message = of_text("max_thread", "1").unwrap_err().to_string();
    assert!(message.contains("Maybe you meant ['max_threads'"), "{message}");
}

#[test]
fn every_default_is_a_value_of_its_type() {
    for setting in super::all() {
        let read = of_text(setting.name, &setting.default);
        assert!(read.is_ok() || setting.tier == "Obsolete", "{setting:?}: {read:?}");
        assert!(typed(setting.name, &Settings::default()).is_ok(), "{setting:?}");
    }
    assert_eq!(
        typed("max_block_size", &Settings::default()).unwrap(),
        (DataType::UInt16, Value::UInt(65409))
    );
}

#[test]
fn readonly_keeps_settings_as_they_are() {
    let mut settings = Settings::default();
    let set = |settings: &mut Settings, name: &str, value: &str| {
        let under = Changes::under(settings);
        under.apply(settings, name.into(), Some(value.into())).map_err(|e| e.code())
    };
    assert_eq!(set(&mut settings, "max_threads", "4"), Ok(()));
    assert_eq!(set(&mut settings, "readonly", "2"), Ok(()));
    assert_eq!(set(&mut settings, "max_threads", "3"), Ok(()));
    assert_eq!(set(&mut settings, "readonly", "0"), Err(164));
    settings.set("readonly", "1");
    assert_eq!(set(&mut settings, "max_threads", "4"), Err(164));
    assert_eq!(set(&mut settings, "max_threads", "3"), Ok(()));
    assert_eq!(set(&mut settings, "output_format_json_quote_64bit_integers", "1"), Ok(()));
    let mut settings = Settings::default();
    assert_eq!(set(&mut settings, "allow_ddl", "0"), Ok(()));
    assert_eq!(set(&mut settings, "allow_ddl", "1"), Err(392));
}
