//! What bare `ssh HOST` shows.

use policy::Environment;

use super::command::SiteEnvironment;
use super::{Done, Run, Stop};

/// So many Multidevs of each site are shown; `multidev:list` has all.
const MOST_MULTIDEVS: usize = 5;

impl Run<'_> {
    pub(super) async fn greet(&mut self, place: Option<SiteEnvironment>) -> Done {
        let model = self.console.state.model();
        let address = self.console.gate.address();
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "2222"));
        let mut text = format!(
            "Hello, {}! This is Funicular: code goes up, content comes down.\n",
            self.who.person
        );
        let mine: Vec<_> = model
            .sites
            .values()
            .filter(|site| {
                self.console
                    .gate
                    .standing(self.who, &site.name)
                    .role()
                    .is_some()
            })
            .collect();
        if mine.is_empty() {
            text.push_str(
                "You have a part in no site yet; ask an administrator to add you to a team.\n",
            );
        } else {
            text.push_str("Your sites:\n");
        }
        for site in &mine {
            let name = &site.name;
            text.push_str(&format!(
                "  {name}\n    sftp -P {port} dev.{name}@{host}\n    git clone ssh://dev.{name}@{address}/repository.git {name}\n    ssh -p {port} {host} env:list {name}\n"
            ));
            let multidevs = site
                .environments
                .keys()
                .filter(|environment| matches!(environment, Environment::Multidev(_)));
            for multidev in multidevs.take(MOST_MULTIDEVS) {
                text.push_str(&format!("    sftp -P {port} {multidev}.{name}@{host}\n"));
            }
            for hotfix in &site.open_hotfixes {
                text.push_str(&format!(
                    "    Live runs hotfix/{} of {}, which trunk lacks: hotfix:merge {name} {}\n",
                    hotfix.name, hotfix.person, hotfix.name
                ));
            }
            for line in self.held(name) {
                text.push_str(&format!("    {line}\n"));
            }
        }
        text.push_str(&format!("All commands: ssh -p {port} {host} help\n"));
        let _ = self.reply.out(&text).await;
        match place {
            // There is no shell; who asked for one at an environment did not get what they wanted.
            Some(place) => Err(Stop::Failed(format!(
                "Funicular gives no shell. {} is reached by SFTP and git; ssh -p {port} {host} env:info {place} tells about it.",
                match &place.environment {
                    Environment::Dev | Environment::Test | Environment::Live => {
                        place.environment.title().to_owned()
                    }
                    Environment::Multidev(name) => name.to_string(),
                }
            ))),
            None => {
                self.reply.tell("Funicular gives no shell.").await;
                Ok(())
            }
        }
    }
}
