//! Tables for people: columns without borders.

use comfy_table::{CellAlignment, Table, presets};

/// Creates a table of which the columns named `right` are aligned right. Cells are never wrapped: a reader may search the output.
#[must_use]
pub fn table(header: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_without_borders() {
        let rows = [vec!["1".to_owned(), "a".to_owned(), "x".to_owned()], vec!["10".into(), "bc".into(), "y z".into()]];
        assert_eq!(table(&["no", "b", "c"], &[0], rows.clone()), "no  b   c\n 1  a   x\n10  bc  y z");
        assert_eq!(table(&[], &[], rows), "1   a   x\n10  bc  y z");
    }
}
