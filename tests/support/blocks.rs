//! The commands of a page of the documents: its fenced blocks in order, each with the text around it,
//! and the code in its sentences. Pure.
//!
//! A block for a shell is run by a test. If no test can run it, a comment before it says why, which
//! the rendered page does not show: `<!-- not run: REASON -->`.

#![allow(dead_code, reason = "two test programs have a copy each, and neither needs all of it")]

/// Languages of blocks that are typed into a shell. A `console` shows prompts and answers, too.
const SHELLS: [&str; 3] = ["sh", "bash", "console"];
const PROMPTS: [&str; 2] = ["# ", "$ "];

/// A heading and what is below it, up to the next heading of any level.
#[derive(Debug, Default)]
pub struct Section {
    /// Without its number signs.
    pub heading: String,
    /// The text before, between and after the blocks: one passage more than there are blocks. Words
    /// are one space apart.
    pub passages: Vec<String>,
    /// In their order.
    pub blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, Default)]
pub struct Block {
    /// Line of the page on which it begins.
    pub line: usize,
    /// What is behind the fence.
    pub language: String,
    /// Why no test runs it.
    pub not_run: Option<String>,
    /// Its lines, without the indentation of the list that it stands in.
    pub text: String,
}

/// The sections of a page. The first one has no heading.
pub fn sections(page: &str) -> Vec<Section> {
    let mut done = Vec::new();
    let mut section = Section::new("");
    let mut not_run = None;
    let mut lines = page.lines().enumerate();
    while let Some((before, line)) = lines.next() {
        if let Some(fence) = Fence::open(line) {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| !fence.is_closed_by(line));
            let text = inside.map(|line| fence.unindented(line).to_owned() + "\n").collect();
            let language = fence.language.to_owned();
            section.blocks.push(Block { line: before + 1, language, not_run: not_run.take(), text });
            section.passages.push(String::new());
        } else if line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim();
            done.push(std::mem::replace(&mut section, Section::new(heading)));
        } else if let Some(reason) = reason(line) {
            not_run = Some(reason.to_owned());
        } else if !line.trim().is_empty() {
            not_run = None; // It is not before a block.
            section.continue_passage(line);
        }
    }
    done.push(section);
    done
}

/// The text of a comment that says why the next block is not run.
fn reason(line: &str) -> Option<&str> {
    line.trim().strip_prefix("<!-- not run:")?.strip_suffix("-->").map(str::trim)
}

impl Section {
    fn new(heading: &str) -> Self {
        Self { heading: heading.to_owned(), passages: vec![String::new()], ..Self::default() }
    }

    fn continue_passage(&mut self, line: &str) {
        let Some(passage) = self.passages.last_mut() else { return };
        for word in line.split_whitespace() {
            passage.push_str(if passage.is_empty() { "" } else { " " });
            passage.push_str(word);
        }
    }

    /// The blocks that are run.
    pub fn scripts(&self) -> Vec<String> {
        let run = self.blocks.iter().filter(|block| block.is_for_a_shell() && block.not_run.is_none());
        run.map(Block::script).collect()
    }

    /// Whether its sentences have these words in this order.
    pub fn says(&self, words: &str) -> bool {
        self.passages.iter().any(|passage| passage.contains(words))
    }

    /// The code in its sentences, such as a command.
    pub fn code(&self) -> impl Iterator<Item = &str> {
        self.passages.iter().flat_map(|passage| passage.split('`').skip(1).step_by(2))
    }
}

impl Block {
    /// Whether it is typed into a shell.
    pub fn is_for_a_shell(&self) -> bool {
        SHELLS.contains(&self.language.as_str())
    }

    /// What is typed: of a `console` the lines with a prompt, without it.
    pub fn script(&self) -> String {
        if self.language != "console" {
            return self.text.clone();
        }
        self.text.lines().filter_map(typed).map(|line| line.to_owned() + "\n").collect()
    }

    /// What a `console` answers.
    pub fn answer(&self) -> Vec<&str> {
        self.text.lines().filter(|line| typed(line).is_none()).collect()
    }
}

fn typed(line: &str) -> Option<&str> {
    PROMPTS.iter().find_map(|prompt| line.strip_prefix(prompt))
}

/// The line with which a block begins.
struct Fence<'a> {
    indentation: usize,
    backticks: &'a str,
    language: &'a str,
}

impl<'a> Fence<'a> {
    fn open(line: &'a str) -> Option<Self> {
        let rest = line.trim_start();
        let language = rest.trim_start_matches('`');
        let backticks = &rest[..rest.len() - language.len()];
        let indentation = line.len() - rest.len();
        (backticks.len() >= 3).then_some(Self { indentation, backticks, language: language.trim() })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        line.trim() == self.backticks
    }

    /// A line of the block, of which an empty one need not be indented.
    fn unindented<'b>(&self, line: &'b str) -> &'b str {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        &line[spaces.min(self.indentation)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
Before all.

# First

It says `one
two` and more:

```sh
cd /root # a comment is no heading
```

Between.

1. A step:

   ```sh
   cat > file <<'EOF'
   key:
     nested: true

   EOF
   ```

   <!-- not run: it asks -->
   ```bash
   read answer
   ```

## Second

```yaml
is: for no shell
```
";

    #[test]
    fn blocks_come_in_order_each_below_its_heading_and_between_its_passages() {
        let [start, first, second] = &sections(PAGE)[..] else { panic!("three") };
        assert_eq!(
            (start.heading.as_str(), start.passages.as_slice()),
            ("", &["Before all.".to_owned()][..])
        );
        assert_eq!((first.heading.as_str(), second.heading.as_str()), ("First", "Second"));
        assert_eq!(first.passages, ["It says `one two` and more:", "Between. 1. A step:", "", ""]);
        assert_eq!(first.blocks.iter().map(|block| block.line).collect::<Vec<_>>(), [8, 16, 25]);
        assert_eq!(first.blocks[0].text, "cd /root # a comment is no heading\n");
        assert!(first.says("Between. 1. A step") && !first.says("Before"));
    }

    #[test]
    fn a_block_in_a_list_loses_the_indentation_of_the_list_alone() {
        let text = "cat > file <<'EOF'\nkey:\n  nested: true\n\nEOF\n";
        assert_eq!(sections(PAGE)[1].blocks[1].text, text);
    }

    #[test]
    fn blocks_with_a_reason_and_those_for_no_shell_are_not_run() {
        let [_, first, second] = &sections(PAGE)[..] else { panic!("three") };
        assert_eq!(first.blocks[2].not_run.as_deref(), Some("it asks"));
        assert_eq!(first.scripts().len(), 2);
        assert!(second.scripts().is_empty() && !second.blocks[0].is_for_a_shell());
    }

    #[test]
    fn a_reason_counts_only_right_before_its_block() {
        let page = "<!-- not run: it asks -->\n\nThen:\n\n```sh\ntrue\n```\n";
        assert_eq!(sections(page)[0].blocks[0].not_run, None);
    }

    #[test]
    fn of_a_console_the_lines_with_a_prompt_are_typed_and_the_others_answered() {
        let page = "```console\n# one\nanswer\n$ two\n```\n";
        let sections = sections(page);
        let block = &sections[0].blocks[0];
        assert_eq!((block.script().as_str(), block.answer()), ("one\ntwo\n", vec!["answer"]));
    }

    #[test]
    fn code_in_sentences_is_found_across_lines() {
        assert_eq!(sections(PAGE)[1].code().collect::<Vec<_>>(), ["one two"]);
    }

    #[test]
    fn a_longer_fence_holds_a_shorter_one() {
        let page = "````text\n```sh\ntrue\n```\n````\n";
        assert_eq!(sections(page)[0].blocks.len(), 1);
    }
}
