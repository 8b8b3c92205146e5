//! Access lists of Windows: as `acl` has them, as `icacls` takes them, and as the system writes them
//! down (SDDL, [MS-DTYP] section 2.5.1).
//!
//! What a newcomer gets wrong: `Administrators` is called so by an English Windows alone. Groups of the
//! system are handed on by their numbers, which are the same everywhere.

/// Groups and users that every Windows has, by their English names and their numbers ([MS-DTYP] section
/// 2.4.2.4).
const WELL_KNOWN: [(&str, &str); 9] = [
    ("SYSTEM", "S-1-5-18"),
    ("LOCAL SERVICE", "S-1-5-19"),
    ("NETWORK SERVICE", "S-1-5-20"),
    ("Administrators", "S-1-5-32-544"),
    ("Users", "S-1-5-32-545"),
    ("IIS_IUSRS", "S-1-5-32-568"),
    ("Authenticated Users", "S-1-5-11"),
    ("Everyone", "S-1-1-0"),
    ("OWNER RIGHTS", "S-1-3-4"),
];

/// Who owns a thing that only its owner is to read. Administrators could take it in any case, and the
/// system runs the timer.
const OURS: [&str; 3] = ["SYSTEM", "Administrators", "OWNER RIGHTS"];

/// What has an access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A file.
    File,
    /// A folder; what is made in it gets the same list.
    Folder,
}

/// The words behind the path that give a new file this list, and nothing from its folder. `entries` are
/// those of `acl`: `WHO:full`, `WHO:modify`, `WHO:read`.
pub fn listed(entries: &[String]) -> Vec<String> {
    let split = |entry: &'_ String| {
        let (who, right) = entry.rsplit_once(':').unwrap_or((entry, "full"));
        grant(Object::File, who, right)
    };
    words(entries.iter().map(split))
}

/// The words behind the path that make something its owner's, the administrators' and the system's
/// alone.
pub fn private(object: Object) -> Vec<String> {
    words(OURS.iter().map(|who| grant(object, who, "full")))
}

/// The words behind the path that let everybody look into a folder, and nobody else change it.
pub fn open_to_look(object: Object) -> Vec<String> {
    let ours = OURS.iter().map(|who| grant(object, who, "full"));
    words(ours.chain([grant(object, "Users", "read")]))
}

fn words(grants: impl Iterator<Item = String>) -> Vec<String> {
    let mut words = vec!["/inheritance:r".to_owned()];
    for grant in grants {
        words.extend(["/grant:r".to_owned(), grant]);
    }
    words
}

/// One entry as `icacls` takes it.
fn grant(object: Object, who: &str, right: &str) -> String {
    let known = WELL_KNOWN
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(who));
    let who = known.map_or_else(|| who.to_owned(), |(_, number)| format!("*{number}"));
    let inherited = match object {
        Object::File => "",
        Object::Folder => "(OI)(CI)",
    };
    // Looking into a folder is more than reading it: it has to be entered.
    let right = match (right, object) {
        ("modify", _) => "M",
        ("read", Object::File) => "R",
        ("read", Object::Folder) => "RX",
        _ => "F",
    };
    format!("{who}:{inherited}{right}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: Vec<String>, want: &str) {
        assert_eq!(words.join(" "), want);
    }

    #[test]
    fn groups_of_the_system_go_by_number_and_others_by_name() {
        for (entry, want) in [
            ("SYSTEM:full", "*S-1-5-18:F"),
            ("system:full", "*S-1-5-18:F"),
            ("Administrators:full", "*S-1-5-32-544:F"),
            ("IIS_IUSRS:read", "*S-1-5-32-568:R"),
            ("Network Service:read", "*S-1-5-20:R"),
            (r"CORP\web-farm$:modify", r"CORP\web-farm$:M"),
            ("*S-1-5-21-1-2-3-1001:read", "*S-1-5-21-1-2-3-1001:R"),
        ] {
            check(
                listed(&[entry.to_owned()]),
                &format!("/inheritance:r /grant:r {want}"),
            );
        }
    }

    #[test]
    fn what_is_ours_is_for_the_system_the_administrators_and_the_owner() {
        check(
            private(Object::File),
            "/inheritance:r /grant:r *S-1-5-18:F /grant:r *S-1-5-32-544:F /grant:r *S-1-3-4:F",
        );
        check(
            private(Object::Folder),
            "/inheritance:r /grant:r *S-1-5-18:(OI)(CI)F /grant:r *S-1-5-32-544:(OI)(CI)F \
             /grant:r *S-1-3-4:(OI)(CI)F",
        );
        let open = open_to_look(Object::Folder).join(" ");
        assert!(
            open.ends_with("/grant:r *S-1-5-32-545:(OI)(CI)RX"),
            "{open}"
        );
    }
}
