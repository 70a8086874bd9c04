//! Reads a file, strictly: what is not understood is a mistake with its place, never skipped.

use std::collections::BTreeSet;
use std::str::FromStr;

use policy::{Environment, SitePath};
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Text, Value, refuse_unknown};
use super::{Event, File, Mistake, OnFailure, Place, Probe, Stage, Step};

/// The file's name, at the top of a site's repository.
pub const NAME: &str = "funicular.toml";

/// The largest file that is read, in bytes.
pub const LARGEST: usize = 64 << 10;
/// The most steps and the most probes of a file.
const MOST: usize = 100;
/// The most words of a command, and the longest of them in bytes.
const MOST_WORDS: usize = 200;
const LONGEST_WORD: usize = 16 << 10;
/// The longest time of a step and of a probe, and what they have otherwise, in seconds.
const LONGEST_STEP: u64 = 3600;
const USUAL_STEP: u64 = 300;
const LONGEST_PROBE: u64 = 300;
const USUAL_PROBE: u64 = 30;

const STEP: &[&str] = &[
    "name",
    "event",
    "stage",
    "environments",
    "command",
    "timeout",
    "directory",
    "on_failure",
];
const PROBE: &[&str] = &[
    "name",
    "stage",
    "environments",
    "path",
    "command",
    "status",
    "marker",
    "timeout",
];

impl File {
    /// Reads the `funicular.toml` of a site.
    ///
    /// # Errors
    /// The first [`Mistake`] in it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        Self::from_text(text, true)
    }

    /// Reads a file's bytes, which may be no text.
    ///
    /// # Errors
    /// The first [`Mistake`] in it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Mistake> {
        if bytes.len() > LARGEST {
            return Err(too_large());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => {
                let (right, _) = bytes.split_at(error.valid_up_to());
                let right = String::from_utf8_lossy(right);
                Err(Text(&right).mistake(right.len(), "Here the file is no UTF-8 text."))
            }
        }
    }

    /// Reads the steps of the administrator, which stand among other settings.
    ///
    /// # Errors
    /// The first [`Mistake`] in them.
    pub fn among_settings(text: &str) -> Result<Self, Mistake> {
        Self::from_text(text, false)
    }

    /// Returns whether there is nothing to do in it.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.probes.is_empty()
    }

    fn from_text(text: &str, alone: bool) -> Result<Self, Mistake> {
        let whole = Text(text);
        if alone && text.len() > LARGEST {
            return Err(too_large());
        }
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(text.len(), |span| span.start);
            let message = error.message().trim().replace('\n', ", ");
            whole.mistake(at, format!("This cannot be read: {message}."))
        })?;
        let document = document.get_ref();
        if alone {
            let what = "nothing that this file has";
            refuse_unknown(whole, document, what, &["step", "probe"])?;
        }
        let mut file = File::default();
        for value in tables(whole, document.get("step"), "step")? {
            file.steps.extend(step(whole, value)?);
        }
        for value in tables(whole, document.get("probe"), "probe")? {
            file.probes.push(probe(whole, value)?);
        }
        Ok(file)
    }
}

/// What is wrong with a file of more than [`LARGEST`] bytes.
pub fn too_large() -> Mistake {
    Mistake {
        line: 1,
        column: 1,
        message: format!("It is larger than {} KiB.", LARGEST >> 10),
    }
}

/// Returns the tables of one kind; all have names, and no two the same.
fn tables<'a>(
    text: Text<'a>,
    value: Option<&'a Value<'a>>,
    what: &'static str,
) -> Result<Vec<&'a Value<'a>>, Mistake> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let start = value.span().start;
    let DeValue::Array(list) = value.get_ref() else {
        return Err(text.mistake(start, format!("A {what} begins with a line [[{what}]].")));
    };
    if list.len() > MOST {
        return Err(text.mistake(start, format!("There are more than {MOST} {what}s.")));
    }
    let mut names = BTreeSet::new();
    for one in list.iter() {
        let DeValue::Table(table) = one.get_ref() else {
            continue;
        };
        if let Some(named) = table.get("name")
            && let DeValue::String(name) = named.get_ref()
            && !names.insert(name.as_ref())
        {
            let name = policy::escape(name.as_bytes());
            return Err(text.mistake(
                named.span().start,
                format!("There is a {what} '{name}' already."),
            ));
        }
    }
    Ok(list.iter().collect())
}

fn step(text: Text<'_>, value: &Value<'_>) -> Result<Vec<Step>, Mistake> {
    let fields = Fields::of(text, value, "step", STEP)?;
    let name = name(&fields)?;
    let event = fields.required("event", "\"deploy\"")?;
    let events = fields.list("event", event, true, Event::ALL.len())?;
    let stage = stage(&fields)?;
    let command = fields.required("command", "[\"composer\", \"install\"]")?;
    let command = words(&fields, command)?;
    let timeout = fields.seconds(LONGEST_STEP, USUAL_STEP)?;
    let environments = environments(&fields)?;
    let directory = directory(&fields)?;
    let on_failure = match fields.get("on_failure") {
        Some(value) => fields.one_of("on_failure", value, &OnFailure::ALL, OnFailure::as_str)?,
        None => match stage {
            Stage::Before => OnFailure::Stop,
            Stage::After => OnFailure::Continue,
        },
    };
    let mut steps: Vec<Step> = Vec::new();
    for value in events {
        let event = fields.one_of("event", value, &Event::ALL, Event::as_str)?;
        if steps.iter().any(|step| step.event == event) {
            return Err(fields.wrong(value, "This event is named twice."));
        }
        steps.push(Step {
            name: name.clone(),
            event,
            stage,
            environments: environments.clone(),
            command: command.clone(),
            timeout,
            directory: directory.clone(),
            on_failure,
        });
    }
    Ok(steps)
}

fn probe(text: Text<'_>, value: &Value<'_>) -> Result<Probe, Mistake> {
    let fields = Fields::of(text, value, "probe", PROBE)?;
    let name = name(&fields)?;
    let stage = stage(&fields)?;
    let path = fields
        .get("path")
        .map(|value| page(&fields, value, stage))
        .transpose()?;
    let command = fields
        .get("command")
        .map(|value| words(&fields, value))
        .transpose()?;
    if path.is_some() == command.is_some() {
        return Err(text.mistake(fields.span.start, "A probe has either a path or a command."));
    }
    let status = match fields.get("status") {
        Some(value) if command.is_some() => {
            return Err(fields.wrong(value, "A command has no status; 0 at its end is right."));
        }
        Some(value) => fields.number("status", value, 100..=599)?,
        None => 200,
    };
    let marker = fields
        .get("marker")
        .map(|value| fields.text_of("marker", value, 1000))
        .transpose()?;
    Ok(Probe {
        name,
        stage,
        environments: environments(&fields)?,
        path,
        command,
        status: u16::try_from(status).unwrap_or(200),
        marker: marker.map(str::to_owned),
        timeout: fields.seconds(LONGEST_PROBE, USUAL_PROBE)?,
    })
}

fn name(fields: &Fields<'_>) -> Result<String, Mistake> {
    let value = fields.required("name", "\"migrate\"")?;
    let name = fields.text_of("name", value, 60)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
    if name.chars().all(fits) && name.trim() == name {
        Ok(name.to_owned())
    } else {
        Err(fields.wrong(
            value,
            "name has letters, digits, spaces, dots, dashes and underscores only.",
        ))
    }
}

fn stage(fields: &Fields<'_>) -> Result<Stage, Mistake> {
    let value = fields.required("stage", "\"before\"")?;
    fields.one_of("stage", value, &Stage::ALL, Stage::as_str)
}

fn words(fields: &Fields<'_>, value: &Value<'_>) -> Result<Vec<String>, Mistake> {
    if let DeValue::String(_) = value.get_ref() {
        return Err(fields.wrong(
            value,
            "command is a list of words, since no shell reads it: [\"composer\", \"install\"], or \
             [\"sh\", \"-c\", \"…\"] for a shell.",
        ));
    }
    let list = fields.list("command", value, false, MOST_WORDS)?;
    let mut words = Vec::new();
    for value in list {
        let is_empty = matches!(value.get_ref(), DeValue::String(text) if text.is_empty());
        // An argument may be empty, a program may not.
        let word = if is_empty && !words.is_empty() {
            ""
        } else {
            fields.text_of("A word of a command", value, LONGEST_WORD)?
        };
        words.push(word.to_owned());
    }
    Ok(words)
}

fn environments(fields: &Fields<'_>) -> Result<Vec<Place>, Mistake> {
    let Some(value) = fields.get("environments") else {
        return Ok(Vec::new());
    };
    let mut places = Vec::new();
    for value in fields.list("environments", value, false, MOST)? {
        let name = fields.text_of("environments", value, 100)?;
        places.push(match Environment::from_str(name) {
            _any if name == "multidev" => Place::AnyMultidev,
            Ok(environment) => Place::Named(environment),
            Err(_) => {
                return Err(fields.wrong(
                    value,
                    format!(
                        "'{}' is no environment: dev, test, live, the name of a Multidev, or \
                         multidev for all of them.",
                        policy::escape(name.as_bytes())
                    ),
                ));
            }
        });
    }
    Ok(places)
}

fn directory(fields: &Fields<'_>) -> Result<Option<SitePath>, Mistake> {
    let Some(value) = fields.get("directory") else {
        return Ok(None);
    };
    let text = fields.text_of("directory", value, 1000)?;
    inside(text).map(Some).ok_or_else(|| {
        fields.wrong(
            value,
            "directory is a folder inside the code, such as \"app\".",
        )
    })
}

fn page(fields: &Fields<'_>, value: &Value<'_>, stage: Stage) -> Result<String, Mistake> {
    let path = fields.text_of("path", value, 1000)?;
    let plain = path.chars().all(|c| !c.is_control() && !c.is_whitespace());
    let (fits, message) = match stage {
        Stage::Before => (
            inside(path).is_some(),
            "Before the switch, path is a script inside the code, such as \"health.php\".",
        ),
        Stage::After => (
            path.starts_with('/'),
            "After the switch, path is that of a page, such as \"/health\".",
        ),
    };
    if plain && fits {
        Ok(path.to_owned())
    } else {
        Err(fields.wrong(value, message))
    }
}

/// Returns a path if it leads to something inside the code.
fn inside(text: &str) -> Option<SitePath> {
    let climbs = text.split('/').any(|part| part == "..");
    let path = SitePath::normalize(text.as_bytes()).ok()?;
    (!climbs && !text.starts_with('/') && !path.is_empty()).then_some(path)
}
