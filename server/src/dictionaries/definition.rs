//! CREATE DICTIONARY read from its text, checked, and written in its canonical form.
//!
//! Sources are tables and queries of this server, files (below the folder of user files), HTTP (if `url`
//! may reach out) and NULL; LAYOUT decides how keys are found, its parameters are checked by nobody but
//! kept. Remote hosts are refused.

use pumphouse_query::dictionary::{Attribute, Lookup, Structure};
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::ExprKind;
use pumphouse_query::sql::{self, format};
use pumphouse_query::{Error, Result};
use pumphouse_storage::types::{back_quote_if_needed, parse_data_type};
use pumphouse_storage::{DataType, Value};

use crate::statement::Words;

/// Where rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Table {
        database: String,
        table: String,
        condition: String,
    },
    Query(String),
    /// The table functions `file` or `url`, and where and in which format.
    Data {
        function: &'static str,
        place: String,
        format: String,
    },
    Null,
}

/// One column of the definition.
#[derive(Debug, Clone)]
pub struct DictionaryColumn {
    pub name: String,
    pub data_type: DataType,
    default: Option<String>,
    expression: Option<String>,
    marks: Vec<&'static str>,
}

/// A whole definition.
#[derive(Debug, Clone)]
pub struct DictionaryDefinition {
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub database: String,
    pub name: String,
    pub columns: Vec<DictionaryColumn>,
    pub source: Source,
    source_text: String,
    pub source_name: String,
    pub lifetime: Option<(u64, u64)>,
    /// In capitals, with COMPLEX_KEY_ before it where the keys need it.
    pub layout: String,
    layout_text: String,
    pub comment: String,
    pub structure: Structure,
}

const MARKS: &[&str] = &["HIERARCHICAL", "INJECTIVE", "IS_OBJECT_ID", "BIDIRECTIONAL"];
const LAYOUTS: &[&str] =
    &["FLAT", "HASHED", "SPARSE_HASHED", "HASHED_ARRAY", "RANGE_HASHED", "CACHE", "DIRECT"];

/// Pieces of the text before they are checked.
#[derive(Default)]
struct Draft {
    columns: Vec<DictionaryColumn>,
    keys: Vec<String>,
    source: Option<(String, Vec<(String, String)>)>,
    layout: Option<(String, Vec<(String, String)>)>,
    lifetime: Option<(u64, u64)>,
    range: Option<(String, String)>,
    comment: String,
}

impl DictionaryDefinition {
    /// Reads `CREATE [OR REPLACE] DICTIONARY …`; names without database are in `database`.
    pub fn parse(text: &str, database: &str) -> Result<DictionaryDefinition> {
        let mut words = Words::of(text);
        words.expect_keyword("CREATE")?;
        let or_replace = words.keyword("OR REPLACE");
        words.expect_keyword("DICTIONARY")?;
        let if_not_exists = words.keyword("IF NOT EXISTS");
        let (given, name) = words.table_name()?;
        let database = given.unwrap_or_else(|| database.to_string());
        if words.keyword("ON CLUSTER") {
            words.literal()?;
        }
        let draft = Draft::read(&mut words)?;
        draft.checked(or_replace, if_not_exists, database, name)
    }

    pub fn is_direct(&self) -> bool {
        self.layout.ends_with("DIRECT")
    }

    pub fn is_cache(&self) -> bool {
        self.layout.ends_with("CACHE")
    }

    /// The SELECT that gives the rows; None if there are none.
    pub fn query(&self) -> Option<String> {
        match &self.source {
            Source::Null => None,
            Source::Query(text) => Some(text.clone()),
            Source::Data { function, place, format: name } => {
                // Keys first, as they lie in the data.
                let columns = self.structure.columns().into_iter();
                let columns: Vec<String> =
                    columns.map(|(n, t)| format!("{} {t}", format::quote_name(&n))).collect();
                let words = [place.as_str(), name, &columns.join(", ")];
                let words = words.map(|word| format::quote_string(word.as_bytes())).join(", ");
                Some(format!("SELECT {} FROM {function}({words})", self.items()))
            }
            Source::Table { database, table, condition } => {
                let filter = match condition.is_empty() {
                    true => String::new(),
                    false => format!(" WHERE {condition}"),
                };
                let (database, table) = (format::quote_name(database), format::quote_name(table));
                Some(format!("SELECT {} FROM {database}.{table}{filter}", self.items()))
            }
        }
    }

    /// What is selected from the source.
    fn items(&self) -> String {
        let item = |(name, _): (String, DataType)| {
            let quoted = format::quote_name(&name);
            let column = self.columns.iter().find(|c| c.name == name);
            match column.and_then(|c| c.expression.as_ref()) {
                Some(expression) => format!("({expression}) AS {quoted}"),
                None => quoted,
            }
        };
        let items: Vec<String> = self.structure.columns().into_iter().map(item).collect();
        items.join(", ")
    }

    /// The name of the layout as `system.dictionaries` has it.
    pub fn type_name(&self) -> String {
        let words = self.layout.split('_').map(|w| match w {
            "IP" => "Ip".to_string(),
            other => format!("{}{}", &other[..1], other[1..].to_lowercase()),
        });
        match self.layout.as_str() {
            "IP_TRIE" => "Trie".into(),
            _ => words.collect(),
        }
    }

    /// The canonical text, for a dictionary of this name.
    pub fn text(&self, database: &str, name: &str) -> String {
        let columns: Vec<String> = self.columns.iter().map(DictionaryColumn::text).collect();
        let keys: Vec<String> =
            self.structure.keys.iter().map(|(n, _)| back_quote_if_needed(n)).collect();
        let mut text = format!(
            "CREATE DICTIONARY {}.{}\n(\n    {}\n)\nPRIMARY KEY {}\nSOURCE({})",
            back_quote_if_needed(database),
            back_quote_if_needed(name),
            columns.join(",\n    "),
            keys.join(", "),
            self.source_text
        );
        if let Some((min, max)) = self.lifetime {
            text += &format!("\nLIFETIME(MIN {min} MAX {max})");
        }
        text += &format!("\nLAYOUT({}({}))", self.layout, self.layout_text);
        if let Some([(from, _), (to, _)]) = &self.structure.range {
            let (from, to) = (back_quote_if_needed(from), back_quote_if_needed(to));
            text += &format!("\nRANGE(MIN {from} MAX {to})");
        }
        if !self.comment.is_empty() {
            text += &format!("\nCOMMENT {}", format::quote_string(self.comment.as_bytes()));
        }
        text
    }
}

impl DictionaryColumn {
    fn read(words: &mut Words) -> Result<DictionaryColumn> {
        let mut stops = vec!["DEFAULT", "EXPRESSION"];
        stops.extend(MARKS);
        let name = words.name()?;
        let data_type = parse_data_type(&words.text_until(&stops, false))?;
        let mut column =
            DictionaryColumn { name, data_type, default: None, expression: None, marks: vec![] };
        loop {
            if words.keyword("DEFAULT") {
                let expr = sql::parse_expression(&words.text_until(&stops, true))?;
                column.default = Some(format::expr(&expr));
            } else if words.keyword("EXPRESSION") {
                let expr = sql::parse_expression(&words.text_until(&stops, true))?;
                column.expression = Some(format::expr(&expr));
            } else if let Some(mark) = MARKS.iter().find(|m| words.keyword(m)) {
                column.marks.push(mark);
            } else {
                return Ok(column);
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}", quoted(&self.name), self.data_type);
        if let Some(default) = &self.default {
            text += &format!(" DEFAULT {default}");
        }
        if let Some(expression) = &self.expression {
            text += &format!(" EXPRESSION {expression}");
        }
        for mark in &self.marks {
            text += &format!(" {mark}");
        }
        text
    }

    fn attribute(&self) -> Result<Attribute> {
        let default = match &self.default {
            Some(text) => match sql::parse_expression(text)?.kind {
                ExprKind::Literal { value, .. } => Some(value),
                _ => return Err(incorrect(format!("The default {text} is no literal"))),
            },
            None => None,
        };
        Ok(Attribute {
            name: self.name.clone(),
            data_type: self.data_type.clone(),
            default,
            hierarchical: self.marks.contains(&"HIERARCHICAL"),
        })
    }
}

impl Draft {
    fn read(words: &mut Words) -> Result<Draft> {
        let mut draft = Draft::default();
        words.expect_symbol("(")?;
        loop {
            draft.columns.push(DictionaryColumn::read(words)?);
            if !words.symbol(",") {
                break;
            }
        }
        words.expect_symbol(")")?;
        while !words.at_end() {
            draft.clause(words)?;
        }
        Ok(draft)
    }

    fn clause(&mut self, words: &mut Words) -> Result<()> {
        if words.keyword("PRIMARY KEY") {
            let listed = words.symbol("(");
            loop {
                self.keys.push(words.name()?);
                if !words.symbol(",") {
                    break;
                }
            }
            if listed {
                words.expect_symbol(")")?;
            }
        } else if words.keyword("SOURCE") {
            self.source = Some(named_pairs(words)?);
        } else if words.keyword("LAYOUT") {
            self.layout = Some(named_pairs(words)?);
        } else if words.keyword("LIFETIME") {
            words.expect_symbol("(")?;
            let mut bounds = (0, 0);
            if words.keyword("MIN") {
                bounds.0 = number(words)?;
                words.expect_keyword("MAX")?;
                bounds.1 = number(words)?;
            } else if words.keyword("MAX") {
                bounds.1 = number(words)?;
                words.expect_keyword("MIN")?;
                bounds.0 = number(words)?;
            } else {
                bounds.1 = number(words)?;
            }
            words.expect_symbol(")")?;
            self.lifetime = Some(bounds);
        } else if words.keyword("RANGE") {
            words.expect_symbol("(")?;
            words.expect_keyword("MIN")?;
            let from = words.name()?;
            words.expect_keyword("MAX")?;
            self.range = Some((from, words.name()?));
            words.expect_symbol(")")?;
        } else if words.keyword("SETTINGS") {
            words.expect_symbol("(")?;
            words.text_until(&[], true);
            while words.symbol(",") {
                words.text_until(&[], true);
            }
            words.expect_symbol(")")?;
        } else if words.keyword("COMMENT") {
            self.comment = words.string()?;
        } else {
            return Err(words.unexpected("a clause of CREATE DICTIONARY"));
        }
        Ok(())
    }

    fn checked(
        mut self,
        or_replace: bool,
        if_not_exists: bool,
        database: String,
        name: String,
    ) -> Result<DictionaryDefinition> {
        if self.keys.is_empty() {
            return Err(incorrect("Cannot create dictionary without primary key"));
        }
        let Some((source_name, pairs)) = self.source.take() else {
            return Err(incorrect("Cannot create dictionary with empty source."));
        };
        let Some((layout, parameters)) = self.layout.take() else {
            return Err(incorrect("Cannot create dictionary with empty layout"));
        };
        let (layout, lookup) = self.layout_of(&layout)?;
        if self.lifetime.is_none() && !layout.ends_with("DIRECT") {
            return Err(incorrect("Cannot create dictionary with empty lifetime"));
        }
        let source = source_of(&source_name, &pairs, &database)?;
        let structure =
            self.structure(lookup, format!("{database}.{name}"), &layout, &parameters)?;
        Ok(DictionaryDefinition {
            or_replace,
            if_not_exists,
            source,
            source_text: format!("{source_name}({})", pairs_text(&pairs)),
            source_name,
            lifetime: self.lifetime,
            layout_text: pairs_text(&parameters),
            layout,
            comment: self.comment,
            structure,
            database,
            name,
            columns: self.columns,
        })
    }

    /// The layout's full name and how it finds keys.
    fn layout_of(&self, layout: &str) -> Result<(String, Lookup)> {
        if layout == "IP_TRIE" {
            return Ok((layout.into(), Lookup::Prefix));
        }
        let plain = layout.strip_prefix("COMPLEX_KEY_").unwrap_or(layout);
        if !LAYOUTS.contains(&plain) || plain == "FLAT" && plain != layout {
            let lower = layout.to_lowercase();
            return Err(match lower.as_str() {
                "polygon" | "regexp_tree" | "ssd_cache" | "complex_key_ssd_cache" => Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("The dictionary layout {lower} is not supported"),
                ),
                _ => Error::new(
                    codes::UNKNOWN_ELEMENT_IN_CONFIG,
                    format!("Unknown dictionary layout type: {lower}"),
                ),
            });
        }
        let simple = match self.keys.as_slice() {
            [key] => self.column(key)?.data_type.is_integer(),
            _ => false,
        };
        if layout.starts_with("COMPLEX_KEY_") {
            return Ok((layout.into(), Lookup::Complex));
        }
        match (simple, plain) {
            (true, _) => Ok((layout.into(), Lookup::Simple { flat: plain == "FLAT" })),
            (false, "FLAT") => Err(incorrect("A FLAT dictionary has one key of type UInt64")),
            (false, _) => Ok((format!("COMPLEX_KEY_{layout}"), Lookup::Complex)),
        }
    }

    fn column(&self, name: &str) -> Result<&DictionaryColumn> {
        let found = self.columns.iter().find(|c| c.name == name);
        found.ok_or_else(|| incorrect(format!("The dictionary has no column {name}")))
    }

    fn structure(
        &self,
        lookup: Lookup,
        name: String,
        layout: &str,
        parameters: &[(String, String)],
    ) -> Result<Structure> {
        let typed = |name: &String| {
            let data_type = self.column(name)?.data_type.clone();
            Ok((name.clone(), data_type))
        };
        let mut keys = self.keys.iter().map(typed).collect::<Result<Vec<_>>>()?;
        if let (Lookup::Simple { .. }, [(_, data_type)]) = (lookup, keys.as_mut_slice()) {
            *data_type = DataType::UInt64;
        }
        let range = match (&self.range, layout.ends_with("RANGE_HASHED")) {
            (Some((from, to)), true) => Some([typed(from)?, typed(to)?]),
            (None, true) => return Err(incorrect("RANGE_HASHED needs RANGE(MIN … MAX …)")),
            _ => None,
        };
        for (_, data_type) in range.iter().flatten() {
            let plain = data_type.without_nullable();
            if !plain.is_integer() && !plain.is_date_or_time() {
                return Err(incorrect(format!("A range over {data_type} is not supported")));
            }
        }
        let is_range = |n: &String| range.iter().flatten().any(|(r, _)| r == n);
        let others = self.columns.iter().filter(|c| !self.keys.contains(&c.name));
        let attributes = others.filter(|c| !is_range(&c.name)).map(DictionaryColumn::attribute);
        Ok(Structure {
            name,
            lookup,
            keys,
            last_range: parameters.iter().any(|(n, v)| {
                n.eq_ignore_ascii_case("range_lookup_strategy") && v.trim_matches('\'') == "max"
            }),
            attributes: attributes.collect::<Result<Vec<_>>>()?,
            range,
        })
    }
}

/// The name in back quotes, whether it needs them or not.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn incorrect(message: impl Into<String>) -> Error {
    Error::new(codes::INCORRECT_DICTIONARY_DEFINITION, message)
}

fn number(words: &mut Words) -> Result<u64> {
    let text = words.literal()?;
    text.parse().map_err(|_| Error::new(codes::SYNTAX_ERROR, format!("{text} is no number")))
}

/// `(NAME(key value key value …))`: values as they stand in SQL.
fn named_pairs(words: &mut Words) -> Result<(String, Vec<(String, String)>)> {
    words.expect_symbol("(")?;
    let name = words.name()?.to_uppercase();
    let mut pairs = vec![];
    if words.symbol("(") {
        while !words.symbol(")") {
            let key = words.name()?;
            let quoted = words.at_string();
            let value = words.literal()?;
            let value = match quoted {
                true => format::quote_string(value.as_bytes()),
                false => value,
            };
            let secret = key.eq_ignore_ascii_case("PASSWORD");
            pairs.push((key, if secret { "'[HIDDEN]'".into() } else { value }));
        }
    }
    words.expect_symbol(")")?;
    Ok((name, pairs))
}

fn pairs_text(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(k, v)| format!("{} {v}", k.to_uppercase())).collect();
    pairs.join(" ")
}

fn source_of(name: &str, pairs: &[(String, String)], database: &str) -> Result<Source> {
    let get = |key: &str| {
        let found = pairs.iter().find(|(k, _)| k.eq_ignore_ascii_case(key))?;
        match sql::parse_expression(&found.1).ok()?.kind {
            ExprKind::Literal { value: Value::String(b), .. } => {
                Some(String::from_utf8_lossy(&b).into_owned())
            }
            _ => Some(found.1.clone()),
        }
    };
    match name {
        "NULL" => return Ok(Source::Null),
        "CLICKHOUSE" => {}
        "FILE" | "HTTP" => {
            let (function, key) = if name == "FILE" { ("file", "PATH") } else { ("url", "URL") };
            let (Some(place), Some(format)) = (get(key), get("FORMAT")) else {
                return Err(incorrect(format!("The source {name} needs {key} and FORMAT")));
            };
            return Ok(Source::Data { function, place, format });
        }
        other => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("The dictionary source {} is not supported", other.to_lowercase()),
            ));
        }
    }
    let host = get("HOST").unwrap_or_default();
    if !["", "localhost", "127.0.0.1", "::1"].contains(&host.as_str()) {
        return Err(Error::new(
            codes::NOT_IMPLEMENTED,
            format!("Dictionaries read this server's tables, not those of {host}"),
        ));
    }
    match (get("QUERY"), get("TABLE")) {
        (Some(query), _) => Ok(Source::Query(query)),
        (None, Some(table)) => Ok(Source::Table {
            database: get("DB").filter(|d| !d.is_empty()).unwrap_or_else(|| database.into()),
            table,
            condition: get("WHERE").unwrap_or_default(),
        }),
        _ => Err(incorrect("The source CLICKHOUSE needs a TABLE or a QUERY")),
    }
}
