//! What readers of columnar formats append to: whole blocks, matched to the wanted columns by name and
//! converted to their types.
//!
//! A column that the input lacks takes its default; NULL where the target takes none is its default,
//! too (`input_format_null_as_default`). Conversions are those of CAST.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray, UInt32Array};
use arrow_schema::DataType as ArrowType;
use arrow_select::concat::concat;
use arrow_select::take::take;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::functions::cast::cast_column;
use pumphouse_storage::{Block, Column, DataType};

use super::columns::BUFFERED_BYTES_MAX;
use super::{FormatOptions, InputColumn, ParseError, ParsedRows};

/// Rows of the wanted columns, block by block.
pub struct BlockRows {
    columns: Vec<InputColumn>,
    context: Arc<QueryContext>,
    skip_unknown: bool,
    null_as_default: bool,
    case_insensitive: bool,
    pending: Vec<ParsedRows>,
    rows: usize,
    bytes: usize,
}

/// Where a message began.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    pub rows: usize,
    blocks: usize,
    bytes: usize,
}

impl BlockRows {
    pub fn new(columns: &[InputColumn], options: &FormatOptions) -> BlockRows {
        let mut context = QueryContext::new("format", 0, 0);
        context.settings = options.settings.clone();
        context.time_zone = options.time_zone;
        BlockRows {
            columns: columns.to_vec(),
            context: Arc::new(context),
            skip_unknown: options.settings.bool("input_format_skip_unknown_fields", true),
            null_as_default: options.settings.bool("input_format_null_as_default", true),
            case_insensitive: false,
            pending: vec![],
            rows: 0,
            bytes: 0,
        }
    }

    /// Matches names in any case, as the settings of Parquet, Arrow and ORC may ask.
    pub fn match_any_case(&mut self, any_case: bool) {
        self.case_insensitive = any_case;
    }

    /// Whether columns that nobody wants are no error.
    pub(super) fn skips_unknown(&self) -> bool {
        self.skip_unknown
    }

    /// How many threads may read one input.
    pub(super) fn threads(&self) -> usize {
        self.context.threads()
    }

    /// Whether a column of that name has to be read: it is wanted, or an error if nobody wants it.
    pub(super) fn takes(&self, name: &str) -> bool {
        let is_it = |wanted: &InputColumn| {
            wanted.name == name || self.case_insensitive && wanted.name.eq_ignore_ascii_case(name)
        };
        !self.skip_unknown || self.columns.iter().any(is_it)
    }

    /// The columns wanted.
    pub fn columns(&self) -> &[InputColumn] {
        &self.columns
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn mark(&self) -> Mark {
        Mark { rows: self.rows, blocks: self.pending.len(), bytes: self.bytes }
    }

    pub fn rollback(&mut self, mark: Mark) {
        self.pending.truncate(mark.blocks);
        (self.rows, self.bytes) = (mark.rows, mark.bytes);
    }

    /// Appends a block that took `input_bytes` of input.
    pub fn push(
        &mut self,
        block: Block,
        input_bytes: usize,
    ) -> std::result::Result<(), ParseError> {
        if block.rows() == 0 {
            return Ok(());
        }
        let bytes = block.memory_bytes().max(input_bytes);
        if self.bytes + bytes > BUFFERED_BYTES_MAX {
            return Err(ParseError {
                code: codes::MEMORY_LIMIT_EXCEEDED,
                message: format!(
                    "{} bytes of rows are parsed and not taken, more would pass the maximum of \
                     {BUFFERED_BYTES_MAX}",
                    self.bytes
                ),
            });
        }
        let rows = self.matched(&block).map_err(|e| ParseError {
            code: e.code(),
            message: format!("{e}: (in the block at row {})", self.rows + 1),
        })?;
        self.pending.push(rows);
        self.rows += block.rows();
        self.bytes += bytes;
        Ok(())
    }

    fn find<'b>(&self, block: &'b Block, name: &str) -> Option<&'b Column> {
        block.column(name).or_else(|| {
            let any = |n: &String| self.case_insensitive && n.eq_ignore_ascii_case(name);
            block.names.iter().position(any).map(|i| &block.columns[i])
        })
    }

    fn matched(&self, block: &Block) -> Result<ParsedRows> {
        if !self.skip_unknown {
            let known = |n: &str| {
                self.columns
                    .iter()
                    .any(|c| c.name == n || self.case_insensitive && c.name.eq_ignore_ascii_case(n))
            };
            if let Some(name) = block.names.iter().find(|n| !known(n)) {
                let message = format!("There is no column {name} in the table");
                return Err(Error::new(codes::INCORRECT_DATA, message));
            }
        }
        let mut parsed = ParsedRows { columns: vec![], present: vec![], rows: block.rows() };
        for wanted in &self.columns {
            let (column, present) = match self.find(block, &wanted.name) {
                Some(column) => self.converted(column, wanted)?,
                None => {
                    let column = Column::default_values(wanted.data_type.clone(), block.rows());
                    (column, Some(vec![false; block.rows()]))
                }
            };
            parsed.columns.push(column);
            parsed.present.push(present);
        }
        Ok(parsed)
    }

    /// The column as the wanted one, and which rows it gave if not all.
    pub(super) fn converted(
        &self,
        column: &Column,
        wanted: &InputColumn,
    ) -> Result<(Column, Option<Vec<bool>>)> {
        let (mut column, mut present) = (column.clone(), None);
        let nulls = column.array.nulls().filter(|n| n.null_count() > 0).cloned();
        let takes_null = wanted.data_type.is_nullable();
        if let (Some(nulls), true) = (nulls, self.null_as_default && !takes_null) {
            present = Some(nulls.iter().collect::<Vec<bool>>());
            column = without_nulls(&column)?;
            if column.data_type.inner() == &DataType::Nothing {
                let rows = column.len();
                column = Column::default_values(wanted.data_type.clone(), rows);
            }
        }
        if self.null_as_default && column.data_type != wanted.data_type {
            let (data_type, array) =
                defaulted(&column.data_type, &column.array, &wanted.data_type)?;
            column = Column { data_type, array };
        }
        let cast = cast_column(&column, &wanted.data_type, &self.context).map_err(|e| {
            let message = format!("{e}: (while converting column {})", wanted.name);
            Error::new(e.code(), message)
        })?;
        // Blocks are joined later: their layouts must be one, up to nullability of fields.
        Ok((cast, present))
    }

    /// Takes the rows out as one.
    pub fn take(&mut self) -> Result<ParsedRows> {
        let mut pending = std::mem::take(&mut self.pending);
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if pending.len() == 1 {
            return Ok(pending.into_iter().next().unwrap_or(ParsedRows {
                columns: vec![],
                present: vec![],
                rows: 0,
            }));
        }
        let mut all = ParsedRows { columns: vec![], present: vec![], rows };
        for (i, wanted) in self.columns.iter().enumerate() {
            // The parts of a column go before the next is joined, which may have their memory.
            let given = |p: &mut ParsedRows| {
                std::mem::replace(&mut p.columns[i], Column::empty(DataType::UInt8))
            };
            let parts: Vec<Column> = pending.iter_mut().map(given).collect();
            all.columns.push(match parts.is_empty() {
                true => Column::empty(wanted.data_type.clone()),
                false => Column::concat(&parts)?,
            });
            let whole = pending.iter().all(|p| p.present[i].is_none());
            all.present.push((!whole).then(|| {
                let flags = |p: &ParsedRows| match &p.present[i] {
                    Some(flags) => flags.clone(),
                    None => vec![true; p.rows],
                };
                pending.iter().flat_map(flags).collect()
            }));
        }
        Ok(all)
    }
}

/// A column of lists, maps and tuples whose NULLs inside are defaults where `wanted` takes none.
fn defaulted(
    data_type: &DataType,
    array: &ArrayRef,
    wanted: &DataType,
) -> Result<(DataType, ArrayRef)> {
    use DataType as T;
    let child = |t: &DataType, array: &ArrayRef, wanted: &DataType| {
        let (t, array) = defaulted(t, array, wanted)?;
        if !t.is_nullable() || wanted.is_nullable() || array.null_count() == 0 {
            return Ok((t, array));
        }
        let column = without_nulls(&Column { data_type: t, array })?;
        Ok::<_, Error>((column.data_type, column.array))
    };
    match (data_type, wanted.inner()) {
        (T::Array(item), T::Array(to)) => {
            let list = array.as_list::<i32>();
            let (item, items) = child(item, list.values(), to)?;
            let data_type = T::array(item);
            Ok((data_type.clone(), relisted(list, &data_type, items)?))
        }
        (T::Map(key, value), T::Map(_, to)) => {
            let list = array.as_list::<i32>();
            let entries = list.values().as_struct();
            let (value, values) = child(value, entries.column(1), to)?;
            let data_type = T::Map(key.clone(), Box::new(value));
            let ArrowType::List(field) = data_type.arrow() else { return Err(no_layout()) };
            let ArrowType::Struct(fields) = field.data_type() else { return Err(no_layout()) };
            let columns = vec![entries.column(0).clone(), values];
            let entries = StructArray::try_new(fields.clone(), columns, None).map_err(layout)?;
            Ok((data_type.clone(), relisted(list, &data_type, Arc::new(entries))?))
        }
        (T::Tuple(elements), T::Tuple(to)) => {
            let (mut elements, mut columns) = (elements.clone(), vec![]);
            for (i, column) in array.as_struct().columns().iter().enumerate() {
                let named = to.iter().find(|e| e.name.is_some() && e.name == elements[i].name);
                let (t, column) = match named.or(to.get(i)) {
                    Some(to) => child(&elements[i].data_type, column, &to.data_type)?,
                    None => (elements[i].data_type.clone(), column.clone()),
                };
                elements[i].data_type = t;
                columns.push(column);
            }
            let data_type = T::Tuple(elements);
            let ArrowType::Struct(fields) = data_type.arrow() else { return Err(no_layout()) };
            let array = StructArray::try_new_with_length(fields, columns, None, array.len());
            Ok((data_type, Arc::new(array.map_err(layout)?)))
        }
        _ => Ok((data_type.clone(), array.clone())),
    }
}

fn relisted(list: &ListArray, data_type: &DataType, items: ArrayRef) -> Result<ArrayRef> {
    let ArrowType::List(field) = data_type.arrow() else { return Err(no_layout()) };
    let array = ListArray::try_new(field, list.offsets().clone(), items, None);
    Ok(Arc::new(array.map_err(layout)?))
}

fn no_layout() -> Error {
    Error::new(codes::LOGICAL_ERROR, "a composite type lies as no list")
}

/// The same column with its NULLs replaced by the default of the type inside Nullable.
fn without_nulls(column: &Column) -> Result<Column> {
    let data_type = column.data_type.without_nullable();
    let one = Column::default_values(data_type.clone(), 1);
    let joined = concat(&[one.array.as_ref(), column.array.as_ref()]).map_err(layout)?;
    let places: UInt32Array = (0..column.len() as u32)
        .map(|row| if column.is_null(row as usize) { 0 } else { row + 1 })
        .collect::<Vec<u32>>()
        .into();
    let array = take(joined.as_ref(), &places, None).map_err(layout)?;
    let array = match array.nulls() {
        None => array,
        Some(_) => {
            let data = array.to_data().into_builder().nulls(None).build().map_err(layout)?;
            arrow_array::make_array(data)
        }
    };
    Ok(Column { data_type, array })
}

fn layout(e: arrow_schema::ArrowError) -> Error {
    Error::new(codes::LOGICAL_ERROR, format!("values do not form a column: {e}"))
}
