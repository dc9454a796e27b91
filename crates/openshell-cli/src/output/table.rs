//! Aligned columns, two spaces apart, that fit the terminal: a cell that is too wide for its column goes
//! on below. Where there is no terminal a row is one line, whatever its width.

use comfy_table::{Cell, ContentArrangement, LineStyle, Table, TableStyle};

use super::Paint;

/// Stands in the line under the header, by which the end of the header is found.
const RULE: char = '\u{1}';
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill(RULE));
const GAP: u16 = 2;

/// A header line and the rows under it, each ending in a newline. The last column is not padded.
pub(crate) fn table(headers: &[&str], rows: &[Vec<String>], indent: &str, paint: Paint) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    match paint.width() {
        None => table.set_content_arrangement(ContentArrangement::Disabled),
        Some(width) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width.saturating_sub(u16::try_from(indent.len()).unwrap_or(u16::MAX)).max(1)),
    };
    table.set_header(headers.iter().map(Cell::new));
    for row in rows {
        table.add_row(row.iter().take(headers.len()).map(Cell::new));
    }
    let last = headers.len().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { GAP }));
    }
    let mut text = String::new();
    let mut is_header = true;
    for line in table.lines() {
        if line.starts_with(RULE) {
            is_header = false;
            continue;
        }
        let line = line.trim_end();
        let line = if is_header { paint.bold(line) } else { line.to_owned() };
        text.push_str(&format!("{indent}{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::output::Paint;

    fn rows() -> Vec<Vec<String>> {
        vec![vec!["gh".into(), "github".into(), "1".into()], vec!["größer".into(), "x".into(), String::new()]]
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_two_spaces_apart() {
        let text = table(&["NAME", "TYPE", "KEYS"], &rows(), "", Paint::plain());
        assert_eq!(text, "NAME    TYPE    KEYS\ngh      github  1\ngrößer  x\n");
    }

    #[test]
    fn a_header_without_rows_is_one_line() {
        assert_eq!(table(&["NAME", "TYPE"], &[], "  ", Paint::plain()), "  NAME  TYPE\n");
    }

    #[test]
    fn the_header_is_bold_with_its_padding_inside_the_escapes() {
        let text = table(&["NAME", "TYPE"], &rows(), "", Paint::colourful());
        assert!(text.starts_with("\x1b[1mNAME    TYPE\x1b[0m\ngh      github\n"), "{text:?}");
    }

    #[test]
    fn a_table_fits_the_terminal_and_loses_nothing() {
        let words = "one two three four five six seven eight nine ten";
        let rows = vec![vec!["gh".to_owned(), words.to_owned(), "last".to_owned()]];
        let narrow = table(&["NAME", "DESCRIPTION", "END"], &rows, "  ", Paint::within(30));
        assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
        assert!(narrow.lines().count() > 2, "{narrow}");
        for word in words.split(' ').chain(["gh", "last"]) {
            assert!(narrow.contains(word), "{narrow}");
        }
        let wide = table(&["NAME", "DESCRIPTION", "END"], &rows, "  ", Paint::plain());
        assert_eq!(wide.lines().count(), 2, "off a terminal a row is one line: {wide}");
    }

    #[test]
    fn nothing_is_too_narrow() {
        let text = table(&["NAME", "TYPE", "KEYS"], &rows(), "    ", Paint::within(3));
        assert!(text.lines().count() > 3, "{text}");
    }
}
