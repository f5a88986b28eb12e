//! The small language of the list: `«text*count|between»`.

/// Text with every repetition written out.
pub(super) fn expand(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, (repetition, after))) = rest
        .split_once('«')
        .and_then(|(before, rest)| Some((before, rest.split_once('»')?)))
    {
        text.push_str(before);
        repeat(repetition, &mut text);
        rest = after;
    }
    text + rest
}

fn repeat(repetition: &str, text: &mut String) {
    let (what, how) = repetition.rsplit_once('*').expect("a repetition has a *");
    let (count, between) = how.split_once('|').unwrap_or((how, ""));
    let count: usize = count.parse().expect("a repetition has a number");
    let numbered = what.contains(['#', '@']);
    for number in 1..=count {
        if number > 1 {
            text.push_str(between);
        }
        if numbered {
            let own = what.replace('#', &number.to_string());
            text.push_str(&own.replace('@', &(number - 1).to_string()));
        } else {
            text.push_str(what);
        }
    }
}

#[test]
fn repetitions_are_written_out() {
    assert_eq!(expand("SELECT «(*3»1«)*3»"), "SELECT (((1)))");
    assert_eq!(expand("«c# AS c@*3|, » x"), "c1 AS c0, c2 AS c1, c3 AS c2 x");
    assert_eq!(expand("plain * text"), "plain * text");
}
