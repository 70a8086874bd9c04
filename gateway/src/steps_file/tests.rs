//! Files that are right, and each way in which one can be wrong.

use super::*;

fn parse(text: &str) -> Result<File, Mistake> {
    File::parse(text)
}

const STEP: &str =
    "[[step]]\nname = \"a\"\nevent = \"deploy\"\nstage = \"before\"\ncommand = [\"true\"]\n";

#[test]
fn a_step_has_defaults() {
    let file = parse(STEP).unwrap();
    assert_eq!(
        file.steps,
        [Step {
            name: "a".to_owned(),
            event: Event::Deploy,
            stage: Stage::Before,
            environments: Vec::new(),
            command: vec!["true".to_owned()],
            timeout: Duration::from_secs(300),
            directory: None,
            on_failure: OnFailure::Stop,
        }]
    );
    let after = parse(&STEP.replace("before", "after")).unwrap();
    assert_eq!(after.steps[0].on_failure, OnFailure::Continue);
    assert_eq!(parse("").unwrap(), File::default());
}

#[test]
fn a_step_is_for_its_events_and_environments() {
    let text = "
[[step]]
name = 'Build it'
event = ['sync_code', 'deploy']
stage = 'after'
environments = ['live', 'multidev', 'blue']
command = ['sh', '-c', 'true', '']
timeout = 3_600
directory = 'app/./web'
on_failure = 'stop'
";
    let file = parse(text).unwrap();
    assert_eq!(file.steps.len(), 2);
    let step = &file.steps[1];
    assert_eq!(step.timeout, Duration::from_secs(3600));
    assert_eq!(step.directory.as_ref().unwrap().as_bytes(), b"app/web");
    assert_eq!(step.command, ["sh", "-c", "true", ""]);
    let runs = |event, stage, environment: &str| {
        let environment = environment.parse().unwrap();
        step.is_for(event, stage, &environment)
    };
    assert!(runs(Event::Deploy, Stage::After, "live"));
    assert!(runs(Event::Deploy, Stage::After, "green"));
    assert!(!runs(Event::Deploy, Stage::After, "test"));
    assert!(!runs(Event::Deploy, Stage::Before, "live"));
    assert!(!runs(Event::SyncCode, Stage::After, "live"));
}

#[test]
fn every_event_has_its_word() {
    for event in Event::ALL {
        let file = parse(&STEP.replace("deploy", event.as_str())).unwrap();
        assert_eq!(file.steps[0].event, event);
    }
}

#[test]
fn probes_ask_a_page_a_script_or_a_command() {
    let text = "
[[probe]]
name = 'page'
stage = 'after'
path = '/health?x=1'
status = 204
marker = 'ok'
[[probe]]
name = 'script'
stage = 'before'
path = 'health.php'
[[probe]]
name = 'command'
stage = 'before'
command = ['php', '-l', 'index.php']
timeout = 5
environments = ['test']
";
    let file = parse(text).unwrap();
    let [page, script, command] = &file.probes[..] else {
        panic!("{file:?}");
    };
    assert_eq!((page.status, page.marker.as_deref()), (204, Some("ok")));
    assert_eq!(script.path.as_deref(), Some("health.php"));
    assert_eq!(script.timeout, Duration::from_secs(30));
    assert!(command.is_for(Stage::Before, &Environment::Test));
    assert!(!command.is_for(Stage::Before, &Environment::Live));
}

/// Each text with the place of its mistake, and words of the message.
#[test]
fn a_mistake_is_shown_with_its_place_in_plain_words() {
    let with = |line: &str| format!("{STEP}{line}\n");
    let instead = |from: &str, to: &str| STEP.replace(from, to);
    let probe = |lines: &str| format!("[[probe]]\nname = 'p'\nstage = 'after'\n{lines}\n");
    for (text, line, column, words) in [
        (
            with("comand = []"),
            6,
            1,
            "'comand' is no key of a step. Known are: name, event",
        ),
        (
            "[steps]\nx = 1\n".to_owned(),
            1,
            2,
            "'steps' is nothing that this file has",
        ),
        ("step = 1\n".to_owned(), 1, 8, "begins with a line [[step]]"),
        (
            "[step]\nname = 'x'\n".to_owned(),
            1,
            1,
            "begins with a line [[step]]",
        ),
        (
            "step = [1]\n".to_owned(),
            1,
            9,
            "begins with a line [[step]]",
        ),
        (instead("\"a\"", "\"\""), 2, 8, "name is empty"),
        (instead("\"a\"", "\"a\\u001bb\""), 2, 8, "letters, digits"),
        (instead("\"a\"", "7"), 2, 8, "name is a text in quotes"),
        (instead("name = \"a\"\n", ""), 1, 1, "has no name"),
        (instead("event = \"deploy\"\n", ""), 1, 1, "has no event"),
        (
            instead("\"deploy\"", "\"deplyo\""),
            3,
            9,
            "event is one of: sync_code, deploy",
        ),
        (instead("\"deploy\"", "[]"), 3, 9, "event is an empty list"),
        (
            instead("\"deploy\"", "[\"wipe\", \"wipe\"]"),
            3,
            18,
            "named twice",
        ),
        (
            instead("\"before\"", "\"during\""),
            4,
            9,
            "stage is one of: before, after",
        ),
        (
            instead("[\"true\"]", "[]"),
            5,
            11,
            "command is an empty list",
        ),
        (
            instead("[\"true\"]", "[\"\"]"),
            5,
            12,
            "A word of a command is empty",
        ),
        (
            instead("[\"true\"]", "\"composer install\""),
            5,
            11,
            "no shell reads it",
        ),
        (
            instead("[\"true\"]", "[\"a\", 1]"),
            5,
            17,
            "is a text in quotes",
        ),
        (instead("[\"true\"]", "[\"a\\u0000\"]"), 5, 12, "zero byte"),
        (with("timeout = 0"), 6, 11, "from 1 to 3600"),
        (with("timeout = 3601"), 6, 11, "from 1 to 3600"),
        (with("timeout = -1"), 6, 11, "from 1 to 3600"),
        (with("timeout = \"5m\""), 6, 11, "from 1 to 3600"),
        (
            with("timeout = 99999999999999999999999"),
            6,
            11,
            "from 1 to 3600",
        ),
        (with("environments = \"live\""), 6, 16, "is a list"),
        (
            with("environments = [\"dev\", \"Prod\"]"),
            6,
            24,
            "'Prod' is no environment",
        ),
        (with("directory = \"../x\""), 6, 13, "inside the code"),
        (with("directory = \"/etc\""), 6, 13, "inside the code"),
        (with("directory = \"a/../../x\""), 6, 13, "inside the code"),
        (
            with("on_failure = \"retry\""),
            6,
            14,
            "on_failure is one of: stop, continue",
        ),
        (format!("{STEP}{STEP}"), 7, 8, "There is a step 'a' already"),
        (with("name = \"b\""), 6, 1, "cannot be read: duplicate key"),
        (with("ü = ["), 6, 6, "cannot be read"),
        (probe(""), 1, 1, "either a path or a command"),
        (
            probe("path='/'\ncommand=['a']"),
            1,
            1,
            "either a path or a command",
        ),
        (probe("path='x'"), 4, 6, "path is that of a page"),
        (probe("path='/a b'"), 4, 6, "path is that of a page"),
        (
            probe("path='/'\nstatus=99"),
            5,
            8,
            "status is a whole number from 100 to 599",
        ),
        (probe("path='/'\ntimeout=301"), 5, 9, "from 1 to 300"),
        (probe("path='/'\nmarker=''"), 5, 8, "marker is empty"),
        (
            probe("command=['a']\nstatus=200"),
            5,
            8,
            "A command has no status",
        ),
        (
            probe("path='/'\nevent='deploy'"),
            5,
            1,
            "'event' is no key of a probe",
        ),
    ] {
        let mistake = parse(&text).expect_err(&text);
        assert!(mistake.message.contains(words), "{text}: {mistake}");
        assert_eq!(
            (mistake.line, mistake.column),
            (line, column),
            "{text}: {mistake}"
        );
    }
}

#[test]
fn columns_are_characters() {
    let mistake = parse("# äöü\n step = [[[ # ü").unwrap_err();
    assert_eq!(mistake.line, 2);
    let mistake = parse(&format!("{STEP}directory = \"ü\"\nx = 1")).unwrap_err();
    assert_eq!((mistake.line, mistake.column), (7, 1));
}

#[test]
fn what_is_no_text_or_too_large_is_a_mistake() {
    let mistake = File::from_bytes(b"# fine\n# \xff").unwrap_err();
    assert_eq!((mistake.line, mistake.column), (2, 3));
    let large = vec![b'#'; (64 << 10) + 1];
    assert!(
        File::from_bytes(&large)
            .unwrap_err()
            .message
            .contains("64 KiB")
    );
    assert!(File::from_bytes(&large[1..]).is_ok());
}

#[test]
fn the_administrators_steps_stand_among_settings() {
    let text = format!("data_directory = \"/x\"\n[limits]\nmax_channels = 1\n{STEP}");
    assert_eq!(File::among_settings(&text).unwrap().steps.len(), 1);
    let mistake = File::among_settings(&text.replace("deploy", "x")).unwrap_err();
    assert_eq!(mistake.line, 6);
}
