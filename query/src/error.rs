//! Query errors: a ClickHouse code and a message. The codes' names live in `codes`.

pub type Result<T> = std::result::Result<T, Error>;

/// An error of parsing, analysis or execution.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error that ClickHouse has a code for (`codes::*`); `message` as ClickHouse words it.
    #[error("{message}")]
    Coded { code: u32, message: String },
    #[error(transparent)]
    Storage(#[from] pumphouse_storage::Error),
}

impl Error {
    pub fn new(code: u32, message: impl Into<String>) -> Error {
        Error::Coded { code, message: message.into() }
    }

    /// ClickHouse's code for this error.
    pub fn code(&self) -> u32 {
        use pumphouse_storage::Error as S;
        use pumphouse_storage::log::Rejection as R;
        match self {
            Error::Coded { code, .. } => *code,
            Error::Storage(e) => match e {
                S::Expression { code, .. } => *code,
                S::UnknownType(_) => codes::UNKNOWN_TYPE,
                S::Column(_) => codes::ILLEGAL_COLUMN,
                S::LimitExceeded(_) => codes::MEMORY_LIMIT_EXCEEDED,
                S::Damaged { .. } => codes::CORRUPTED_DATA,
                S::Rejected(r) => match r {
                    R::TableExists { .. } => codes::TABLE_ALREADY_EXISTS,
                    R::DatabaseExists(_) => codes::DATABASE_ALREADY_EXISTS,
                    R::UnknownDatabase(_) => codes::UNKNOWN_DATABASE,
                    R::DatabaseNotEmpty(_) => codes::DATABASE_NOT_EMPTY,
                    R::UnknownTable(_) => codes::UNKNOWN_TABLE,
                    _ => codes::LOGICAL_ERROR,
                },
                _ if e.is_disk_full() => codes::NOT_ENOUGH_SPACE,
                S::Io { .. } => codes::CANNOT_OPEN_FILE,
                S::Locked(_) | S::Closed(_) => codes::ABORTED,
            },
        }
    }
}

/// ClickHouse's error codes by name, those that we raise. `name_of` gives the name of any.
pub mod codes {
    macro_rules! codes {
        ($($name:ident = $code:literal),* $(,)?) => {
            $(pub const $name: u32 = $code;)*
            /// The name that ClickHouse prints in parentheses behind the message.
            pub fn name_of(code: u32) -> &'static str {
                match code {
                    $($code => stringify!($name),)*
                    _ => known_name(code).unwrap_or("UNKNOWN_EXCEPTION"),
                }
            }

            /// The name of an error of ClickHouse, whether it is raised here or not.
            pub fn known_name(code: u32) -> Option<&'static str> {
                include_str!("error_names.tsv").lines().find_map(|line| {
                    let (number, name) = line.split_once('\t')?;
                    (number.parse() == Ok(code)).then_some(name)
                })
            }
        };
    }
    codes! {
        CANNOT_WRITE_TO_FILE_DESCRIPTOR = 75,
        FILE_DOESNT_EXIST = 107,
        SET_SIZE_LIMIT_EXCEEDED = 191,
        CHECKSUM_DOESNT_MATCH = 40,
        INCOMPATIBLE_TYPE_OF_JOIN = 264,
        INFINITE_LOOP = 269,
        QUERY_CACHE_USED_WITH_NONDETERMINISTIC_FUNCTIONS = 704,
        QUERY_CACHE_USED_WITH_SYSTEM_TABLE = 719,
        DATABASE_ACCESS_DENIED = 291,
        CANNOT_STAT = 400,
        SETTING_CONSTRAINT_VIOLATION = 452,
        INVALID_USAGE_OF_INPUT = 477,
        BACKUP_ALREADY_EXISTS = 598,
        BACKUP_NOT_FOUND = 599,
        BACKUP_DAMAGED = 601,
        BACKUP_ENTRY_NOT_FOUND = 605,
        CANNOT_RESTORE_TABLE = 608,
        BACKUP_ENGINE_NOT_FOUND = 627,
        UNSUPPORTED_METHOD = 1,
        WITH_TIES_WITHOUT_ORDER_BY = 476,
        CANNOT_PARSE_TEXT = 6,
        INCORRECT_NUMBER_OF_COLUMNS = 7,
        THERE_IS_NO_COLUMN = 8,
        SIZES_OF_COLUMNS_DOESNT_MATCH = 9,
        NOT_FOUND_COLUMN_IN_BLOCK = 10,
        DUPLICATE_COLUMN = 15,
        NUMBER_OF_COLUMNS_DOESNT_MATCH = 20,
        NO_SUCH_COLUMN_IN_TABLE = 16,
        BAD_TTL_EXPRESSION = 450,
        CANNOT_ASSIGN_OPTIMIZE = 388,
        BAD_TYPE_OF_FIELD = 169,
        CANNOT_PARSE_ESCAPE_SEQUENCE = 25,
        CANNOT_PARSE_QUOTED_STRING = 26,
        CANNOT_PARSE_INPUT_ASSERTION_FAILED = 27,
        ATTEMPT_TO_READ_AFTER_EOF = 32,
        CANNOT_READ_ALL_DATA = 33,
        TOO_MANY_ARGUMENTS_FOR_FUNCTION = 34,
        TOO_FEW_ARGUMENTS_FOR_FUNCTION = 35,
        BAD_ARGUMENTS = 36,
        UNKNOWN_ELEMENT_IN_AST = 37,
        CANNOT_PARSE_DATE = 38,
        CANNOT_PARSE_DATETIME = 41,
        NUMBER_OF_ARGUMENTS_DOESNT_MATCH = 42,
        ILLEGAL_TYPE_OF_ARGUMENT = 43,
        ILLEGAL_COLUMN = 44,
        UNKNOWN_FUNCTION = 46,
        UNKNOWN_IDENTIFIER = 47,
        NOT_IMPLEMENTED = 48,
        LOGICAL_ERROR = 49,
        UNKNOWN_TYPE = 50,
        TYPE_MISMATCH = 53,
        CANNOT_EXTRACT_TABLE_STRUCTURE = 636,
        CANNOT_APPEND_TO_FILE = 641,
        CLUSTER_DOESNT_EXIST = 701,
        FUNCTION_ALREADY_EXISTS = 609,
        CANNOT_DROP_FUNCTION = 610,
        UNKNOWN_STORAGE = 56,
        TABLE_ALREADY_EXISTS = 57,
        ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER = 59,
        UNKNOWN_TABLE = 60,
        SYNTAX_ERROR = 62,
        UNKNOWN_AGGREGATE_FUNCTION = 63,
        ARGUMENT_OUT_OF_BOUND = 69,
        SIZE_OF_FIXED_STRING_DOESNT_MATCH = 19,
        CANNOT_CONVERT_TYPE = 70,
        DATA_TYPE_CANNOT_BE_USED_IN_KEY = 549,
        CANNOT_PARSE_NUMBER = 72,
        UNKNOWN_FORMAT = 73,
        CANNOT_OPEN_FILE = 76,
        UNKNOWN_DATABASE = 81,
        DATABASE_ALREADY_EXISTS = 82,
        UNEXPECTED_PACKET_FROM_CLIENT = 101,
        UNKNOWN_SETTING = 115,
        INCORRECT_DATA = 117,
        INCORRECT_QUERY = 80,
        UNKNOWN_ELEMENT_IN_CONFIG = 137,
        DICTIONARY_ALREADY_EXISTS = 387,
        INCORRECT_DICTIONARY_DEFINITION = 489,
        CANNOT_DETACH_DICTIONARY_AS_TABLE = 520,
        HAVE_DEPENDENT_OBJECTS = 630,
        ILLEGAL_DIVISION = 153,
        INDEX_NOT_USED = 277,
        LIMIT_EXCEEDED = 290,
        TOO_MANY_ROWS = 158,
        TIMEOUT_EXCEEDED = 159,
        TOO_MANY_BYTES = 307,
        INCORRECT_RESULT_OF_SCALAR_SUBQUERY = 125,
        READONLY = 164,
        TOO_DEEP_RECURSION = 306,
        TOO_DEEP_AST = 167,
        TOO_BIG_AST = 168,
        ILLEGAL_AGGREGATION = 184,
        QUERY_IS_TOO_LARGE = 229,
        TOO_MANY_SIMULTANEOUS_QUERIES = 202,
        AMBIGUOUS_IDENTIFIER = 207,
        NOT_AN_AGGREGATE = 215,
        QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = 216,
        DATABASE_NOT_EMPTY = 219,
        ABORTED = 236,
        NETWORK_ERROR = 210,
        MEMORY_LIMIT_EXCEEDED = 241,
        CANNOT_SCHEDULE_TASK = 439,
        TABLE_IS_READ_ONLY = 242,
        NOT_ENOUGH_SPACE = 243,
        TOO_MANY_PARTS = 252,
        SESSION_NOT_FOUND = 372,
        SESSION_IS_LOCKED = 373,
        INVALID_SESSION_TIMEOUT = 374,
        CANNOT_PARSE_UUID = 376,
        HTTP_LENGTH_REQUIRED = 381,
        NO_COMMON_TYPE = 386,
        CANNOT_GET_CREATE_TABLE_QUERY = 390,
        QUERY_WAS_CANCELLED = 394,
        FUNCTION_THROW_IF_VALUE_IS_NON_ZERO = 395,
        TOO_MANY_ROWS_OR_BYTES = 396,
        CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING = 441,
        DATA_TYPE_CANNOT_BE_PROMOTED = 438,
        DECIMAL_OVERFLOW = 407,
        UNKNOWN_QUERY_PARAMETER = 456,
        BAD_QUERY_PARAMETER = 457,
        UNKNOWN_ROLE = 511,
        CANNOT_UNLINK = 458,
        ACCESS_DENIED = 497,
        AUTHENTICATION_FAILED = 516,
        REQUIRED_PASSWORD = 194,
        CANNOT_COMPILE_REGEXP = 427,
        EXPECTED_ALL_OR_DISTINCT = 558,
        QUERY_NOT_ALLOWED = 620,
        CORRUPTED_DATA = 246,
        CANNOT_PARSE_IPV4 = 675,
        CANNOT_PARSE_IPV6 = 676,
        UNKNOWN_ELEMENT_OF_ENUM = 691,
        TOO_LARGE_STRING_SIZE = 131,
        SIZES_OF_ARRAYS_DONT_MATCH = 190,
        CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN = 349,
        ZERO_ARRAY_OR_TUPLE_INDEX = 135,
        CANNOT_PARSE_BOOL = 467,
        TOO_LARGE_ARRAY_SIZE = 128,
        VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE = 321,
        EMPTY_LIST_OF_COLUMNS_QUERIED = 51,
        MULTIPLE_EXPRESSIONS_FOR_ALIAS = 179,
        INVALID_LIMIT_EXPRESSION = 440,
        BAD_DATABASE_FOR_TEMPORARY_TABLE = 442,
        ALIAS_REQUIRED = 206,
        UNION_ALL_RESULT_STRUCTURES_MISMATCH = 258,
        INVALID_JOIN_ON_EXPRESSION = 403,
        ILLEGAL_FINAL = 181,
        ILLEGAL_PREWHERE = 182,
        SAMPLING_NOT_SUPPORTED = 141,
        INCORRECT_ELEMENT_OF_SET = 124,
        INVALID_WITH_FILL_EXPRESSION = 475,
        TOO_MANY_COLUMNS = 161,
        CYCLIC_ALIASES = 174,
        INCOMPATIBLE_COLUMNS = 122,
        NO_SUCH_DATA_PART = 232,
        BAD_DATA_PART_NAME = 233,
        INVALID_PARTITION_VALUE = 248,
        UNFINISHED = 341,
        SUPPORT_IS_DISABLED = 344,
        MULTIPLE_ASSIGNMENTS_TO_COLUMN = 419,
        CANNOT_UPDATE_COLUMN = 420,
        VIOLATED_CONSTRAINT = 469,
        TABLE_NOT_EMPTY = 705,
        READONLY_SETTING = 472,
        ALTER_OF_COLUMN_IS_FORBIDDEN = 524,
        NO_SUCH_PROJECTION_IN_TABLE = 582,
        PARAMETER_OUT_OF_BOUND = 12,
        UNSUPPORTED_PARAMETER = 143,
        AGGREGATE_FUNCTION_THROW = 503,
        DEPRECATED_FUNCTION = 721,
        ILLEGAL_PROJECTION = 583,
        PROJECTION_NOT_USED = 584,
        UNKNOWN_OVERFLOW_MODE = 145,
        BAD_GET = 170,
        UNKNOWN_LOAD_BALANCING = 212,
        UNKNOWN_TOTALS_MODE = 213,
        UNKNOWN_DISTRIBUTED_PRODUCT_MODE = 283,
        QUERY_IS_PROHIBITED = 392,
        UNKNOWN_JOIN = 418,
        UNKNOWN_MYSQL_DATATYPES_SUPPORT_LEVEL = 543,
        UNKNOWN_UNION = 557,
        THERE_IS_NO_PROFILE = 180,
        NO_ELEMENTS_IN_CONFIG = 139,
        STREAM_IS_PAUSED = 1002,
    }
}
