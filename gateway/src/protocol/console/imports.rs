//! Content from outside: dumps and archives, from standard input, an environment's `/tmp`, or the web.

use policy::{Action, Elements, Environment, SiteName, SitePath};

use super::command::SiteEnvironment;
use super::content_command::Meant;
use super::contents::{Replacing, elements};
use super::{Done, Run, Stop};
use crate::site::content::{self, Parts, Source};

impl Run<'_> {
    pub(super) async fn import_database(
        &mut self,
        place: SiteEnvironment,
        file: &str,
        meant: Meant,
    ) -> Done {
        let wanted = elements(Parts {
            database: true,
            files: false,
        });
        let source = self.import_from(file)?;
        let replacing = import(place, "import_database", wanted, meant, &source);
        self.replace(replacing, |sites, run, permit| {
            content::import_database(sites, run, permit, source)
        })
        .await
    }

    pub(super) async fn import_files(
        &mut self,
        place: SiteEnvironment,
        file: &str,
        meant: Meant,
    ) -> Done {
        let wanted = elements(Parts {
            database: false,
            files: true,
        });
        let source = self.import_from(file)?;
        let replacing = import(place, "import_files", wanted, meant, &source);
        self.replace(replacing, |sites, run, permit| {
            content::import_files(sites, run, permit, source)
        })
        .await
    }

    pub(super) async fn import_site(&mut self, site: SiteName, file: &str) -> Done {
        let place = SiteEnvironment {
            site,
            environment: Environment::Dev,
        };
        let wanted = Elements {
            code: true,
            database: true,
            files: true,
        };
        let source = self.import_from(file)?;
        let replacing = import(place, "import_site", wanted, Meant::default(), &source);
        self.replace(replacing, |sites, run, permit| {
            content::import_site(sites, run, permit, source)
        })
        .await
    }

    /// Reads where something is to come from.
    pub(super) fn import_from(&mut self, file: &str) -> Result<Source, Stop> {
        if file == "-" {
            let reading = self.reply.reading()?;
            return Ok(Source::Stream(Box::new(reading)));
        }
        if file.contains("://") {
            return Ok(Source::Url(file.to_owned()));
        }
        let unreadable = || {
            Stop::Failed(format!(
                "'{}' is no place to import from: give /tmp/FILE for a file that was uploaded to the environment's /tmp, - for standard input, or an address of http or https.",
                policy::escape(file.as_bytes())
            ))
        };
        let path = SitePath::normalize(file.as_bytes()).map_err(|_| unreadable())?;
        match path.split_first() {
            Some((area, rest)) if area == b"tmp" && !rest.is_empty() => Ok(Source::Place(rest)),
            _elsewhere => Err(unreadable()),
        }
    }
}

fn import(
    place: SiteEnvironment,
    kind: &'static str,
    wanted: Elements,
    meant: Meant,
    source: &Source,
) -> Replacing {
    Replacing {
        place,
        kind,
        action: Action::ImportContent,
        wanted,
        source: None,
        meant,
        reads: matches!(source, Source::Stream(_)),
        detail: Some(format!("from {}", source.described())),
    }
}
