//! What the principals of a certificate stand for: a person, or a role on a site.

use std::collections::{BTreeMap, BTreeSet};

use policy::{PersonName, Role, SiteName};

use crate::state::Model;

/// What one principal stands for, as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stands {
    For(PersonName),
    In(SiteName, Role),
}

/// The administrator's words about principals.
#[derive(Debug, Default)]
pub(super) struct Principals {
    known: BTreeMap<String, Stands>,
    /// What stands before, between and after the names of site and role.
    pattern: Option<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    before: String,
    between: String,
    after: String,
}

/// What the principals of one certificate come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub person: PersonName,
    /// Whether the person is one that the state does not know, with these roles and nothing else.
    pub visitor: bool,
    pub roles: BTreeMap<SiteName, Role>,
}

impl Principals {
    /// Reads the configuration's words.
    pub(super) fn read(mapped: &BTreeMap<String, String>, pattern: &str) -> Result<Self, String> {
        let known = mapped
            .iter()
            .map(|(principal, stands)| Ok((principal.clone(), read_stands(stands)?)))
            .collect::<Result<_, String>>()?;
        let pattern = (!pattern.is_empty())
            .then(|| read_pattern(pattern))
            .transpose()?;
        Ok(Self { known, pattern })
    }

    /// Finds out who somebody with these principals is. `id` is the certificate's, which names
    /// those whom the state does not know.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub(super) fn resolve(
        &self,
        principals: &[String],
        id: &str,
        model: &Model,
    ) -> Result<Resolved, String> {
        if principals.is_empty() {
            return Err(
                "Your certificate names no principal, and one for everybody is not taken here; have it signed with: ssh-keygen -s CA -n NAME."
                    .to_owned(),
            );
        }
        let mut people = BTreeSet::new();
        let mut roles: BTreeMap<SiteName, Role> = BTreeMap::new();
        for principal in principals {
            match self.stands(principal, model) {
                Some(Stands::For(person)) => {
                    people.insert(person);
                }
                Some(Stands::In(site, role)) => {
                    let known = roles.entry(site).or_insert(role);
                    *known = role.max(*known);
                }
                None => {}
            }
        }
        let mut found = people.into_iter();
        match (found.next(), found.next()) {
            (Some(one), Some(two)) => Err(format!(
                "Your certificate names several people, {one} and {two} among them; have one signed for each."
            )),
            (Some(person), None) if model.people.contains_key(&person) => Ok(Resolved {
                person,
                visitor: false,
                roles,
            }),
            (Some(person), None) => Err(format!(
                "Your certificate is for {person}, who is not on this server; ask the administrator: user:add {person}."
            )),
            (None, _) if roles.is_empty() => Err(format!(
                "No principal of your certificate ({}) is a person of this server or stands for a role here; ask the administrator which to have signed.",
                shown(principals)
            )),
            (None, _) => visitor(id, roles, model),
        }
    }

    /// The configuration's word comes before any pattern, and that before a person's name.
    fn stands(&self, principal: &str, model: &Model) -> Option<Stands> {
        if let Some(known) = self.known.get(principal) {
            return Some(known.clone());
        }
        if let Some((site, role)) = self
            .pattern
            .as_ref()
            .and_then(|pattern| pattern.matches(principal))
        {
            return Some(Stands::In(site, role));
        }
        let person: PersonName = principal.parse().ok()?;
        model
            .people
            .contains_key(&person)
            .then_some(Stands::For(person))
    }
}

/// Somebody whom the state does not know goes by the id of their certificate. It must not be the
/// name of one that the state knows: the audit could not tell them apart.
fn visitor(id: &str, roles: BTreeMap<SiteName, Role>, model: &Model) -> Result<Resolved, String> {
    let person: PersonName = id.parse().map_err(|_| {
        format!(
            "Your certificate gives a role and names no person, and its id '{}' is no name either; have it signed with: ssh-keygen -I NAME.",
            shown(&[id.to_owned()])
        )
    })?;
    if person == PersonName::local() || model.people.contains_key(&person) {
        return Err(format!(
            "Your certificate has the id {person}, who is somebody on this server, but not the principal {person}; have it signed with that principal too, or with another id."
        ));
    }
    Ok(Resolved {
        person,
        visitor: true,
        roles,
    })
}

fn shown(principals: &[String]) -> String {
    let mut text = policy::escape(principals.join(", ").as_bytes());
    if text.chars().count() > 200 {
        text = text.chars().take(200).chain(['…']).collect();
    }
    text
}

fn read_stands(text: &str) -> Result<Stands, String> {
    let wrong = |error: policy::NameError| format!("identity.principals: {error}");
    match text.split_once(':') {
        Some((site, role)) => Ok(Stands::In(
            site.parse().map_err(wrong)?,
            role.parse().map_err(wrong)?,
        )),
        None => Ok(Stands::For(text.parse().map_err(wrong)?)),
    }
}

fn read_pattern(text: &str) -> Result<Pattern, String> {
    let read = || {
        let (before, rest) = text.split_once("{site}")?;
        let (between, after) = rest.split_once("{role}")?;
        let all = [before, between, after];
        // Names hold letters, digits and dashes, so that only another mark can part them.
        let parted = between
            .bytes()
            .any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'_');
        (parted && all.iter().all(|part| !part.contains(['{', '}']))).then(|| Pattern {
            before: before.to_owned(),
            between: between.to_owned(),
            after: after.to_owned(),
        })
    };
    read().ok_or_else(|| {
        "identity.role_principals must hold {site} and then {role}, with a mark such as ':' between them".to_owned()
    })
}

impl Pattern {
    fn matches(&self, principal: &str) -> Option<(SiteName, Role)> {
        let inner = principal
            .strip_prefix(self.before.as_str())?
            .strip_suffix(self.after.as_str())?;
        let (site, role) = inner.split_once(self.between.as_str())?;
        Some((site.parse().ok()?, role.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Person;

    fn model() -> Model {
        let mut model = Model::default();
        for name in ["alice", "bob"] {
            let name: PersonName = name.parse().unwrap();
            model.people.insert(
                name.clone(),
                Person {
                    name,
                    email: None,
                    administrator: false,
                },
            );
        }
        model
    }

    fn resolve(principals: &[&str], id: &str) -> Result<Resolved, String> {
        let mapped = [
            ("alice@corp", "alice"),
            ("acme-devs", "acme:developer"),
            ("ghost@corp", "ghost"),
            ("bob", "acme:viewer"),
        ];
        let mapped = mapped
            .map(|(principal, stands)| (principal.to_owned(), stands.to_owned()))
            .into();
        let known = Principals::read(&mapped, "site/{site}:{role}").unwrap();
        let principals: Vec<String> = principals.iter().map(|one| (*one).to_owned()).collect();
        known.resolve(&principals, id, &model())
    }

    #[test]
    fn principals_stand_for_people_and_roles() {
        let alice = resolve(&["alice"], "x").unwrap();
        assert_eq!(
            (alice.person.as_str(), alice.visitor, alice.roles.len()),
            ("alice", false, 0)
        );
        let alice = resolve(&["alice@corp", "acme-devs", "nobody"], "x").unwrap();
        let acme: SiteName = "acme".parse().unwrap();
        assert_eq!(alice.roles.get(&acme), Some(&Role::Developer));
        let guest = resolve(&["site/acme:team_member", "acme-devs"], "zoe").unwrap();
        assert_eq!((guest.person.as_str(), guest.visitor), ("zoe", true));
        assert_eq!(guest.roles.get(&acme), Some(&Role::TeamMember));
    }

    #[test]
    fn what_stands_for_nobody_is_refused() {
        for (principals, id) in [
            (&[][..], "alice"),
            (&["nobody"], "alice"),
            (&["alice", "alice@corp", "ghost@corp"], "x"),
            (&["ghost@corp"], "x"),
            (&["acme-devs"], "alice"),
            (&["acme-devs"], "local"),
            (&["acme-devs"], "not a name"),
            (&["acme:developer"], "zoe"),
            (&["site/acme:owner"], "zoe"),
        ] {
            assert!(resolve(principals, id).is_err(), "{principals:?}");
        }
        // A word of the configuration takes the place of a person of that name.
        let mapped = resolve(&["bob"], "zoe").unwrap();
        assert!(mapped.visitor);
    }

    #[test]
    fn patterns_need_both_names_and_a_mark() {
        let none = BTreeMap::new();
        for pattern in [
            "{site}",
            "{role}:{site}",
            "{site}-{role}",
            "{site}{role}",
            "{site}:{role}:{x}",
        ] {
            assert!(Principals::read(&none, pattern).is_err(), "{pattern}");
        }
        assert!(Principals::read(&none, "").is_ok());
        assert!(Principals::read(&none, "{site}:{role}").is_ok());
    }
}
