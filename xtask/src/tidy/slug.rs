//! The anchors of a Markdown text, as GitHub makes them of its headings.

use std::collections::{BTreeMap, BTreeSet};

use super::links::prose_lines;

/// Every anchor that a link to this text may name.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in prose_lines(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let slug = slug(heading);
        let count = seen.entry(slug.clone()).or_default();
        anchors.insert(match *count {
            0 => slug,
            n => format!("{slug}-{n}"),
        });
        *count += 1;
    }
    anchors
}

fn slug(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::anchors;

    #[test]
    fn headings_become_anchors() {
        let text = "# The `queue`: ins & outs\n## Same\n```\n# not one\n```\n## Same\n#no\ntext\n";
        let expected = ["the-queue-ins--outs", "same", "same-1"];
        assert_eq!(anchors(text), expected.map(str::to_owned).into());
    }
}
