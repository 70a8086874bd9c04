//! Sites and their teams.

use policy::{Action, PersonName, Role, SiteName, SitePath, Target};
use serde_json::Value;

use super::table::Table;
use super::{Done, Run, Stop};
use crate::gate::{Evidence, Permit};
use crate::site::import::Source;
use crate::site::settings::{self, Wanted};
use crate::site::{blocking, holds};
use crate::state::{Subject, for_people};

impl Run<'_> {
    pub(super) async fn site_create(
        &mut self,
        name: SiteName,
        from: Option<String>,
        trunk: Option<String>,
        files_path: Option<String>,
    ) -> Done {
        let permit = self.permit(Action::CreateSite, &Target::Site(name.clone()))?;
        let wanted = Wanted {
            name: name.clone(),
            trunk,
            files_path: files_path.map(|path| uploads_path(&path)).transpose()?,
            from: source(from, self.reply.is_local())?,
        };
        let sites = self.console.sites.clone();
        let notes = blocking(move || Ok(settings::create_site(&sites, permit, wanted))).await??;
        for note in notes {
            self.reply.tell(&note).await;
        }
        let text = format!(
            "Created the site '{name}'. Dev is in SFTP mode; connection:info {name}.dev shows how to connect.\n"
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn site_list(&mut self) -> Done {
        let model = self.console.state.model();
        let mut table = Table::new(&["name", "role", "trunk", "environments", "created"]);
        for (name, site) in &model.sites {
            let standing = self.console.gate.standing(self.who, name);
            let Some(role) = standing.role() else {
                continue;
            };
            let environments: Vec<&str> = site
                .environments
                .keys()
                .map(|environment| environment.as_str())
                .collect();
            table.push(vec![
                name.as_str().into(),
                role.as_str().into(),
                site.trunk.as_str().into(),
                environments.join(" ").into(),
                for_people(site.created).into(),
            ]);
        }
        if table.is_empty() {
            self.reply.tell("You have a part in no site.").await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn site_info(&mut self, name: SiteName) -> Done {
        self.view(&name)?;
        let model = self.console.state.model();
        let site = model
            .sites
            .get(&name)
            .ok_or_else(|| Stop::Failed(format!("{name} is gone.")))?;
        let approves = |subject| model.holds(&name).approved.contains(&subject).into();
        let held = match self.held(&name).as_slice() {
            [] => Value::Null,
            lines => lines.join("; ").into(),
        };
        let runs = |environment: &policy::Environment| {
            site.environments
                .get(environment)
                .and_then(|state| state.commit)
                .map_or(Value::Null, |commit| commit.to_string().into())
        };
        let mut fields: Vec<(&'static str, Value)> = vec![
            ("name", name.as_str().into()),
            ("trunk", site.trunk.as_str().into()),
            (
                "files_path",
                site.files_path
                    .as_ref()
                    .map_or(Value::Null, |path| path.to_string().into()),
            ),
            ("force_push", site.force_push.into()),
            ("step_network", site.step_network.into()),
            ("hotfix_require_test", site.hotfix_require_test.into()),
            ("created", for_people(site.created).into()),
            ("members", site.team.len().into()),
            ("dev", runs(&policy::Environment::Dev)),
            ("test", runs(&policy::Environment::Test)),
            ("live", runs(&policy::Environment::Live)),
            ("open_hotfixes", site.open_hotfixes.len().into()),
            ("approve_live", approves(Subject::Deploy)),
            ("approve_hotfix", approves(Subject::Hotfix)),
            ("held", held),
        ];
        fields.extend(self.content_of_site(&name));
        let table = Table::record(fields);
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn site_set(
        &mut self,
        site: SiteName,
        setting: &str,
        values: &[String],
    ) -> Done {
        match setting {
            "database" => return self.site_set_database(site, values).await,
            "skip-tables" => return self.site_set_skipping(site, values).await,
            _yes_or_no => {}
        }
        let on = match values {
            [word] if word == "yes" => true,
            [word] if word == "no" => false,
            _other => return Err(Stop::Failed(format!("'{setting}' is yes or no."))),
        };
        if setting == "step-network" {
            return self.site_set_step_network(site, on).await;
        }
        let permit = self.permit(Action::ChangeTeam, &Target::Site(site.clone()))?;
        let state = &self.console.state;
        if setting == "hotfix-require-test" {
            settings::set_hotfix_require_test(state, permit, on)?;
            let text = if on {
                format!("A hotfix of {site} goes to Live only after the same commit ran on Test.\n")
            } else {
                format!("A hotfix of {site} may go to Live at once.\n")
            };
            let _ = self.reply.out(&text).await;
            return Ok(());
        }
        let subject = match setting {
            "approve-live" => Some(Subject::Deploy),
            "approve-hotfix" => Some(Subject::Hotfix),
            _force_push => None,
        };
        let text = match subject {
            Some(subject) => {
                holds::set_approval_rule(state, permit, subject, on)?;
                let word = if on { "needs" } else { "needs no" };
                format!("A {subject} to Live of {site} {word} approval by a second person.\n")
            }
            None => {
                settings::set_force_push(state, permit, on)?;
                let word = if on { "may" } else { "may not" };
                format!("Trunk of {site} {word} be force-pushed.\n")
            }
        };
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    async fn site_set_step_network(&mut self, site: SiteName, allowed: bool) -> Done {
        let permit = self.permit(Action::SetStepNetwork, &Target::Site(site.clone()))?;
        settings::set_step_network(&self.console.state, permit, allowed)?;
        let word = if allowed { "reach" } else { "do not reach" };
        let text = format!("Steps of {site} {word} the network.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn team_list(&mut self, name: SiteName) -> Done {
        self.view(&name)?;
        let model = self.console.state.model();
        let mut table = Table::new(&["name", "email", "role"]);
        if let Some(site) = model.sites.get(&name) {
            for (person, role) in &site.team {
                let email = model
                    .people
                    .get(person)
                    .and_then(|person| person.email.clone());
                table.push(vec![
                    person.as_str().into(),
                    email.map_or(Value::Null, Value::from),
                    role.as_str().into(),
                ]);
            }
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn team_add(
        &mut self,
        site: SiteName,
        person: PersonName,
        role: Role,
    ) -> Done {
        let permit = self.permit(Action::ChangeTeam, &Target::Site(site.clone()))?;
        if !self.console.state.model().people.contains_key(&person) {
            permit.forget();
            return Err(Stop::Failed(format!(
                "There is nobody called '{person}' on this server. A server administrator adds people: user:add {person}."
            )));
        }
        settings::put_member(&self.console.state, permit, &person, role)?;
        let text = format!("Added {person} to the team of {site} as {role}.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn team_role(
        &mut self,
        site: SiteName,
        person: PersonName,
        role: Role,
    ) -> Done {
        let permit = self.permit(Action::ChangeTeam, &Target::Site(site.clone()))?;
        let permit = self.among(permit, &site, &person)?;
        settings::put_member(&self.console.state, permit, &person, role)?;
        let text = format!("{person} is now {role} of {site}.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn team_remove(&mut self, site: SiteName, person: PersonName) -> Done {
        let permit = self.permit(Action::ChangeTeam, &Target::Site(site.clone()))?;
        let permit = self.among(permit, &site, &person)?;
        settings::remove_member(&self.console.state, permit, &person)?;
        self.lock_out(&site).await;
        let text = format!("Removed {person} from the team of {site}.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    fn among(&self, permit: Permit, site: &SiteName, person: &PersonName) -> Result<Permit, Stop> {
        let model = self.console.state.model();
        let is_member = model
            .sites
            .get(site)
            .is_some_and(|site| site.team.contains_key(person));
        if is_member {
            return Ok(permit);
        }
        permit.forget();
        Err(Stop::Failed(format!(
            "{person} is not in the team of {site}."
        )))
    }

    /// Asks for a permit that needs no evidence.
    pub(super) fn permit(&self, action: Action, target: &Target) -> Result<Permit, Stop> {
        Ok(self
            .console
            .gate
            .authorize(self.who, action, target, Evidence::default())?)
    }

    /// Asks whether the person may look at a site.
    pub(super) fn view(&self, site: &SiteName) -> Done {
        self.permit(Action::ViewSite, &Target::Site(site.clone()))?
            .forget();
        Ok(())
    }
}

fn uploads_path(text: &str) -> Result<SitePath, Stop> {
    let path = SitePath::normalize(text.as_bytes())
        .map_err(|_| Stop::Failed("--files-path is no path.".to_owned()))?;
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if path.is_empty() || !plain || path.names_git_directory() || text.contains("..") {
        return Err(Stop::Failed(
            "--files-path must be a path inside the code, such as wp-content/uploads.".to_owned(),
        ));
    }
    Ok(path)
}

fn source(from: Option<String>, local: bool) -> Result<Source, Stop> {
    let Some(from) = from else {
        return Ok(Source::Empty);
    };
    let scp_like = from
        .split_once(':')
        .is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    if from.contains("://") || scp_like {
        if from.starts_with("file:") && !local {
            return Err(Stop::Failed(server_paths()));
        }
        return Ok(Source::Url(from));
    }
    if !local {
        return Err(Stop::Failed(server_paths()));
    }
    let path = std::path::PathBuf::from(&from);
    if !path.is_absolute() {
        return Err(Stop::Failed(format!(
            "'{}' is neither a URL nor an absolute path.",
            policy::escape(from.as_bytes())
        )));
    }
    if path.is_file() {
        Ok(Source::Bundle(path))
    } else {
        Ok(Source::Directory(path))
    }
}

fn server_paths() -> String {
    "Folders and bundles of the server can be named on the server itself only; over SSH give the \
     URL of a git repository, or make an empty site and push to it."
        .to_owned()
}
