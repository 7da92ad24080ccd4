//! Trees to text, exactly as ClickHouse's formatter prints them: on one line
//! (`formatQuerySingleLine`) or on several (`formatQuery`, SHOW CREATE).
//!
//! `Printer` carries the text and the indentation; each file prints one family of nodes. Parentheses are
//! printed where ClickHouse does: around operators that are operands, and where the text had them.

mod access;
mod alter;
mod create;
mod data_type;
mod expr;
mod query;
mod quote;
mod statement;

use super::ast::{AlterCommand, Expr, IndexDecl, Query, Statement, WindowSpec};
use super::parser::ParsedStatement;

pub(super) use expr::float_text;
pub use expr::literal_value;
pub use quote::{always_quoted, quote_name, quote_string};
pub(in crate::sql) use statement::view_explain;
pub use statement::{VIEW_EXPLAIN, explain_words};

/// A statement without FORMAT and SETTINGS behind it.
pub fn statement(statement: &Statement, pretty: bool) -> String {
    let mut printer = Printer::new(pretty);
    printer.statement(statement);
    printer.out
}

/// A statement with what stands behind it.
pub fn parsed(parsed: &ParsedStatement, pretty: bool) -> String {
    let mut printer = Printer::new(pretty);
    printer.parsed(parsed);
    printer.out
}

/// A query.
pub fn query(query: &Query, pretty: bool) -> String {
    let mut printer = Printer::new(pretty);
    printer.query(query);
    printer.out
}

/// The SELECT of a projection on one line: its ORDER BY is a key, without directions.
pub fn projection(query: &Query) -> String {
    let mut printer = Printer::new(false);
    printer.projection = true;
    printer.query(query);
    printer.out
}

/// An expression on one line, with its alias.
pub fn expr(expr: &Expr) -> String {
    let mut printer = Printer::new(false);
    printer.expr(expr);
    printer.out
}

/// ` OVER (…)` as it stands in a column's name.
pub(super) fn over_in_name(over: &WindowSpec) -> String {
    let mut printer = Printer::new(false);
    printer.names = true;
    printer.word(" OVER ");
    match over {
        WindowSpec::Named(window) => printer.name(window),
        WindowSpec::Inline(window) => printer.window(window),
    }
    printer.out
}

/// `name expr TYPE t GRANULARITY n`, as it stands behind INDEX.
pub fn index_body(index: &IndexDecl) -> String {
    let mut printer = Printer::new(false);
    printer.index_body(index);
    printer.out
}

/// A command of ALTER, as `system.mutations` shows it, without parentheses.
pub fn alter_command(command: &AlterCommand) -> String {
    let mut printer = Printer::new(true);
    printer.alter_command(command);
    printer.out
}

/// Text under construction.
struct Printer {
    out: String,
    pretty: bool,
    indent: usize,
    /// Which item of its list is being printed: a lambda that is not the first gets parentheses.
    list_index: usize,
    /// Expressions are printed as result columns are called: a window in a column's name.
    names: bool,
    /// Inside a projection, where ORDER BY is a key and has no directions.
    projection: bool,
}

impl Printer {
    fn new(pretty: bool) -> Printer {
        Printer {
            out: String::new(),
            pretty,
            indent: 0,
            list_index: 0,
            names: false,
            projection: false,
        }
    }

    fn word(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn name(&mut self, name: &str) {
        quote::push_name(name, &mut self.out);
    }

    fn string(&mut self, text: &str) {
        quote::push_string(text.as_bytes(), &mut self.out);
    }

    /// A line break with indentation, or a blank on one line.
    fn line(&mut self) {
        if !self.pretty {
            self.out.push(' ');
            return;
        }
        self.out.push('\n');
        for _ in 0..self.indent {
            self.out.push_str("    ");
        }
    }

    /// A line break when pretty, nothing otherwise.
    fn soft_line(&mut self) {
        if self.pretty {
            self.line();
        }
    }

    fn separated<T>(
        &mut self,
        items: &[T],
        separator: &str,
        mut print: impl FnMut(&mut Printer, &T),
    ) {
        let outer = self.list_index;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.word(separator);
            }
            self.list_index = i;
            print(self, item);
        }
        self.list_index = outer;
    }

    /// A list behind a keyword: one item on the same line, several on lines of their own.
    fn list<T>(&mut self, items: &[T], print: impl FnMut(&mut Printer, &T)) {
        if items.len() < 2 || !self.pretty {
            self.word(" ");
            self.indent += 1;
            self.separated(items, ", ", print);
            self.indent -= 1;
            return;
        }
        self.lines(items, print);
    }

    /// A list with every item on a line of its own, when pretty.
    fn lines<T>(&mut self, items: &[T], mut print: impl FnMut(&mut Printer, &T)) {
        let outer = self.list_index;
        self.indent += 1;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.word(",");
            }
            self.line();
            self.list_index = i;
            print(self, item);
        }
        self.indent -= 1;
        self.list_index = outer;
    }

    /// `(query)`, on lines of its own when pretty.
    fn subquery(&mut self, query: &Query) {
        let outer = std::mem::take(&mut self.list_index);
        self.word("(");
        self.indent += 1;
        self.soft_line();
        self.query(query);
        self.indent -= 1;
        self.soft_line();
        self.word(")");
        self.list_index = outer;
    }
}
