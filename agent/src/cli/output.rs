//! How answers are shown: as a table for people, or as JSON or YAML for scripts.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Exit;
use super::client::{Agent, Client, ClientError, block_on};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Format {
    /// A table, as wide as the terminal.
    #[default]
    Table,
    /// A table with all columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// How to show an answer.
#[derive(Debug, clap::Args)]
pub(super) struct View {
    /// What to write.
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Format,
    /// Shows the answer again whenever it changes, looking every so many seconds.
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
        default_missing_value = "1", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(super) watch: Option<u32>,
}

/// Where a table goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Columns; `None` where nobody counts them.
    pub(super) width: Option<usize>,
    /// Whether colours are understood and wanted.
    pub(super) colour: bool,
    /// Whether all columns are wanted.
    pub(super) wide: bool,
}

impl Screen {
    /// The terminal of this process.
    pub(super) fn new(format: Format) -> Screen {
        let terminal = io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wide = format == Format::Wide;
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Screen {
            width: width.filter(|_| terminal && !wide),
            colour: terminal && !set("NO_COLOR") && !dumb,
            wide,
        }
    }
}

/// The meaning of a colour. None ever stands without a sign or a word that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Paint {
    #[default]
    Plain,
    Good,
    Bad,
    Doubtful,
    Dim,
    Title,
}

impl Paint {
    /// The text in this colour.
    pub(super) fn on(self, text: &str, screen: &Screen) -> String {
        let code = match self {
            _ if !screen.colour || text.is_empty() => return text.to_owned(),
            Paint::Plain => return text.to_owned(),
            Paint::Good => "32",
            Paint::Bad => "31",
            Paint::Doubtful => "33",
            Paint::Dim => "2",
            Paint::Title => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text of a peer or a file as a terminal may see it: without control characters.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// Text in lines of at most `width` characters, the further ones indented.
pub(super) fn wrap(text: &str, width: Option<usize>, indent: usize) -> String {
    let text = clean(text);
    let Some(width) = width else { return text };
    let room = width.saturating_sub(indent).max(20);
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

/// Writes to the standard output. `false` where nobody reads it any more, as behind `head`.
pub(super) fn print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// One document as a script wants it.
pub(super) fn structured<T: Serialize>(document: &T, format: Format, watched: bool) -> String {
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(document).map_err(|error| error.to_string()),
        _ if watched => serde_json::to_string(document).map_err(|error| error.to_string()),
        _ => serde_json::to_string_pretty(document).map_err(|error| error.to_string()),
    };
    match text {
        Ok(text) if format == Format::Yaml && watched => format!("---\n{}\n", text.trim_end()),
        Ok(text) => format!("{}\n", text.trim_end()),
        // What was read from JSON can be written again.
        Err(error) => format!("{error}\n"),
    }
}

/// Asks a reading question, shows the answer, once or as often as it changes, and says how the
/// command ends.
pub(super) fn read<T>(
    agent: &Agent,
    view: &View,
    uri: &str,
    table: impl Fn(&T, &Screen) -> String,
    end: impl Fn(&T) -> Exit,
) -> Exit
where
    T: DeserializeOwned + Serialize,
{
    let show = |document: &T| match view.output {
        Format::Table | Format::Wide => table(document, &Screen::new(view.output)),
        format => structured(document, format, view.watch.is_some()),
    };
    block_on(async {
        let answer = match view.watch {
            None => once(agent, uri, &show, &end).await,
            Some(seconds) => watch(agent, view, uri, seconds, &show).await,
        };
        answer.unwrap_or_else(|error| error.end())
    })
}

async fn once<T: DeserializeOwned>(
    agent: &Agent,
    uri: &str,
    show: &impl Fn(&T) -> String,
    end: &impl Fn(&T) -> Exit,
) -> Result<Exit, ClientError> {
    let mut client = Client::connect(agent).await?;
    let document = client.document(hyper::Method::GET, uri, Vec::new()).await?;
    print(&show(&document));
    Ok(end(&document))
}

async fn watch<T: DeserializeOwned>(
    agent: &Agent,
    view: &View,
    uri: &str,
    seconds: u32,
    show: &impl Fn(&T) -> String,
) -> Result<Exit, ClientError> {
    let joint = if uri.contains('?') { '&' } else { '?' };
    let client = Client::connect(agent).await?;
    let mut lines = client.lines(&format!("{uri}{joint}watch={seconds}")).await?;
    let table = matches!(view.output, Format::Table | Format::Wide);
    let redraw = table && io::stdout().is_terminal();
    loop {
        let document = lines.next().await?;
        let text = show(&document);
        // Home, then clear: the whole screen and what was scrolled.
        let before = if redraw { "\x1b[H\x1b[2J\x1b[3J" } else { "" };
        let after = if table && !redraw { "\n" } else { "" };
        if !print(&format!("{before}{text}{after}")) {
            return Ok(Exit::Yes);
        }
    }
}
