//! What of a page in Markdown is a link, a heading, or a block of code.

/// A block between fences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the opening fence, such as `sh` or `sh run`.
    pub info: String,
    /// The lines within, without the fence's indentation.
    pub text: String,
    /// The line of the opening fence, from 1.
    pub line: usize,
}

/// The fence that a line opens or closes: its character and length.
fn fence(line: &str) -> Option<(char, usize)> {
    let text = line.trim_start();
    let mark = text.chars().next().filter(|mark| ['`', '~'].contains(mark))?;
    let length = text.chars().take_while(|c| *c == mark).count();
    (length >= 3).then_some((mark, length))
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Prose,
    Open,
    Code,
    Close,
}

/// The lines of a page, line ends included, and what each is.
fn lines(text: &str) -> impl Iterator<Item = (&str, Kind)> {
    let mut open: Option<(char, usize)> = None;
    text.split_inclusive('\n').map(move |line| {
        let kind = match (open, fence(line)) {
            (None, None) => Kind::Prose,
            (None, Some(fence)) => {
                open = Some(fence);
                Kind::Open
            }
            (Some((mark, length)), Some((other, longer)))
                if mark == other && longer >= length && line.trim().chars().all(|c| c == mark) =>
            {
                open = None;
                Kind::Close
            }
            (Some(_), _) => Kind::Code,
        };
        (line, kind)
    })
}

/// The blocks of code of a page, in order.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut indent = 0;
    for (number, (line, kind)) in lines(text).enumerate() {
        match kind {
            Kind::Prose | Kind::Close => {}
            Kind::Open => {
                let info = line.trim().trim_start_matches(['`', '~']).trim().to_owned();
                indent = line.len() - line.trim_start().len();
                blocks.push(Block { info, text: String::new(), line: number + 1 });
            }
            Kind::Code => {
                let spaces = line.len() - line.trim_start_matches(' ').len();
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(&line[spaces.min(indent)..]);
                }
            }
        }
    }
    blocks
}

/// The page with the target of every link of its prose replaced by what `change` says; `None`
/// leaves it.
pub fn change_links(text: &str, mut change: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for (line, kind) in lines(text) {
        if kind != Kind::Prose {
            out.push_str(line);
            continue;
        }
        // Between backticks stands code: every second piece.
        for (at, piece) in line.split('`').enumerate() {
            if at > 0 {
                out.push('`');
            }
            if at % 2 == 1 {
                out.push_str(piece);
                continue;
            }
            let mut pieces = piece.split("](");
            out.push_str(pieces.next().unwrap_or_default());
            for rest in pieces {
                out.push_str("](");
                let (target, after) =
                    rest.split_once(')').map_or((rest, None), |(t, a)| (t, Some(a)));
                match after {
                    Some(after) => {
                        out.push_str(&change(target).unwrap_or_else(|| target.to_owned()));
                        out.push(')');
                        out.push_str(after);
                    }
                    None => out.push_str(rest),
                }
            }
        }
    }
    out
}

/// The targets of the links of a page's prose.
pub fn targets(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    change_links(text, |target| {
        targets.push(target.to_owned());
        None
    });
    targets
}

/// The anchors of a page's headings, as they are made from their words.
pub fn anchors(text: &str) -> Vec<String> {
    let prose = lines(text).filter(|(_, kind)| *kind == Kind::Prose).map(|(line, _)| line);
    let headings = prose.filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A heading, in `code`\n[a](x.md) and `[b](y.md)`\n\n1. One\n\n   ```sh run\n   \
                        ls\n     more # [c](z.md)\n   ```\n````text\n```\n````\n```\nlast\n```\n";

    #[test]
    fn code_is_no_prose() {
        assert_eq!(targets(PAGE), ["x.md"]);
        assert_eq!(anchors(PAGE), ["a-heading-in-code"]);
        let changed = change_links(PAGE, |target| Some(format!("../{target}")));
        assert_eq!(changed, PAGE.replace("(x.md)", "(../x.md)"));
    }

    #[test]
    fn blocks_come_without_their_indentation() {
        let blocks = blocks(PAGE);
        let seen: Vec<_> = blocks
            .iter()
            .map(|block| (block.info.as_str(), block.text.as_str(), block.line))
            .collect();
        assert_eq!(
            seen,
            [("sh run", "ls\n  more # [c](z.md)\n", 6), ("text", "```\n", 10), ("", "last\n", 13)]
        );
    }
}
