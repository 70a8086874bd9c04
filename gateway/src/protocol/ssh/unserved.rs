//! Refusals of what is never served, whoever asks: each is kept in the audit and told.

use policy::Refusal;
use russh::ChannelId;
use russh::server::Session;

use super::connection::{Connection, Door};
use crate::audit::Who;
use crate::blocking;
use crate::gate::{Denied, Identity, Refused};
use crate::protocol::refusal_text;

/// What is never served: the rule, and the sentence for the person.
pub(super) type Unserved<'a> = (&'static str, &'a str);

pub(super) const NO_TERMINAL: Unserved<'static> = (
    "no-terminal",
    "Funicular has no terminal to give: it runs no program that would need one.",
);
pub(super) const NO_AGENT: Unserved<'static> = (
    "no-agent",
    "Your agent was not forwarded: Funicular logs in nowhere on your behalf.",
);
pub(super) const NO_X11: Unserved<'static> = (
    "no-x11",
    "X11 was not forwarded: Funicular runs no program with windows.",
);

/// Bytes of what was asked for that the audit keeps.
const LONGEST_KEPT: usize = 200;

impl<D: Door> Connection<D> {
    /// Keeps a refusal, and returns the sentence for the person. `action` is the word for what was
    /// asked, `object` what it was about.
    pub(super) fn keep_refusal(
        &self,
        (rule, sentence): Unserved<'_>,
        action: &str,
        object: &[u8],
    ) -> String {
        let refusal = Refusal {
            rule,
            message: sentence.to_owned(),
            hint: String::new(),
        };
        let who = self.identity.as_ref().map_or_else(Who::default, who);
        let object = object.get(..LONGEST_KEPT).unwrap_or(object);
        let object = (!object.is_empty()).then(|| policy::escape(object));
        let gate = &self.server.gate;
        let kept = blocking::wait(|| gate.refuse_outright(who, action, object, &refusal));
        match kept {
            Ok(incident) => refusal_text(Denied::Refused(Refused { refusal, incident })),
            Err(fault) => refusal_text(Denied::Fault(fault)),
        }
    }

    /// Refuses what a channel was to run, and ends it.
    pub(super) fn not_served(
        &mut self,
        channel: ChannelId,
        unserved: Unserved<'_>,
        (action, object): (&str, &[u8]),
        status: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let sentence = self.keep_refusal(unserved, action, object);
        self.turn_away(channel, &sentence, status, session)
    }

    /// Takes note of something that a channel does not get; it goes on without. Kept once for each
    /// channel, however often it is asked for. Returns true while a channel may wish for something.
    pub(super) fn wish_refused(&mut self, channel: ChannelId, unserved: Unserved<'static>) -> bool {
        let (rule, sentence) = unserved;
        let Some(wishes) = self.fresh(channel) else {
            return false;
        };
        if wishes.refuse(sentence) {
            self.keep_refusal(unserved, rule.trim_start_matches("no-"), b"");
        }
        true
    }
}

fn who(identity: &Identity) -> Who {
    Who {
        person: Some(identity.person.to_string()),
        fingerprint: identity.fingerprint.clone(),
        address: Some(identity.address.clone()),
        client: Some(identity.client.clone()),
    }
}
