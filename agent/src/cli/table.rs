//! Tables: aligned, without lines, as wide as the screen. Where there is too little room, texts
//! that bear it are cut, then the least needed columns go.

use super::output::{Paint, Screen, clean};

/// Between columns.
const GAP: usize = 2;

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    right: bool,
    wide: bool,
    /// May be cut down to so many characters.
    least: Option<usize>,
    /// The higher, the sooner it goes; 0 stays.
    rank: u8,
}

/// A column of texts.
pub(super) const fn text(title: &'static str) -> Column {
    Column { title, right: false, wide: false, least: None, rank: 0 }
}

/// A column of numbers.
pub(super) const fn number(title: &'static str) -> Column {
    Column { right: true, ..text(title) }
}

impl Column {
    /// Only where all columns are wanted.
    pub(super) const fn wide(self) -> Column {
        Column { wide: true, ..self }
    }

    /// Its texts may be cut down to so many characters.
    pub(super) const fn cut(self, least: usize) -> Column {
        Column { least: Some(least), ..self }
    }

    /// It may go; the higher, the sooner.
    pub(super) const fn rank(self, rank: u8) -> Column {
        Column { rank, ..self }
    }
}

/// One field.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    paint: Paint,
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: clean(&text.to_string()), paint: Paint::Plain }
    }
}

/// A coloured field.
pub(super) fn painted(text: &str, paint: Paint) -> Cell {
    Cell { text: clean(text), paint }
}

/// Columns and rows.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(columns: [Column; N]) -> Table<N> {
        Table { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The table as text, a line feed after each line. A column without any content is left out.
    pub(super) fn render(&self, screen: &Screen) -> String {
        let mut shown: Vec<(usize, Column, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| screen.wide || !column.wide)
            .map(|(index, column)| (index, *column, self.natural(index, column)))
            .filter(|(_, column, width)| *width > 0 || column.rank == 0 && self.rows.is_empty())
            .map(|(index, column, width)| (index, column, width.max(length(column.title))))
            .collect();
        if let Some(room) = screen.width {
            fit(&mut shown, room);
        }
        let titles = shown.iter().map(|(_, column, width)| {
            (Cell { text: column.title.to_owned(), paint: Paint::Dim }, *column, *width)
        });
        let mut out = line(titles, screen);
        for row in &self.rows {
            let cells = shown.iter().filter_map(|(index, column, width)| {
                row.get(*index).map(|cell| (cell.clone(), *column, *width))
            });
            out.push_str(&line(cells, screen));
        }
        out
    }

    /// The widest content of a column; 0 where it has none.
    fn natural(&self, index: usize, _column: &Column) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        cells.map(|cell| length(&cell.text)).max().unwrap_or(0)
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Cuts the widest first, then lets columns go until the rest fits.
fn fit(shown: &mut Vec<(usize, Column, usize)>, room: usize) {
    let total = |shown: &[(usize, Column, usize)]| {
        let widths: usize = shown.iter().map(|(_, _, width)| width).sum();
        widths + GAP * shown.len().saturating_sub(1)
    };
    let least = |column: &Column, width: usize| {
        column.least.map_or(width, |least| least.max(length(column.title)).min(width))
    };
    loop {
        let smallest: Vec<_> = shown
            .iter()
            .map(|(index, column, width)| (*index, *column, least(column, *width)))
            .collect();
        if total(&smallest) <= room {
            break;
        }
        let goes = shown
            .iter()
            .enumerate()
            .filter(|(_, (_, column, _))| column.rank > 0)
            .max_by_key(|(_, (_, column, _))| column.rank)
            .map(|(at, _)| at);
        match goes {
            Some(at) => drop(shown.remove(at)),
            None => break,
        }
    }
    let mut over = total(shown).saturating_sub(room);
    while over > 0 {
        let widest = shown
            .iter_mut()
            .filter(|(_, column, width)| *width > least(column, *width).max(1))
            .max_by_key(|(_, _, width)| *width);
        let Some((_, _, width)) = widest else { break };
        *width -= 1;
        over -= 1;
    }
}

fn line(cells: impl Iterator<Item = (Cell, Column, usize)>, screen: &Screen) -> String {
    let mut out = String::new();
    // Blanks wait until something follows them: no line ends in one.
    let mut blanks = 0;
    for (cell, column, width) in cells {
        let text = if length(&cell.text) > width {
            let kept: String = cell.text.chars().take(width.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        } else {
            cell.text
        };
        let pad = width.saturating_sub(length(&text));
        if column.right {
            blanks += pad;
        }
        if !text.is_empty() {
            out.push_str(&" ".repeat(blanks));
            out.push_str(&cell.paint.on(&text, screen));
            blanks = 0;
        }
        blanks += GAP + if column.right { 0 } else { pad };
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<4> {
        let mut table = Table::new([
            text("NAME").cut(6),
            number("COUNT").rank(2),
            text("EMPTY"),
            text("WHY").cut(10).rank(1),
        ]);
        table.row(["node-a".into(), 7.into(), "".into(), "all is well here".into()]);
        table.row(["a-longer-name".into(), 12_345.into(), "".into(), "".into()]);
        table
    }

    fn render(width: Option<usize>) -> String {
        table().render(&Screen { width, colour: false, wide: false })
    }

    #[test]
    fn shrinks_to_the_room_there_is() {
        assert_eq!(
            render(None),
            "NAME           COUNT  WHY\n\
             node-a             7  all is well here\n\
             a-longer-name  12345\n"
        );
        assert_eq!(
            render(Some(30)),
            "NAME         COUNT  WHY\n\
             node-a           7  all is we…\n\
             a-longer-n…  12345\n"
        );
        assert_eq!(render(Some(20)), "NAME      WHY\nnode-a    all is we…\na-longe…\n");
        assert_eq!(render(Some(8)), "NAME\nnode-a\na-longe…\n");
        for width in 6..60 {
            let widest = render(Some(width)).lines().map(length).max();
            assert!(widest <= Some(width), "{widest:?} of {width}");
        }
    }

    #[test]
    fn colours_do_not_count() {
        let mut table = Table::new([text("A"), text("B")]);
        table.row([painted("✓ yes", Paint::Good), "b".into()]);
        let screen = Screen { width: Some(10), colour: true, wide: false };
        assert_eq!(
            table.render(&screen),
            "\x1b[2mA\x1b[0m      \x1b[2mB\x1b[0m\n\x1b[32m✓ yes\x1b[0m  b\n"
        );
    }

    #[test]
    fn what_a_peer_says_does_not_reach_the_terminal_raw() {
        let mut table = Table::new([text("A")]);
        table.row(["\x1b[31mred\x07".into()]);
        let screen = Screen { width: None, colour: false, wide: false };
        assert_eq!(table.render(&screen), "A\n [31mred \n");
    }
}
