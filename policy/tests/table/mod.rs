//! Prints answers so that a person can review them: equal ones together, and once.

use std::collections::BTreeMap;
use std::fmt::Write;

use policy::{Role, Standing};

use crate::words::STANDINGS;

/// One thing that may be asked, with the answers to all standings in all places.
pub struct Item {
    /// On what it is asked.
    pub subject: String,
    /// What is asked.
    pub verb: String,
    /// The answers.
    pub answers: Answers,
}

/// By standing (as in [`STANDINGS`]) and place: whether it is permitted, and the rule.
pub type Answers = Vec<(usize, &'static str, bool, &'static str)>;

/// Keeps the usual answers, and those under other facts where they differ.
pub fn vary<const N: usize>(
    items: &mut Vec<Item>,
    subject: &str,
    verb: &str,
    usual: Answers,
    variants: [(&str, Answers); N],
) {
    let mut keep = |subject: String, answers| {
        items.push(Item {
            subject,
            verb: verb.to_owned(),
            answers,
        });
    };
    let variants = variants
        .into_iter()
        .filter(|(_, answers)| *answers != usual)
        .collect::<Vec<_>>();
    keep(subject.to_owned(), usual);
    for (fact, answers) in variants {
        keep(format!("{subject}  (if {fact})"), answers);
    }
}

/// Prints a section: first the lines that hold for all of it, then a block for each set of things
/// with the same answers.
pub fn section(text: &mut String, title: &str, items: Vec<Item>) {
    let mut blocks: Vec<Block> = Vec::new();
    for item in items {
        let lines = lines(&item.answers);
        let at = blocks.iter().position(|block| block.lines == lines);
        let at = at.unwrap_or_else(|| {
            blocks.push(Block {
                lines,
                asked: Vec::new(),
            });
            blocks.len() - 1
        });
        let asked = &mut blocks[at].asked;
        match asked
            .iter_mut()
            .find(|(subject, _)| *subject == item.subject)
        {
            Some((_, verbs)) => verbs.push(item.verb),
            None => asked.push((item.subject, vec![item.verb])),
        }
    }
    writeln!(text, "\n\n== {title} ==\n\nall of this section").unwrap();
    let common: Vec<String> = blocks[0]
        .lines
        .iter()
        .filter(|line| blocks.iter().all(|block| block.lines.contains(line)))
        .cloned()
        .collect();
    for line in &common {
        writeln!(text, "    {line}").unwrap();
    }
    for block in blocks {
        text.push('\n');
        for (subject, verbs) in block.asked {
            writeln!(text, "{subject}: {}", short(&verbs)).unwrap();
        }
        for line in block.lines.iter().filter(|line| !common.contains(line)) {
            writeln!(text, "    {line}").unwrap();
        }
    }
}

/// The lines that differ, by their longest common subsequence, each run under the nearest line
/// before it that says what was asked.
pub fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text, mut subject) = (0, 0, String::new(), "");
    while i < old.len() || j < new.len() {
        let same = i < old.len() && j < new.len() && old[i] == new[j];
        if same {
            subject = if new[j].starts_with(' ') {
                subject
            } else {
                new[j]
            };
            (i, j) = (i + 1, j + 1);
            continue;
        }
        if !subject.is_empty() {
            writeln!(text, "  {subject}").unwrap();
            subject = "";
        }
        if j >= new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            writeln!(text, "- {}", old[i]).unwrap();
            i += 1;
        } else {
            writeln!(text, "+ {}", new[j]).unwrap();
            j += 1;
        }
    }
    text
}

struct Block {
    lines: Vec<String>,
    asked: Vec<(String, Vec<String>)>,
}

/// Whether it was refused, by which rule, in which places.
type Answer<'a> = (bool, &'a str, String);

/// One line for each rule and set of places, naming those for whom it is so.
fn lines(answers: &Answers) -> Vec<String> {
    let all: Vec<&str> = answers
        .iter()
        .filter(|one| one.0 == 0)
        .map(|one| one.1)
        .collect();
    let mut grouped: Vec<(Answer<'_>, Vec<&str>)> = Vec::new();
    for (index, standing) in STANDINGS.into_iter().enumerate() {
        let mut by_rule: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
        for (_, place, permitted, rule) in answers.iter().filter(|one| one.0 == index) {
            by_rule.entry((!permitted, rule)).or_default().push(place);
        }
        for ((refused, rule), places) in by_rule {
            let key = (refused, rule, place_names(&places, &all));
            match grouped.iter_mut().find(|(known, _)| *known == key) {
                Some((_, who)) => who.push(word(standing)),
                None => grouped.push((key, vec![word(standing)])),
            }
        }
    }
    grouped.sort_by_key(|((refused, _, _), _)| *refused);
    grouped
        .into_iter()
        .map(|((refused, rule, places), who)| {
            let answer = if refused { "refuse" } else { "PERMIT" };
            let who = who.join(", ").replace(MEMBERS, "members");
            format!("{answer} {rule:<30} {places:<32} {who}")
        })
        .collect()
}

const MEMBERS: &str = "server administrator, administrator, team_member, developer, viewer";

const CHANGES: &str =
    "write, remove, mkdir, rmdir, rename-from, rename-to, symlink, hardlink, setstat";

fn short(verbs: &[String]) -> String {
    verbs.join(", ").replace(CHANGES, "every change")
}

fn place_names(places: &[&str], all: &[&str]) -> String {
    if places == all {
        return if places == [""] { "" } else { "everywhere" }.to_owned();
    }
    places
        .join(" ")
        .replace("dev[sftp] dev[git] dev[unset]", "dev")
        .replace("feature[sftp] feature[git] feature[unset]", "feature")
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::ServerAdministrator => "server administrator",
        Standing::Member(Role::Administrator) => "administrator",
        Standing::Member(Role::TeamMember) => "team_member",
        Standing::Member(Role::Developer) => "developer",
        Standing::Member(Role::Viewer) => "viewer",
        Standing::Stranger => "stranger",
        Standing::Ended(_) => "key removed",
    }
}
