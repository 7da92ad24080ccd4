//! Functions and types of other dialects by name: what they are called here.

use sqlparser::ast::{DataType, ExactNumberInfo, TimezoneInfo};

/// Scalar functions that mean the same under another name.
pub(super) const FUNCTIONS: &[(&str, &str)] = &[
    ("bool_and", "minOrNull"),
    ("bool_or", "maxOrNull"),
    ("btrim", "trimBoth"),
    ("char_length", "lengthUTF8"),
    ("character_length", "lengthUTF8"),
    ("curdate", "today"),
    ("current_date", "today"),
    ("every", "minOrNull"),
    ("from_unixtime", "toDateTime"),
    ("initcap", "initcapUTF8"),
    ("left", "leftUTF8"),
    ("len", "lengthUTF8"),
    ("lower", "lowerUTF8"),
    ("lpad", "leftPadUTF8"),
    ("octet_length", "length"),
    ("random", "randCanonical"),
    ("regexp_like", "match"),
    ("reverse", "reverseUTF8"),
    ("right", "rightUTF8"),
    ("rpad", "rightPadUTF8"),
    ("stddev", "stddevSampOrNull"),
    ("stddev_pop", "stddevPopOrNull"),
    ("stddev_samp", "stddevSampOrNull"),
    ("substr", "substringUTF8"),
    ("substring", "substringUTF8"),
    ("to_timestamp", "toDateTime64"),
    ("unix_timestamp", "toUnixTimestamp"),
    ("upper", "upperUTF8"),
    ("var_pop", "varPopOrNull"),
    ("var_samp", "varSampOrNull"),
    ("variance", "varSampOrNull"),
];

/// Aggregates that are NULL over no rows.
pub(super) const NULL_OF_NOTHING: &[(&str, &str)] =
    &[("avg", "avgOrNull"), ("max", "maxOrNull"), ("min", "minOrNull"), ("sum", "sumOrNull")];

/// Found by its name in lower case.
pub(super) fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(other, _)| *other == name).map(|(_, own)| *own)
}

/// The type here; None if there is none. Always one that can be NULL, but for arrays.
pub(super) fn data_type(t: &DataType) -> Option<String> {
    use DataType::*;
    let plain = match t {
        TinyInt(_) => "Int8".into(),
        TinyIntUnsigned(_) | UTinyInt => "UInt8".into(),
        SmallInt(_) | Int2(_) | Int16 => "Int16".into(),
        SmallIntUnsigned(_) | Int2Unsigned(_) | USmallInt => "UInt16".into(),
        MediumInt(_) | Int(_) | Int4(_) | Integer(_) | Int32 => "Int32".into(),
        MediumIntUnsigned(_) | IntUnsigned(_) | Int4Unsigned(_) | IntegerUnsigned(_) => {
            "UInt32".into()
        }
        BigInt(_) | Int8(_) | Int64 | Signed | SignedInteger => "Int64".into(),
        BigIntUnsigned(_) | UBigInt | Int8Unsigned(_) | Unsigned | UnsignedInteger => {
            "UInt64".into()
        }
        HugeInt | Int128 => "Int128".into(),
        UHugeInt | UInt128 => "UInt128".into(),
        Real | Float4 | Float32 => "Float32".into(),
        Float(_) | Float8 | Float64 | Double(_) | DoublePrecision => "Float64".into(),
        Numeric(of) | Decimal(of) | Dec(of) => decimal(of)?,
        Boolean | Bool => "Bool".into(),
        Date => "Date32".into(),
        Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            "DateTime64(6, 'UTC')".into()
        }
        Timestamp(..) | TimestampNtz(_) => "DateTime64(6)".into(),
        Datetime(precision) => format!("DateTime64({})", precision.unwrap_or(0)),
        Uuid => "UUID".into(),
        Char(_) | Character(_) | CharacterVarying(_) | CharVarying(_) | Varchar(_)
        | Nvarchar(_) | Text | TinyText | MediumText | LongText | String(_) | Clob(_) | Bytea
        | Blob(_) | Binary(_) | Varbinary(_) | JSON | JSONB => "String".into(),
        Array(of) => {
            use sqlparser::ast::ArrayElemTypeDef::*;
            let item = match of {
                AngleBracket(item)
                | SquareBracket(item, _)
                | Parenthesis(item)
                | ParenthesisNotNull(item)
                | Qualified(item, _) => item,
                None => return Option::None,
            };
            return Some(format!("Array({})", data_type(item)?));
        }
        _ => return Option::None,
    };
    Some(format!("Nullable({plain})"))
}

fn decimal(of: &ExactNumberInfo) -> Option<String> {
    match of {
        ExactNumberInfo::None => Some("Decimal(38, 10)".into()),
        ExactNumberInfo::Precision(p) => Some(format!("Decimal({p}, 0)")),
        ExactNumberInfo::PrecisionAndScale(p, s) => Some(format!("Decimal({p}, {s})")),
    }
}

/// `to_char`'s picture as `formatDateTime`'s; None for a word that it does not have.
pub(super) fn time_picture(picture: &str) -> Option<String> {
    const WORDS: &[(&str, &str)] = &[
        ("YYYY", "%Y"),
        ("HH24", "%H"),
        ("HH12", "%I"),
        ("MONTH", "%M"),
        ("DAY", "%W"),
        ("MON", "%b"),
        ("DDD", "%j"),
        ("HH", "%I"),
        ("MM", "%m"),
        ("DD", "%d"),
        ("MI", "%i"),
        ("SS", "%S"),
        ("DY", "%a"),
        ("AM", "%p"),
        ("PM", "%p"),
        ("YY", "%y"),
        ("US", "%f"),
    ];
    let mut out = String::new();
    let mut rest = picture;
    'next: while let Some(c) = rest.chars().next() {
        if !c.is_ascii_alphabetic() {
            out.push_str(if c == '%' { "%%" } else { &rest[..c.len_utf8()] });
            rest = &rest[c.len_utf8()..];
            continue;
        }
        for (word, own) in WORDS {
            if rest.len() >= word.len()
                && rest.is_char_boundary(word.len())
                && rest[..word.len()].eq_ignore_ascii_case(word)
            {
                out.push_str(own);
                rest = &rest[word.len()..];
                continue 'next;
            }
        }
        return None;
    }
    Some(out)
}
