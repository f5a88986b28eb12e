//! `docs/differences.md`, from the scripts and the expected differences.

use std::fmt::Write as _;

use super::expected::{Difference, Expected, Occurrence};
use super::script::Script;

const HEAD: &str = "# Where Quarry answers otherwise than Apache HDFS

The differential run (`interop/README.md`) plays COUNT operations, by Hadoop's own client and programs, against Apache HDFS 3.5.0 and against Quarry, and
compares output, exit code, file status, checksum, exception class and first line of message. They agree in all but the operations below. This
page is generated from `interop/differential/`; a difference that is not here, and one that is here but gone, fails the test.

In the answers, `!` marks an exception or a line of stderr, and `=` an exit code.
";

/// The text of the page.
pub fn render(scripts: &[Script], expected: &Expected) -> String {
    let count: usize = scripts.iter().map(|script| script.steps.len()).sum();
    let mut text = HEAD.replace("COUNT", &count.to_string());
    for difference in &expected.differences {
        write_difference(&mut text, scripts, difference);
    }
    if expected.differences.is_empty() {
        text.push_str("\nNone.\n");
    }
    text
}

fn write_difference(text: &mut String, scripts: &[Script], difference: &Difference) {
    let _ = write!(text, "\n## {}\n\n{}\n\n", difference.title, difference.why.trim());
    text.push_str("| operation | HDFS says | Quarry says |\n|---|---|---|\n");
    for step in &difference.steps {
        let operation = cell(std::slice::from_ref(&step.step));
        let (hdfs, quarry) = (cell(hdfs_says(scripts, step)), cell(&step.quarry));
        let _ = writeln!(text, "| {operation} | {hdfs} | {quarry} |");
    }
}

fn hdfs_says<'a>(scripts: &'a [Script], at: &Occurrence) -> &'a [String] {
    let script = scripts.iter().find(|script| script.name == at.script);
    let step = script.and_then(|script| script.steps.iter().find(|s| s.command == at.step && s.nth == at.nth));
    step.map_or(&[], |step| &step.answer)
}

/// Lines of code in a cell of a table.
fn cell(lines: &[String]) -> String {
    if lines.is_empty() {
        return "(nothing)".to_owned();
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("`{}`", visible(line.trim_start()).replace('`', "'").replace('|', "\\|")))
        .collect();
    lines.join("<br>")
}

/// Control characters as Rust writes them: with a NUL in it the page would be no text.
fn visible(line: &str) -> String {
    let mut visible = String::with_capacity(line.len());
    for character in line.chars() {
        match character.is_control() {
            true => visible.extend(character.escape_default()),
            false => visible.push(character),
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn control_characters_can_be_seen() {
        assert_eq!(cell(&["dir '\0\u{1}\t'".to_owned()]), "`dir '\\u{0}\\u{1}\\t'`");
    }

    #[test]
    fn a_row_has_both_answers() {
        let script = Script::parse("s", "> a /x\n! E: `m' | n\n").unwrap();
        let listed = "[[difference]]\ntitle='T'\nwhy='W'\n[[difference.step]]\nscript='s'\nstep='> a /x'\nquarry=['  1','  2']\n";
        let page = render(&[script], &toml::from_str(listed).unwrap());
        assert!(page.contains("| `> a /x` | `! E: 'm' \\| n` | `1`<br>`2` |"), "{page}");
    }
}
