//! The other end of a command: what it prints, what it asks, which way it goes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tokio::sync::mpsc;

use super::carry::{Carrying, Writing, carry};
use super::table::{Format, Table};
use crate::fault::Fault;
use crate::protocol::intake::{Inflow, Reading, intake};
use crate::protocol::ssh::Output;
use crate::site::blocking;
use crate::site::workflow::{Entry, Heard};

/// The other end of a command.
#[derive(Debug)]
pub struct Reply {
    door: Door,
    input: Inflow,
    read: Vec<u8>,
    /// How rows are printed.
    pub format: Format,
    /// The one field that is printed.
    pub field: Option<String>,
    /// Whether every question is answered with yes.
    pub yes: bool,
    /// Whether a workflow waits while another one runs.
    pub waits: bool,
    /// Whether standard output is data, so that all else goes to standard error.
    gives_data: bool,
    /// Whether a person sits at the command line on the server, who can be asked.
    attended: bool,
}

/// Which way the other end is reached.
#[derive(Debug, Clone)]
pub(super) enum Door {
    Ssh(Output),
    Local(mpsc::Sender<Said>),
}

/// What the gateway says to the command line on the server, one line of JSON each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// For standard output.
    Out(String),
    /// For standard output, as bytes that follow the line.
    #[serde(serialize_with = "length_of", deserialize_with = "room_for")]
    Data(Vec<u8>),
    /// For standard error.
    Err(String),
    /// The end, with the exit status.
    Exit(u32),
}

/// The client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The most that a command reads from standard input, in bytes.
const MOST_INPUT: usize = 64 * 1024;

impl Reply {
    /// Answers over an SSH channel.
    pub fn over_ssh(output: Output, input: Inflow) -> Self {
        Self::over(Door::Ssh(output), input)
    }

    /// Answers the command line on the server; `attended` says whether a person sits there.
    pub fn local(said: mpsc::Sender<Said>, input: Inflow, attended: bool) -> Self {
        Self {
            attended,
            ..Self::over(Door::Local(said), input)
        }
    }

    fn over(door: Door, input: Inflow) -> Self {
        Self {
            door,
            input,
            read: Vec::new(),
            format: Format::Table,
            field: None,
            yes: false,
            waits: true,
            gives_data: false,
            attended: false,
        }
    }

    /// Returns true for somebody on the server itself, whose paths are the server's.
    pub fn is_local(&self) -> bool {
        matches!(self.door, Door::Local(_))
    }

    /// Prints to standard output.
    ///
    /// # Errors
    /// When the client has gone.
    pub async fn out(&self, text: &str) -> Result<(), Gone> {
        match &self.door {
            Door::Ssh(output) if self.gives_data => {
                output.err(text.as_bytes()).await.map_err(|_| Gone)
            }
            Door::Local(said) if self.gives_data => said
                .send(Said::Err(text.to_owned()))
                .await
                .map_err(|_| Gone),
            Door::Ssh(output) => output.out(text.as_bytes()).await.map_err(|_| Gone),
            Door::Local(said) => said
                .send(Said::Out(text.to_owned()))
                .await
                .map_err(|_| Gone),
        }
    }

    /// Prints a line to standard error, where progress and refusals go.
    pub async fn tell(&self, line: &str) {
        let text = format!("{}\n", harmless(line));
        // Who has gone hears nothing, and the command goes on to its end.
        let _ = match &self.door {
            Door::Ssh(output) => output.err(text.as_bytes()).await.map_err(|_| Gone),
            Door::Local(said) => said.send(Said::Err(text)).await.map_err(|_| Gone),
        };
    }

    /// Prints rows as they were asked for.
    ///
    /// # Errors
    /// With a sentence, when there is no such field.
    pub async fn print(&self, table: &Table) -> Result<(), String> {
        let text = table.print(self.format, self.field.as_deref())?;
        let _ = self.out(&text).await;
        Ok(())
    }

    /// Asks a question; the end of input is a no.
    pub async fn confirm(&mut self, question: &str) -> bool {
        if self.yes {
            return true;
        }
        self.tell(&format!("{question} (yes/no)")).await;
        let answer = self.line().await;
        let answer = answer.trim_ascii().to_ascii_lowercase();
        answer == b"yes" || answer == b"y"
    }

    /// Returns whether a person is there who can be asked.
    pub fn is_person(&self) -> bool {
        match &self.door {
            Door::Ssh(output) => output.is_screen(),
            Door::Local(_) => self.attended,
        }
    }

    /// Has a person type a name, as one types what one means. Without a person, nobody did.
    pub async fn typed(&mut self, question: &str, name: &str) -> bool {
        if !self.is_person() {
            return false;
        }
        self.tell(question).await;
        let answer = self.line().await;
        answer.trim_ascii() == name.as_bytes()
    }

    /// Takes standard input, for work that blocks.
    ///
    /// # Errors
    /// With a sentence, when a keyboard is there and no data.
    pub fn reading(&mut self) -> Result<Reading, String> {
        if self.is_person() {
            return Err(
                "Standard input is a terminal here, and no data: lead a file to it with < FILE (and no ssh -t)."
                    .to_owned(),
            );
        }
        let (_nothing_more, ended) = intake(None);
        let input = std::mem::replace(&mut self.input, ended);
        Ok(input.reading().after(std::mem::take(&mut self.read)))
    }

    /// Makes standard output a stream of bytes, for work that blocks; all else that is said goes to
    /// standard error.
    ///
    /// # Errors
    /// With a sentence, when it is the screen of a person.
    pub fn writing(&mut self) -> Result<(Writing, Carrying), String> {
        if matches!(&self.door, Door::Ssh(output) if output.is_screen()) {
            return Err(
                "Standard output is a terminal here: lead it to a file with > FILE (and no ssh -t), or name one below /backups with --to NAME."
                    .to_owned(),
            );
        }
        self.gives_data = true;
        Ok(carry(self.door.clone()))
    }

    /// Reads standard input to its end.
    ///
    /// # Errors
    /// With a sentence, when it breaks off, is too long or no text.
    pub async fn standard_input(&mut self) -> Result<String, String> {
        while let Some(bytes) = self.input.recv().await {
            self.read.extend_from_slice(&bytes);
            if self.read.len() > MOST_INPUT {
                return Err(format!("Standard input is longer than {MOST_INPUT} bytes."));
            }
        }
        if self.input.is_broken() {
            return Err("Standard input broke off before its end.".to_owned());
        }
        String::from_utf8(std::mem::take(&mut self.read))
            .map_err(|_| "Standard input is not UTF-8.".to_owned())
    }

    /// Runs the blocking work of a workflow, telling what it says while it goes on.
    ///
    /// # Errors
    /// Its own.
    pub async fn during<T: Send + 'static>(
        &self,
        run: crate::site::Run,
        work: impl FnOnce(&crate::site::Run) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let mut watch = run.watch();
        let id = run.id().to_string();
        let mut working = Box::pin(blocking(move || {
            let done = work(&run);
            drop(run);
            Ok(done)
        }));
        let done = loop {
            match watch.during(&mut working).await {
                Heard::Entry(entry) => self.tell_entry(&id, &entry).await,
                Heard::Done(done) => break done,
            }
        };
        while let Some(entry) = watch.ready() {
            self.tell_entry(&id, &entry).await;
        }
        done
    }

    /// Tells an entry of a workflow's log: a line for people, a line of JSON for programs.
    pub async fn tell_entry(&self, id: &str, entry: &Entry) {
        match self.format {
            Format::Json => {
                let line = match serde_json::to_value(entry) {
                    Ok(Value::Object(mut fields)) => {
                        fields.insert("workflow".to_owned(), id.into());
                        format!("{}\n", Value::Object(fields))
                    }
                    _other => return,
                };
                let _ = self.out(&line).await;
            }
            Format::Table => {
                if let Some(line) = entry.shown() {
                    self.tell(&line).await;
                }
            }
        }
    }

    /// Prints what came of a workflow, for people; programs have had its last entry.
    pub async fn conclude(&self, text: &str) {
        if matches!(self.format, Format::Table) {
            let _ = self.out(text).await;
        }
    }

    /// Waits until the client has gone, or a person at a screen has ended it with Ctrl-C. What is
    /// typed meanwhile is kept for the next question.
    pub async fn gone(&mut self) {
        let output = match &self.door {
            Door::Ssh(output) => output,
            Door::Local(said) => return said.closed().await,
        };
        if !output.is_screen() {
            return output.gone().await;
        }
        let gone = output.gone();
        tokio::pin!(gone);
        loop {
            tokio::select! {
                () = &mut gone => return,
                typed = self.input.recv() => match typed {
                    Some(keys) if self.read.len() < MOST_INPUT => self.read.extend(keys),
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }

    /// Ends the command.
    pub async fn end(self, status: u32) {
        match self.door {
            Door::Ssh(output) => output.end(status).await,
            Door::Local(said) => {
                let _ = said.send(Said::Exit(status)).await;
            }
        }
    }

    async fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(end + 1);
                return std::mem::replace(&mut self.read, rest);
            }
            match self.input.recv().await {
                Some(bytes) if self.read.len() < MOST_INPUT => self.read.extend_from_slice(&bytes),
                Some(_) | None => return std::mem::take(&mut self.read),
            }
        }
    }
}

/// The longest data that follows one line, in bytes.
const MOST_DATA: usize = 1 << 20;

fn length_of<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    data.len().serialize(serializer)
}

/// Makes room for the data that follows; who reads the line fills it.
fn room_for<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let length = usize::deserialize(deserializer)?;
    if length > MOST_DATA {
        return Err(serde::de::Error::custom("too much data for one line"));
    }
    Ok(vec![0; length])
}

/// A sentence may quote what somebody typed, which must not play with the terminal of who reads it.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
