//! Aligned columns, two spaces apart. Cells are one line each; nothing is cut here.

use super::Paint;

/// A header line and the rows under it, each ending in a newline. The last column is not padded.
pub(crate) fn table(headers: &[&str], rows: &[Vec<String>], indent: &str, paint: Paint) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headers.get(column).map(|header| header.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headers.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let last = cells.len().saturating_sub(1);
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let missing = widths[column].saturating_sub(cell.chars().count());
            if column == last { (*cell).to_owned() } else { format!("{cell}{}", " ".repeat(missing)) }
        });
        padded.collect::<Vec<_>>()
    };
    let header: Vec<_> = line(headers.to_vec()).iter().map(|cell| paint.bold(cell)).collect();
    let mut text = format!("{indent}{}\n", header.join("  "));
    for row in rows {
        let cells = line(row.iter().take(headers.len()).map(String::as_str).collect());
        text.push_str(&format!("{indent}{}\n", cells.join("  ").trim_end()));
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
    fn padding_is_inside_the_escapes() {
        let text = table(&["NAME", "TYPE"], &rows(), "", Paint::colourful());
        assert!(text.starts_with("\x1b[1mNAME  \x1b[0m  \x1b[1mTYPE\x1b[0m\n"), "{text:?}");
    }
}
