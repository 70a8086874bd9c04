//! Makes a site's repository, and the password that only the gateway and its administrator know.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use data_encoding::BASE32_NOPAD;

use super::repository::{Nobody, Repository};
use super::restic::too_old;
use crate::crash;
use crate::database::Trouble;
use crate::fault::OrFault;

impl Repository {
    /// Makes it, unless there is one: under another name first, so that a half is never taken for it.
    ///
    /// # Errors
    /// [`Trouble::Refused`] when restic is missing or too old.
    pub(super) fn make(&self) -> Result<(), Trouble> {
        if self.exists() {
            return Ok(());
        }
        let doing = || format!("making a place for backups in {}", self.above.display());
        if !self.password().exists() {
            let fresh = self.above.join("backups.password.making");
            let mut secret = [0_u8; 32];
            getrandom::fill(&mut secret).or_fault(doing)?;
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)
                .or_fault(doing)?;
            file.write_all(BASE32_NOPAD.encode(&secret).as_bytes())
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&fresh, self.password()))
                .or_fault(doing)?;
            crash::point("backup-password-made");
        }
        let half = self.above.join("backups.restic.making");
        if half.exists() {
            fs::remove_dir_all(&half).or_fault(doing)?;
        }
        let mut command = self.command_on(&half);
        command.args(["init", "--repository-version", "2"]);
        let ended = self.run(command, None, &mut |_said| Ok(()), &Nobody)?;
        if !ended.status.success() {
            let _ = fs::remove_dir_all(&half);
            if ended.complaint.contains("unknown flag") {
                return Err(Trouble::Refused(too_old(&self.program)));
            }
            return Err(self.failed("making a place for backups", &ended));
        }
        crash::point("backup-repository-made");
        fs::rename(&half, self.folder()).or_fault(doing)?;
        fs::File::open(&self.above)
            .and_then(|above| above.sync_all())
            .or_fault(doing)?;
        Ok(())
    }
}
