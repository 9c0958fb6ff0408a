//! Tables, sizes and times for people.

/// Columns of text padded to their widest cell, two spaces apart, without trailing spaces.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or_default()).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
        })
        .collect()
}

/// A table in Markdown, cells escaped.
#[must_use]
pub fn markdown_table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let escaped = |cell: &String| markdown_escape(&cell.replace('\n', " "));
    let mut out = line(&head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    out.push('|');
    out.push_str(&"---|".repeat(head.len()));
    out.push('\n');
    for row in rows {
        out.push_str(&line(&row.iter().map(escaped).collect::<Vec<_>>()));
    }
    out
}

/// Keeps text from being read as Markdown or HTML: names of files and branches are strangers'.
#[must_use]
pub fn markdown_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '&' | '$' | '~') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Bytes for people: three digits at most, decimal units as registries show them.
#[must_use]
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.1} GB", value / 1e9),
    }
}

/// A time for people.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_for_people() {
        assert_eq!([size(999), size(8_100_000), size(1_200)], ["999 B", "8.1 MB", "1.2 kB"]);
        assert_eq!([seconds(0.42), seconds(41.2), seconds(125.0)], ["0.4 s", "41 s", "2 min 05 s"]);
    }

    #[test]
    fn cells_cannot_break_a_table() {
        assert_eq!(
            markdown_table(&["a", "b"], &[vec!["x|y".into(), "1\n2".into()]]),
            "| a | b |\n|---|---|\n| x\\|y | 1 2 |\n"
        );
        let image = markdown_table(&["a"], &[vec!["![x](http://evil) <img src=x> `a`".into()]]);
        assert!(image.contains("!\\[x\\](http://evil) \\<img src=x\\> \\`a\\`"), "{image}");
    }
}
