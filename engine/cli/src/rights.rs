//! Rights of granted files that this machine cannot give: an installation would fail over them.

use waxwing_core::name::PluginName;
use waxwing_core::settings::Settings;
use waxwing_host::rights;

/// An owner or a group that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoSuchOwner<'s> {
    /// Whose grant it is.
    pub(crate) plugin: &'s PluginName,
    /// What the configuration says, and where.
    pub(crate) text: String,
    /// What to do.
    pub(crate) hint: String,
}

/// Every owner and group of granted folders that this machine does not have.
pub(crate) fn unknown(settings: &Settings) -> Vec<NoSuchOwner<'_>> {
    let mut found = Vec::new();
    for plugin in settings.plugins.values() {
        for (purpose, grant) in &plugin.grants.files {
            for (key, name) in rights::unknown_owners(grant) {
                let (kind, database) = match key {
                    "group" => ("group", "group"),
                    _ => ("user", "passwd"),
                };
                found.push(NoSuchOwner {
                    plugin: &plugin.name,
                    text: format!(
                        "{}: grants.files.{purpose} has the {key} {name:?}, and this machine has \
                         no such {kind}",
                        plugin.name
                    ),
                    hint: format!(
                        "`getent {database}` lists those that there are; a number may stand there too"
                    ),
                });
            }
        }
    }
    found
}
