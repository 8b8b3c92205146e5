//! What installers have put in place: `installed/PLUGIN.toml`.

use waxwing_core::name::CertificateName;
use waxwing_flow::certificate::InstalledMark;

use super::{FileStore, format, read};

impl FileStore {
    /// What installers have put in place. Without the note of it, it is installed once more.
    pub(super) fn installed(&self, name: &CertificateName) -> Vec<InstalledMark> {
        let paths = read::ignored(name, read::children(&self.layout.installed(name)));
        // There are many certificates and few installers.
        let mut marks = Vec::with_capacity(paths.len());
        for path in paths {
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                marks.extend(read::note(name, &path, format::read_installed));
            }
        }
        marks.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        marks
    }
}
