//! Content for outside: to standard output, as fast as the client takes it, or into `/backups`.

use std::io::{BufWriter, Write};

use policy::{Action, Elements};

use super::carry::Writing;
use super::command::SiteEnvironment;
use super::contents::elements;
use super::{Done, Run, Stop};
use crate::gate::Permit;
use crate::site::content::{self, Archive, Kept, Parts, Unwatched};
use crate::site::{Sites, Undone, blocking};

impl Run<'_> {
    pub(super) async fn export_database(
        &mut self,
        place: SiteEnvironment,
        to: Option<String>,
    ) -> Done {
        let wanted = elements(Parts {
            database: true,
            files: false,
        });
        self.export(place, wanted, to, |sites, permit, out| {
            content::export_database(sites, permit, out, &Unwatched)
        })
        .await
    }

    pub(super) async fn export_files(
        &mut self,
        place: SiteEnvironment,
        kind: &str,
        to: Option<String>,
    ) -> Done {
        let wanted = elements(Parts {
            database: false,
            files: true,
        });
        let form = match kind {
            "tar" => Archive::Tar,
            "tar.zst" => Archive::TarZst,
            _usual => Archive::TarGz,
        };
        self.export(place, wanted, to, move |sites, permit, out| {
            content::export_files(sites, permit, form, out, &Unwatched)
        })
        .await
    }

    async fn export(
        &mut self,
        place: SiteEnvironment,
        wanted: Elements,
        to: Option<String>,
        work: impl FnOnce(&Sites, Permit, &mut (dyn Write + Send)) -> Result<(), Undone>
        + Send
        + 'static,
    ) -> Done {
        self.view(&place.site)?;
        let facts = self.facts_of(&place, wanted, None).await?;
        let permit = self.authorize_content(&place, Action::ExportContent, facts)?;
        let sites = self.console.sites.clone();
        if let Some(name) = to {
            let said = format!("Wrote /backups/{name} of {place}.\n");
            blocking(move || {
                let mut kept = match Kept::begin(&sites, &permit, &name) {
                    Ok(kept) => kept,
                    Err(undone) => {
                        permit.forget();
                        return Ok(Err(undone));
                    }
                };
                Ok(work(&sites, permit, &mut kept).and_then(|()| kept.complete()))
            })
            .await??;
            let _ = self.reply.out(&said).await;
            return Ok(());
        }
        self.stream(permit, move |permit, out| {
            let mut out = BufWriter::new(out);
            let done = work(&sites, permit, &mut out);
            // What did not go out was told by the work itself, or is told by what carries it.
            let _ = out.flush();
            done
        })
        .await
    }

    /// Runs work whose result is standard output.
    pub(super) async fn stream(
        &mut self,
        permit: Permit,
        work: impl FnOnce(Permit, &mut Writing) -> Result<(), Undone> + Send + 'static,
    ) -> Done {
        let (mut writing, carrying) = match self.reply.writing() {
            Ok(both) => both,
            Err(sentence) => {
                permit.forget();
                return Err(Stop::Failed(sentence));
            }
        };
        let done = blocking(move || {
            let done = work(permit, &mut writing);
            drop(writing);
            Ok(done)
        })
        .await?;
        let carried = carrying.end().await;
        done?;
        carried
            .map(drop)
            .map_err(|_| Stop::Failed("The client has gone before it had everything.".to_owned()))
    }
}
