//! Flags that no list could hold: every setting of ClickHouse is one (`--max_threads 4`), and so is every
//! query parameter (`--param_id=7`). They are taken out before the declared flags are parsed.

use std::collections::BTreeMap;

use pumphouse_query::settings;

/// Settings and parameters from the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreeFlags {
    pub settings: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
}

impl FreeFlags {
    /// Takes the free flags out of `arguments`; `declared` tells names that are flags of the command.
    ///
    /// A value stands behind `=` or in the next argument; a setting followed by another flag is 1.
    pub fn take(
        arguments: Vec<String>,
        declared: impl Fn(&str) -> bool,
    ) -> (FreeFlags, Vec<String>) {
        let mut free = FreeFlags::default();
        let mut rest = vec![];
        let mut all = arguments.into_iter().peekable();
        while let Some(argument) = all.next() {
            if argument == "--" {
                rest.push(argument);
                rest.extend(all.by_ref());
                break;
            }
            let Some(flag) = argument.strip_prefix("--") else {
                rest.push(argument);
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (flag, None),
            };
            let setting = name.replace('-', "_");
            let parameter = setting.strip_prefix("param_").map(str::to_string);
            if declared(name) || !(parameter.is_some() || settings::is_known(&setting)) {
                rest.push(argument);
                continue;
            }
            let value = value
                .or_else(|| all.next_if(|next| !next.starts_with("--")))
                .unwrap_or_else(|| "1".into());
            match parameter {
                Some(parameter) => free.parameters.insert(parameter, value),
                None => free.settings.insert(setting, value),
            };
        }
        (free, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::FreeFlags;

    #[test]
    fn settings_and_parameters_are_taken_out() {
        let text = "--query q --max_threads 4 --max-block-size=10 --param_id=7 --use_query_cache --time -- --max_threads";
        let arguments = text.split(' ').map(str::to_string).collect();
        let (free, rest) = FreeFlags::take(arguments, |name| name == "time" || name == "query");
        let of = |name: &str| free.settings.get(name).map(String::as_str);
        assert_eq!((of("max_threads"), of("max_block_size")), (Some("4"), Some("10")));
        assert_eq!(of("use_query_cache"), Some("1"));
        assert_eq!(free.parameters.get("id").map(String::as_str), Some("7"));
        assert_eq!(rest.join(" "), "--query q --time -- --max_threads");
    }
}
