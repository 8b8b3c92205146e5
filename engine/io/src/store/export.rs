//! What is handed over to people: a version, and files of it outside of the state folder.

use std::path::Path;

use waxwing_core::name::CertificateName;
use waxwing_flow::audit::Act;
use waxwing_flow::certificate::StoredVersion;
use waxwing_flow::ports::{CertificateStore as _, StoreError};

use super::{FileStore, atomic};
use crate::export::ExportFile;

impl FileStore {
    /// The current version of a certificate that has to be there.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn stored(&self, name: &CertificateName) -> Result<StoredVersion, StoreError> {
        let found = self.current(name)?;
        found.ok_or_else(|| self.unknown("export", name))
    }

    /// Writes files of a version of a certificate into a folder outside of the state folder, which is made
    /// if it is not there. Existing files of these names are replaced, whole or not at all.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn hand_over(
        &self,
        (name, version): (&CertificateName, u32),
        to: &Path,
        files: &[ExportFile],
    ) -> Result<(), StoreError> {
        atomic::create_dir(to)?;
        // Whoever reads the trail does not know where somebody stood.
        let whole = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
        for (file, content) in files {
            let path = to.join(file);
            atomic::replace_shielded(&path, content.expose())?;
            self.audit.enter(&Act::Exported {
                path: whole.join(file).display().to_string(),
                certificate: name.clone(),
                version,
            });
        }
        Ok(())
    }
}
