//! What the gateway has written down must agree with itself: workflows, leases, deploys and the
//! audit, whatever it was cut off in.

use std::collections::BTreeMap;

use serde_json::Value;
use support::Client;

use crate::crash_site::Scene;

/// Looks into both databases as an administrator would who has only the files. What the commands
/// show of them is looked at elsewhere.
const BOOKS: &str = r#"
import json, sqlite3, sys
def read(name, query, *values):
    database = sqlite3.connect(f'file:{sys.argv[1]}/{name}.db?mode=ro', uri=True, timeout=20)
    database.row_factory = sqlite3.Row
    return [dict(row) for row in database.execute(query, values)]
site = sys.argv[2]
print(json.dumps({
    'whole': [read(name, 'PRAGMA integrity_check') for name in ('state', 'audit')],
    'held': read('state', 'SELECT * FROM lease WHERE site = ? AND owner IS NOT NULL', site),
    'workflows': read('state', 'SELECT id, status, result, intent FROM workflow WHERE site = ?', site),
    'deploys': read('state', 'SELECT * FROM deployment WHERE site = ?', site),
    'rows': read('audit', "SELECT incident, object, rule, outcome FROM record WHERE site = ? AND decision = 'permit'", site),
}))
"#;

/// Checks the books of a site on which nothing is being done.
#[track_caller]
pub(crate) fn check(scene: &Scene) {
    let wrong = mistakes(scene);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns what does not agree.
#[track_caller]
pub(crate) fn mistakes(scene: &Scene) -> Vec<String> {
    let mut wrong = Vec::new();
    let books = Client::new("/usr/bin/python3")
        .args(["-c", BOOKS])
        .arg(scene.gateway.data())
        .arg(&scene.site.name)
        .run()
        .ok()
        .out();
    let books: Value = serde_json::from_str(&books).unwrap();
    let list = |name: &str| books[name].as_array().expect("it is a list").clone();
    for whole in list("whole") {
        if whole[0]["integrity_check"] != "ok" {
            wrong.push(format!("a database is damaged: {whole}"));
        }
    }
    let held = list("held").into_iter();
    wrong.extend(held.map(|lease| format!("a lease that nobody holds: {lease}")));
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in list("rows") {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        // What repair writes has an id of its own, and names the workflow as its object.
        let about = match word("rule").as_str() {
            "repair" => word("object"),
            _ => word("incident"),
        };
        outcomes.entry(about).or_default().push(word("outcome"));
    }
    for workflow in list("workflows") {
        let status = workflow["status"].as_str().unwrap_or_default();
        if status == "running" {
            wrong.push(format!("it still runs: {workflow}"));
            continue;
        }
        let rows = outcomes
            .get(workflow["id"].as_str().unwrap_or_default())
            .map(Vec::as_slice)
            .unwrap_or_default();
        let done = rows.iter().filter(|outcome| *outcome == "done").count();
        // One that found nothing to do has changed nothing, and so has no row.
        let tried = !workflow["intent"].is_null();
        let told = match status {
            "succeeded" if tried => done > 0 && done == rows.len(),
            _ => done == 0 && (!tried || !rows.is_empty()),
        };
        if !told {
            wrong.push(format!("{workflow} is told of in the audit as {rows:?}"));
        }
    }
    let format = "--format=%(refname:strip=2) %(*objectname)";
    let tags = scene.git_command(&["for-each-ref", format, "refs/tags"]);
    let tags = tags.run().ok().out();
    for deploy in list("deploys") {
        let word = |name: &str| deploy[name].as_str().unwrap_or_default();
        let tag = format!(
            "{}_{} {}",
            word("environment"),
            deploy["number"],
            word("commit_id")
        );
        if !tags.lines().any(|line| line == tag) {
            wrong.push(format!("a deploy without its tag: {tag}"));
        }
    }
    wrong
}
