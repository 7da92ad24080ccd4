//! Pretty, PrettyCompact and PrettySpace: tables for the eye, as ClickHouse prints them without a
//! terminal (no colours). The rows are kept until the end, so that one table has one width.
//!
//! Few rows of many wide columns, or of values with line breaks, fall back to Vertical. Shows
//! `output_format_pretty_max_rows` rows.

use std::collections::VecDeque;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_buffer::i256;
use pumphouse_query::error::Result;
use pumphouse_query::text::json::write_json_indented;
use pumphouse_query::text::quantity::readable_quantity;
use pumphouse_query::text::write::list_range;
use pumphouse_query::text::{JsonOptions, write_quoted, write_text};
use pumphouse_storage::types::{TimeZone, TupleElement};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::paint::Paint;
use super::vertical::{RowLooks, labels, write_row_title, write_rows};
use super::{FormatOptions, FormatWriter, WriterStatistics};

/// How the table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Lines around every cell.
    Grid,
    /// The header in the top line.
    Compact,
    /// No lines.
    Space,
}

/// When a table is written as Vertical writes it.
struct Fallback {
    rows_max: usize,
    width_min: usize,
    columns_min: usize,
}

pub struct PrettyWriter {
    style: Style,
    zone: TimeZone,
    rows_max: usize,
    pad_max: usize,
    value_width_max: usize,
    name_cut_to: usize,
    name_cut_spare: usize,
    /// A single value is cut, too.
    cut_single: bool,
    row_numbers: bool,
    multiline: bool,
    named_tuples_as_json: bool,
    /// Numbers beyond it are also told in words; 0: none.
    tip_above: f64,
    fallback: Option<Fallback>,
    footer_rows_min: Option<usize>,
    paint: Paint,
    schema: Vec<(String, DataType)>,
    /// The first rows, and the last of those behind them.
    first: Vec<Block>,
    last: VecDeque<Block>,
    rows: usize,
    /// Totals and extremes.
    tail: Vec<u8>,
}

/// Columns on a screen that the text takes: wide characters two, combining ones none. `at` is the column that it begins in: a tab goes to the next multiple of eight.
pub fn display_width_at(text: &[u8], at: usize) -> usize {
    let mut width = 0;
    for c in String::from_utf8_lossy(text).chars() {
        width += if c == '\t' { 8 - (at + width) % 8 } else { char_width(c) };
    }
    width
}

/// The same from the left edge.
pub fn display_width(text: &[u8]) -> usize {
    display_width_at(text, 0)
}

/// The width of a value's line in the cell whose text begins at `at`: ClickHouse gives tabs a width in
/// the first one only.
fn line_width(text: &[u8], number: usize, at: usize) -> usize {
    if number == 0 || !text.contains(&b'\t') {
        return display_width_at(text, at);
    }
    text.split(|b| *b == b'\t').map(|part| display_width_at(part, at)).sum()
}

fn char_width(c: char) -> usize {
    match c as u32 {
        0x0..=0x1f | 0x7f..=0x9f => 0,
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Numbers, dates and times stand at the right.
pub fn right_aligned(dt: &DataType) -> bool {
    let dt = dt.inner();
    let number = dt.is_number() && *dt != DataType::Bool;
    let span = matches!(dt, DataType::Interval(_) | DataType::Time | DataType::Time64(_));
    number || dt.is_date_or_time() || span
}

/// A number, whose digits may be told apart in groups.
pub fn is_number(dt: &DataType) -> bool {
    dt.inner().is_number() && *dt.inner() != DataType::Bool
}

/// Numbers beyond it have a tip.
pub fn tip_above(options: &FormatOptions) -> f64 {
    options.settings.u64("output_format_pretty_single_large_number_tip_threshold", 1_000_000) as f64
}

/// "1.23 million" for a number past `above`.
pub fn number_tip(column: &Column, row: usize, above: f64) -> Option<String> {
    if above <= 0.0 || !column.data_type.inner().is_number() || column.is_null(row) {
        return None;
    }
    let value = match column.value(row) {
        Value::UInt128(v) => v as f64,
        Value::Int256(v) if *column.data_type.inner() == DataType::UInt256 => unsigned(v),
        Value::Int256(v) if *column.data_type.inner() == DataType::Int256 => {
            v.to_string().parse().ok()?
        }
        value => value.as_f64()?,
    };
    let magnitude = value.abs();
    // ClickHouse gives none for numbers of 18 to 20 digits.
    if !magnitude.is_finite() || magnitude <= above || (1e17..1e20).contains(&magnitude) {
        return None;
    }
    Some(readable_quantity(value))
}

/// The number that the bits are as an unsigned one.
fn unsigned(bits: i256) -> f64 {
    let (low, high) = bits.to_parts();
    low as f64 + high as u128 as f64 * 2f64.powi(128)
}

/// A value's text in a table; named tuples, also inside of others, as indented JSON.
pub fn write_pretty_value(column: &Column, row: usize, zone: TimeZone, out: &mut Vec<u8>) {
    let (dt, array) = (&column.data_type, column.array.as_ref());
    match has_named_tuple(dt) {
        true => write_nested(dt, array, row, zone, out),
        false => write_text(dt, array, row, zone, out),
    }
}

fn is_named(elements: &[TupleElement]) -> bool {
    !elements.is_empty() && elements.iter().all(|e| e.name.is_some())
}

fn has_named_tuple(dt: &DataType) -> bool {
    match dt {
        DataType::Tuple(elements) => {
            is_named(elements) || elements.iter().any(|e| has_named_tuple(&e.data_type))
        }
        DataType::Array(element) => has_named_tuple(element),
        DataType::Map(key, value) => has_named_tuple(key) || has_named_tuple(value),
        _ => false,
    }
}

/// A value of a type that holds a named tuple; what holds none is quoted as in any collection.
fn write_nested(dt: &DataType, array: &dyn Array, row: usize, zone: TimeZone, out: &mut Vec<u8>) {
    match dt {
        DataType::Tuple(elements) if is_named(elements) => {
            let options = JsonOptions { indent: " ", indent_more: " ", ..JsonOptions::default() };
            write_json_indented(dt, array, row, zone, &options, 0, out);
        }
        DataType::Tuple(elements) if has_named_tuple(dt) => {
            out.push(b'(');
            for (i, e) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_nested(&e.data_type, array.as_struct().column(i).as_ref(), row, zone, out);
            }
            out.push(b')');
        }
        DataType::Array(element) if has_named_tuple(dt) => {
            let (items, from, to) = list_range(array, row);
            out.push(b'[');
            for at in from..to {
                if at > from {
                    out.push(b',');
                }
                write_nested(element, items, at, zone, out);
            }
            out.push(b']');
        }
        DataType::Map(key, value) if has_named_tuple(dt) => {
            let (entries, from, to) = list_range(array, row);
            let entries = entries.as_struct();
            out.push(b'{');
            for at in from..to {
                if at > from {
                    out.push(b',');
                }
                write_nested(key, entries.column(0).as_ref(), at, zone, out);
                out.push(b':');
                write_nested(value, entries.column(1).as_ref(), at, zone, out);
            }
            out.push(b'}');
        }
        dt => write_quoted(dt, array, row, zone, out),
    }
}

/// A name that is no plain word is cut in its middle where it is wider than its values need.
fn cut_name(
    name: &str,
    value_width: usize,
    cut_to: usize,
    spare: usize,
) -> Option<(String, usize)> {
    let target = cut_to.max(value_width);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if cut_to == 0 || plain || display_width(name.as_bytes()) <= target + spare {
        return None;
    }
    let mut width = 0;
    let fits = |c: &char| {
        width += char_width(*c);
        width <= target / 2
    };
    let front: String = name.chars().take_while(fits).collect();
    let (mut back, mut width) = (name.len(), 0);
    for (at, c) in name.char_indices().rev() {
        if width >= target - target / 2 - 1 {
            break;
        }
        (back, width) = (at, width + char_width(c));
    }
    Some((format!("{front}⋯{}", &name[back..]), target))
}

/// One table's texts: by column, then row.
struct Cells {
    names: Vec<String>,
    name_widths: Vec<usize>,
    right: Vec<bool>,
    numbers: Vec<bool>,
    texts: Vec<Vec<Vec<u8>>>,
    widths: Vec<usize>,
    /// The column of the screen that the first cell's text begins in.
    left: usize,
    multiline: bool,
    rows: usize,
}

impl PrettyWriter {
    pub fn boxed(options: &FormatOptions, style: Style) -> Result<Box<dyn FormatWriter>> {
        let number = |name: &str, default: u64| options.settings.u64(name, default) as usize;
        let set = |name: &str, default: bool| options.settings.bool(name, default);
        Ok(Box::new(PrettyWriter {
            style,
            zone: options.time_zone,
            rows_max: number("output_format_pretty_max_rows", 1000),
            pad_max: number("output_format_pretty_max_column_pad_width", 250),
            value_width_max: number("output_format_pretty_max_value_width", 10000),
            name_cut_to: number("output_format_pretty_max_column_name_width_cut_to", 24),
            name_cut_spare: number(
                "output_format_pretty_max_column_name_width_min_chars_to_cut",
                4,
            ),
            cut_single: set("output_format_pretty_max_value_width_apply_for_single_value", false),
            row_numbers: set("output_format_pretty_row_numbers", true),
            multiline: set("output_format_pretty_multiline_fields", true),
            named_tuples_as_json: set("output_format_pretty_named_tuples_as_json", true),
            tip_above: tip_above(options),
            fallback: set("output_format_pretty_fallback_to_vertical", true).then(|| Fallback {
                rows_max: number(
                    "output_format_pretty_fallback_to_vertical_max_rows_per_chunk",
                    10,
                ),
                width_min: number("output_format_pretty_fallback_to_vertical_min_table_width", 250),
                columns_min: number("output_format_pretty_fallback_to_vertical_min_columns", 5),
            }),
            footer_rows_min: set("output_format_pretty_display_footer_column_names", true)
                .then(|| number("output_format_pretty_display_footer_column_names_min_rows", 50)),
            paint: Paint::of(options),
            schema: vec![],
            first: vec![],
            last: VecDeque::new(),
            rows: 0,
            tail: vec![],
        }))
    }

    /// The same without colours, whatever the settings say.
    pub fn plain(options: &FormatOptions, style: Style) -> Result<Box<dyn FormatWriter>> {
        let mut options = options.clone();
        options.settings.set("output_format_pretty_color", "0");
        PrettyWriter::boxed(&options, style)
    }

    fn cells(&self, blocks: &[&Block], total: usize) -> Cells {
        let columns = self.schema.len();
        let rows = blocks.iter().map(|b| b.rows()).sum();
        let mut cells = Cells {
            names: Vec::with_capacity(columns),
            name_widths: Vec::with_capacity(columns),
            right: self.schema.iter().map(|(_, dt)| right_aligned(dt)).collect(),
            numbers: self.schema.iter().map(|(_, dt)| is_number(dt)).collect(),
            texts: vec![vec![]; columns],
            widths: Vec::with_capacity(columns),
            left: digits(total) + 2 + if self.style == Style::Space { 1 } else { 2 },
            multiline: false,
            rows,
        };
        let mut at = cells.left;
        for (i, (name, _)) in self.schema.iter().enumerate() {
            let mut width = 0;
            for block in blocks {
                for row in 0..block.rows() {
                    let single = columns == 1 && rows == 1 && !self.cut_single;
                    let text = self.text(&block.columns[i], row, single);
                    let shown = text.strip_suffix(CUT_MARK.as_bytes()).unwrap_or(&text);
                    let widest = if self.multiline {
                        let lines = shown.split(|b| *b == b'\n').enumerate();
                        let widths = lines.map(|(number, line)| line_width(line, number, at));
                        widths.max().unwrap_or(0)
                    } else {
                        display_width_at(shown, at)
                    };
                    let widest = widest.min(self.value_width_max.max(1));
                    width = width.max(widest.min(self.pad_max));
                    cells.multiline |= self.multiline && text.contains(&b'\n');
                    cells.texts[i].push(text);
                }
            }
            let cut = cut_name(name, width, self.name_cut_to, self.name_cut_spare);
            let (name, name_width) =
                cut.unwrap_or_else(|| (name.clone(), display_width_at(name.as_bytes(), at)));
            cells.names.push(name);
            cells.name_widths.push(name_width);
            let width = width.max(name_width.min(self.pad_max));
            cells.widths.push(width);
            at += width + 3;
        }
        cells
    }

    fn text(&self, column: &Column, row: usize, single: bool) -> Vec<u8> {
        let mut text = vec![];
        if column.is_null(row) {
            text.extend_from_slice(self.paint.null().as_bytes());
        } else {
            self.value(column, row, &mut text);
        }
        if !single {
            cut_to_width(&mut text, self.value_width_max);
        }
        text
    }

    fn value(&self, column: &Column, row: usize, out: &mut Vec<u8>) {
        match self.named_tuples_as_json {
            true => write_pretty_value(column, row, self.zone, out),
            false => {
                let array = column.array.as_ref();
                write_text(&column.data_type, array, row, self.zone, out)
            }
        }
    }

    /// Leaves only the last `rows` rows behind the first ones.
    fn drop_early(&mut self, rows: usize) {
        let mut surplus = self.last.iter().map(Block::rows).sum::<usize>().saturating_sub(rows);
        while surplus > 0 {
            let Some(front) = self.last.pop_front() else { return };
            if front.rows() > surplus {
                let left = front.rows() - surplus;
                self.last.push_front(front.slice(surplus, left));
                return;
            }
            surplus -= front.rows();
        }
    }

    /// `gap`: how many rows come before those that are left out; of `total` rows.
    fn table(&self, blocks: &[&Block], gap: Option<usize>, total: usize, out: &mut Vec<u8>) {
        let number_width = if self.row_numbers { digits(total) + 2 } else { 0 };
        let cells = self.cells(blocks, total);
        if cells.rows == 0 {
            return;
        }
        let width = cells.widths.iter().sum::<usize>();
        if let Some(fallback) = &self.fallback
            && cells.rows <= fallback.rows_max
            && cells.names.len() >= fallback.columns_min
            && (width >= fallback.width_min || cells.multiline)
        {
            return self.vertical(blocks, out);
        }
        let margin = self.paint.spaces(number_width);
        let (style, paint, multiline) = (self.style, self.paint, self.multiline);
        let table = Table { style, cells: &cells, margin: &margin, paint, multiline };
        table.header(out);
        let last = blocks.iter().flat_map(|block| {
            (0..block.rows()).map(move |row| number_tip(block.columns.last()?, row, self.tip_above))
        });
        for (row, tip) in last.enumerate() {
            if row > 0 && self.style == Style::Grid {
                table.line("├", "─", "┼", "┤", out);
            }
            if gap == Some(row) {
                table.gap(out);
            }
            let label = if self.row_numbers {
                let left_out = gap.filter(|gap| row >= *gap).map_or(0, |_| total - cells.rows);
                let number = format!("{}.", row + 1 + left_out);
                let before = (number_width - 1).saturating_sub(number.len());
                let number = format!("{number} ");
                self.paint.spaces(before) + &self.paint.aside(&number)
            } else {
                String::new()
            };
            table.row(row, &label, tip.as_deref(), out);
        }
        table.end(self.footer_rows_min.is_some_and(|min| total >= min), out);
    }

    fn vertical(&self, blocks: &[&Block], out: &mut Vec<u8>) {
        let labels = labels(self.schema.iter().map(|(n, _)| n.as_str()));
        let mut number = 0u64;
        for block in blocks {
            for row in 0..block.rows() {
                number += 1;
                if number > 1 {
                    out.push(b'\n');
                }
                write_row_title(number, out);
                let looks = RowLooks {
                    zone: self.zone,
                    pretty: self.named_tuples_as_json,
                    tip_above: self.tip_above,
                    paint: self.paint,
                };
                write_rows(block, row, &labels, &looks, out);
            }
        }
    }
}

fn digits(n: usize) -> usize {
    n.to_string().len()
}

/// Cuts a text of more than `width` columns and marks it.
fn cut_to_width(text: &mut Vec<u8>, width: usize) {
    if text.len() <= width || display_width(text) <= width {
        return;
    }
    let whole = String::from_utf8_lossy(text).into_owned();
    let mut seen = 0;
    let kept: String = whole
        .chars()
        .take_while(|c| {
            seen += char_width(*c);
            seen <= width
        })
        .collect();
    *text = kept.into_bytes();
    text.extend_from_slice(CUT_MARK.as_bytes());
}

/// Stands behind a text that is cut.
const CUT_MARK: &str = "⋯";

const NO_CORNERS: [&str; 3] = ["", "", ""];

struct Table<'a> {
    style: Style,
    cells: &'a Cells,
    margin: &'a str,
    paint: Paint,
    multiline: bool,
}

impl Table<'_> {
    /// A horizontal line of the grid.
    fn line(&self, left: &str, fill: &str, cross: &str, right: &str, out: &mut Vec<u8>) {
        let mut line = left.to_string();
        for (i, width) in self.cells.widths.iter().enumerate() {
            if i > 0 {
                line.push_str(cross);
            }
            line.push_str(&fill.repeat(width + 2));
        }
        line.push_str(right);
        out.extend_from_slice(self.margin.as_bytes());
        out.extend_from_slice(self.paint.lines(&line).as_bytes());
        out.push(b'\n');
    }

    /// A broken line where rows are left out.
    fn gap(&self, out: &mut Vec<u8>) {
        let cells: usize = self.cells.widths.iter().map(|width| width + 3).sum();
        let width = if self.style == Style::Space { cells.saturating_sub(2) } else { cells + 1 };
        let line: String = "─ ".chars().cycle().take(width).collect();
        let line = self.paint.lines(&line);
        out.extend_from_slice(format!("{}{line}\n", self.margin).as_bytes());
        if self.style == Style::Grid {
            self.line("├", "─", "┼", "┤", out);
        }
    }

    /// The names between bars; `corners` are what the compact line of names begins with, has between names, and
    /// ends with.
    fn names(&self, corners: [&str; 3], out: &mut Vec<u8>) {
        out.extend_from_slice(self.margin.as_bytes());
        let space = self.paint.spaces(1);
        for (i, name) in self.cells.names.iter().enumerate() {
            let padding = self.cells.widths[i].saturating_sub(self.cells.name_widths[i]);
            let bar = match self.style {
                Style::Grid => self.paint.lines("┃").into_owned() + &space,
                Style::Compact => {
                    self.paint.lines(&format!("{}─", corners[usize::from(i > 0)])).into_owned()
                }
                Style::Space => self.paint.spaces(if i > 0 { 3 } else { 1 }),
            };
            out.extend_from_slice(bar.as_bytes());
            let padding = match self.style {
                Style::Compact => self.paint.lines(&"─".repeat(padding)).into_owned(),
                _ => self.paint.spaces(padding),
            };
            let name = self.paint.name(name);
            if self.cells.right[i] {
                out.extend_from_slice(padding.as_bytes());
                out.extend_from_slice(name.as_bytes());
            } else {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(padding.as_bytes());
            }
            match self.style {
                Style::Grid => out.extend_from_slice(space.as_bytes()),
                Style::Compact => out.extend_from_slice(self.paint.lines("─").as_bytes()),
                Style::Space => {}
            }
        }
        match self.style {
            Style::Grid => out.extend_from_slice(self.paint.lines("┃").as_bytes()),
            Style::Compact => out.extend_from_slice(self.paint.lines(corners[2]).as_bytes()),
            Style::Space => {}
        }
        out.push(b'\n');
    }

    fn header(&self, out: &mut Vec<u8>) {
        match self.style {
            Style::Grid => {
                self.line("┏", "━", "┳", "┓", out);
                self.names(NO_CORNERS, out);
                self.line("┡", "━", "╇", "┩", out);
            }
            Style::Compact => self.names(["┌", "┬", "┐"], out),
            Style::Space => {
                self.names(NO_CORNERS, out);
                out.push(b'\n');
            }
        }
    }

    /// A row: as many lines as its longest value has.
    fn row(&self, row: usize, label: &str, tip: Option<&str>, out: &mut Vec<u8>) {
        let pieces: Vec<Vec<&[u8]>> = self
            .cells
            .texts
            .iter()
            .map(|texts| match self.multiline {
                true => texts[row].split(|b| *b == b'\n').collect(),
                false => vec![texts[row].as_slice()],
            })
            .collect();
        // Behind a break at the end there is no further line.
        let full = |parts: &Vec<&[u8]>| match parts.last() {
            Some([]) => (parts.len() - 1).max(1),
            _ => parts.len(),
        };
        let lines = pieces.iter().map(full).max().unwrap_or(1);
        for line in 0..lines {
            out.extend_from_slice(if line == 0 { label } else { self.margin }.as_bytes());
            let mut at = self.cells.left;
            for (i, parts) in pieces.iter().enumerate() {
                self.cell(i, parts, line, at, out);
                at += self.cells.widths[i] + 3;
            }
            if self.style != Style::Space {
                out.extend_from_slice(self.paint.lines("│").as_bytes());
            }
            if let Some(tip) = tip.filter(|_| line == 0) {
                out.extend_from_slice(self.paint.aside(&format!(" -- {tip}")).as_bytes());
            }
            out.push(b'\n');
        }
    }

    fn cell(&self, i: usize, parts: &[&[u8]], line: usize, at: usize, out: &mut Vec<u8>) {
        let text = parts.get(line).copied().unwrap_or(b"");
        let space = self.paint.spaces(1);
        match self.style {
            Style::Space if i == 0 => {}
            Style::Space => out.extend_from_slice(space.as_bytes()),
            _ => out.extend_from_slice(self.paint.lines("│").as_bytes()),
        }
        let mark = |mark: &str| self.paint.aside(&self.paint.lines(mark)).into_owned();
        let continues = line > 0 && line < parts.len();
        let before = if continues { mark("↳") } else { space.clone() };
        out.extend_from_slice(before.as_bytes());
        let (kept, cut) = match text.strip_suffix(CUT_MARK.as_bytes()) {
            Some(kept) => (kept, true),
            None => (text, false),
        };
        let width = match self.multiline {
            true => line_width(kept, line, at),
            false => display_width_at(kept, at),
        };
        let padding = self.paint.spaces(self.cells.widths[i].saturating_sub(width));
        if self.cells.right[i] {
            out.extend_from_slice(padding.as_bytes());
        }
        self.paint.value(kept, self.cells.numbers[i], out);
        if cut {
            out.extend_from_slice(self.paint.lines(CUT_MARK).as_bytes());
        }
        if !self.cells.right[i] {
            out.extend_from_slice(padding.as_bytes());
        }
        if line + 1 < parts.len() {
            out.extend_from_slice(mark("↴").as_bytes());
        } else if !cut {
            out.extend_from_slice(space.as_bytes());
        }
    }

    fn end(&self, footer: bool, out: &mut Vec<u8>) {
        match (self.style, footer) {
            (Style::Grid, false) => self.line("└", "─", "┴", "┘", out),
            (Style::Compact, false) => self.line("└", "─", "┴", "┘", out),
            (Style::Space, false) => {}
            (Style::Grid, true) => {
                self.line("┢", "━", "╈", "┪", out);
                self.names(NO_CORNERS, out);
                self.line("┗", "━", "┻", "┛", out);
            }
            (Style::Compact, true) => self.names(["└", "┴", "┘"], out),
            (Style::Space, true) => {
                out.push(b'\n');
                self.names(NO_CORNERS, out);
                out.push(b'\n');
            }
        }
    }
}

impl FormatWriter for PrettyWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        self.schema = schema.to_vec();
        Ok(())
    }

    fn block(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        let first_max = self.rows_max - self.rows_max / 2;
        let room = first_max.saturating_sub(self.rows).min(block.rows());
        self.rows += block.rows();
        if room > 0 {
            self.first.push(block.slice(0, room));
        }
        let last_max = self.rows_max / 2;
        if room < block.rows() && last_max > 0 {
            let rest = (block.rows() - room).min(last_max);
            self.last.push_back(block.slice(block.rows() - rest, rest));
            self.drop_early(last_max);
        }
        Ok(())
    }

    fn totals(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        let mut text = b"\nTotals:\n".to_vec();
        self.table(&[block], None, block.rows(), &mut text);
        self.tail.extend_from_slice(&text);
        Ok(())
    }

    fn extremes(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        let mut text = b"\nExtremes:\n".to_vec();
        self.table(&[block], None, block.rows(), &mut text);
        self.tail.extend_from_slice(&text);
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        let first = self.first.iter().map(Block::rows).sum();
        let gap = (self.rows > self.rows_max && !self.last.is_empty()).then_some(first);
        let blocks: Vec<&Block> = self.first.iter().chain(&self.last).collect();
        self.table(&blocks, gap, self.rows, out);
        out.extend_from_slice(&self.tail);
        if self.rows > self.rows_max {
            if self.style == Style::Space {
                out.push(b'\n');
            }
            let line = format!("Showed {} out of {} rows.\n", self.rows_max, self.rows);
            out.extend_from_slice(line.as_bytes());
        }
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}
