//! Finds the command blocks in a Markdown file.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use super::{Block, Content, Mark, Runner};

/// Language names for shell commands. A block that a test runs must use the first name, `sh`.
const SHELLS: [&str; 6] = ["sh", "bash", "shell", "zsh", "console", "shell-session"];

/// Language names for plain text.
const TEXT: [&str; 4] = ["text", "txt", "plain", "plaintext"];

/// A line is a command if its first word is in this list. A line that starts with `./` is a command too.
const PROGRAMS: [&str; 24] = [
    "$",
    "apt",
    "apt-get",
    "bash",
    "bin/sightline",
    "cargo",
    "cd",
    "curl",
    "docker",
    "export",
    "git",
    "go",
    "grep",
    "helm",
    "kind",
    "kubectl",
    "make",
    "npm",
    "otelcol",
    "rustup",
    "sh",
    "sightline",
    "sudo",
    "target/release/sightline",
];

/// Adds the command blocks and the file blocks in `text` to `blocks`. Adds a message to `problems` for each invalid
/// block. `page` is the path of the document.
pub(super) fn parse(page: &str, text: &str, blocks: &mut Vec<Block>, problems: &mut Vec<String>) {
    let mut events = Parser::new(text).into_offset_iter();
    while let Some((event, range)) = events.next() {
        let Event::Start(Tag::CodeBlock(kind)) = event else { continue };
        let mut code = String::new();
        while let Some((Event::Text(part), _)) = events.next() {
            code.push_str(&part);
        }
        let line = 1 + text[..range.start].matches('\n').count();
        match classify(&kind, &text[range], &code) {
            Ok(Some(content)) => blocks.push(Block { page: page.to_owned(), line, content, text: code }),
            Ok(None) => {}
            Err(problem) => problems.push(format!("{page}:{line}: {problem}")),
        }
    }
}

/// Returns the content of a command block or a file block, and `None` for any other block. Fails if the block is
/// invalid.
fn classify(kind: &CodeBlockKind<'_>, source: &str, code: &str) -> Result<Option<Content>, String> {
    let has_commands = code.lines().any(|line| is_command(line.trim_start()));
    let CodeBlockKind::Fenced(info) = kind else {
        return if has_commands { Err("use a fenced block for commands".into()) } else { Ok(None) };
    };
    if !is_closed(source) {
        return Err("this block has no closing fence".into());
    }
    // The language ends at white space or, as in rustdoc, at a comma.
    let language = info.split([' ', '\t', ',']).next().unwrap_or_default();
    let rest = info[language.len()..].trim();
    if language.is_empty() {
        return Err("name the language of this block: `sh` for commands, `text` for output".into());
    }
    if TEXT.contains(&language) && has_commands {
        return Err("this block contains commands: use the language `sh`".into());
    }
    if !SHELLS.contains(&language) {
        return Ok(rest.strip_prefix("file=").map(|path| Content::File(path.to_owned())));
    }
    match mark(rest)? {
        Mark::Test(_) if language != SHELLS[0] => Err("a test runs this block: use the language `sh`".into()),
        mark => Ok(Some(Content::Commands(mark))),
    }
}

/// Whether the last line of a fenced block is a closing fence. Without a closing fence, a block ends at the end of the
/// list item, the block quote or the document that contains the block.
fn is_closed(source: &str) -> bool {
    let fence = &source[..source.len() - source.trim_start_matches(['`', '~']).len()];
    let last = source.lines().skip(1).last().unwrap_or_default();
    last.trim_start_matches(['>', ' ']).starts_with(fence)
}

fn mark(text: &str) -> Result<Mark, String> {
    if let Some(reason) = text.strip_prefix("no-run:") {
        let reason = reason.trim();
        return if reason.is_empty() {
            Err("give the reason after `no-run:`".into())
        } else {
            Ok(Mark::NoRun(reason.to_owned()))
        };
    }
    let named = text.strip_prefix("test=");
    named
        .and_then(|name| Runner::ALL.into_iter().find(|runner| runner.name() == name))
        .map(Mark::Test)
        .ok_or_else(|| {
            let runners = Runner::ALL.map(|runner| format!("`test={}`", runner.name())).join(", ");
            format!(
                "state how the commands are tested: after the language, write {runners} or `no-run: REASON`"
            )
        })
}

fn is_command(line: &str) -> bool {
    line.starts_with("./") || line.split_whitespace().next().is_some_and(|word| PROGRAMS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<Block>, Vec<String>) {
        let (mut blocks, mut problems) = (Vec::new(), Vec::new());
        parse("page.md", text, &mut blocks, &mut problems);
        (blocks, problems)
    }

    fn block(line: usize, content: Content, text: &str) -> Block {
        Block { page: "page.md".into(), line, content, text: text.into() }
    }

    /// Returns the only problem that is found in `text`.
    fn problem(text: &str) -> String {
        let (blocks, mut problems) = parsed(text);
        assert_eq!((blocks.len(), problems.len()), (0, 1), "{text}: {blocks:?}, {problems:?}");
        problems.remove(0)
    }

    #[test]
    fn finds_each_kind_of_mark() {
        let page = "# Page\n\n```sh test=e2e\none\n\ntwo\n```\n\
                    text\n~~~~bash no-run:  it waits for Ctrl-C \nthree\n~~~\n~~~~\n\
                    ```sh test=kind-e2e\n```\n```sh test=ci\nmake test\n```\n";
        let (blocks, problems) = parsed(page);
        assert_eq!(problems, Vec::<String>::new());
        let expected = [
            block(3, Content::Commands(Mark::Test(Runner::E2e)), "one\n\ntwo\n"),
            block(9, Content::Commands(Mark::NoRun("it waits for Ctrl-C".into())), "three\n~~~\n"),
            block(13, Content::Commands(Mark::Test(Runner::KindE2e)), ""),
            block(15, Content::Commands(Mark::Test(Runner::Ci)), "make test\n"),
        ];
        assert_eq!(blocks, expected);
    }

    #[test]
    fn removes_the_indentation_of_a_block_in_a_list() {
        let (blocks, problems) =
            parsed("- Run:\n\n  ```sh test=e2e\n  for a in b; do\n    c\n  done\n  ```\n");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            blocks,
            [block(3, Content::Commands(Mark::Test(Runner::E2e)), "for a in b; do\n  c\ndone\n")]
        );
    }

    #[test]
    fn finds_a_block_in_a_block_quote() {
        let (blocks, problems) = parsed("> text\n>\n> ```sh test=ci\n> make up\n> ```\n");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(blocks, [block(3, Content::Commands(Mark::Test(Runner::Ci)), "make up\n")]);
    }

    #[test]
    fn finds_files() {
        let (blocks, problems) = parsed("```rust file=src/main.rs\nfn main() {}\n```\n");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(blocks, [block(1, Content::File("src/main.rs".into()), "fn main() {}\n")]);
    }

    #[test]
    fn ignores_other_languages() {
        for page in ["```rust,ignore\nmake();\n```\n", "```yaml\nmake: 1\n```\n", "```text\nmaker\n```\n"] {
            assert_eq!(parsed(page), (Vec::new(), Vec::new()), "{page}");
        }
    }

    #[test]
    fn rejects_a_block_without_a_valid_mark() {
        for info in [
            "sh",
            "bash",
            "console",
            "sh cluster",
            "sh test=",
            "sh test=other",
            "sh test=e2e twice",
            "sh,no-run: no",
        ] {
            let problem = problem(&format!("\n```{info}\nmake\n```\n"));
            assert!(
                problem.starts_with("page.md:2: state how the commands are tested: "),
                "{info}: {problem}"
            );
        }
        assert_eq!(problem("```sh no-run:\nmake\n```\n"), "page.md:1: give the reason after `no-run:`");
        let problem = problem("```console test=e2e\n$ make\n```\n");
        assert_eq!(problem, "page.md:1: a test runs this block: use the language `sh`");
    }

    #[test]
    fn rejects_commands_in_other_places() {
        let no_language = "page.md:1: name the language of this block: `sh` for commands, `text` for output";
        assert_eq!(problem("```\nmake\n```\n"), no_language);
        for line in ["make up", "$ anything", "  kubectl get pods", "./regenerate"] {
            let problem = problem(&format!("```text\noutput\n{line}\n```\n"));
            assert_eq!(problem, "page.md:1: this block contains commands: use the language `sh`", "{line}");
        }
        let indented = "page.md:3: use a fenced block for commands";
        assert_eq!(problem("text\n\n    make up\n"), indented);
        assert_eq!(
            problem("- item\n\ntext\n\n    more\n    make up\n").as_str(),
            "page.md:5: use a fenced block for commands"
        );
    }

    #[test]
    fn accepts_indented_text_that_is_not_a_command() {
        for page in
            ["text\n\n    client ──▶ service\n", "- item\n\n    make is a program\n", "text\n    make up\n"]
        {
            assert_eq!(parsed(page), (Vec::new(), Vec::new()), "{page}");
        }
    }

    #[test]
    fn rejects_malformed_fences() {
        assert_eq!(problem("```sh test=e2e\nmake\n``\n"), "page.md:1: this block has no closing fence");
        // The info string after a fence of backticks cannot contain a backtick. So the first line is text, and the last
        // line opens a block.
        let problem = problem("```sh no-run: `make` is slow\nmake\n```\n");
        assert_eq!(problem, "page.md:3: this block has no closing fence");
    }
}
