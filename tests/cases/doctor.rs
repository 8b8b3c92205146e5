//! What `check` has to find on a machine on which somebody else has been at work.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cases::cli::rig;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn what_others_may_read_of_the_state_is_named_with_the_command_that_mends_it() {
    let (rig, _judge) = rig();
    rig.waxwing(&["renew"]).expect(0);
    let check = || rig.waxwing(&["check", "--offline"]);
    let good = check().expect(0);
    let quiet = |said: &str| !said.contains("others may read") && !said.contains("owner's alone");
    assert!(quiet(&good.stdout), "{}", good.stdout);

    let key = rig.stored("one").join("privkey.pem");
    chmod(&key, 0o644);
    check()
        .expect(1)
        .says("others may read 1 private key")
        .says(&format!("chmod go= {}", key.display()));
    chmod(&key, 0o600);

    let mut accounts = walk(&rig.path("state/accounts"));
    accounts.retain(|path| path.ends_with("key.pem"));
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    chmod(&accounts[0], 0o640);
    check()
        .expect(1)
        .says("others may read 1 private key")
        .says(&format!("chmod go= {}", accounts[0].display()));
    chmod(&accounts[0], 0o600);

    let state = rig.path("state");
    chmod(&state, 0o755);
    check()
        .expect(0)
        .says("the state folder is not its owner's alone")
        .says(&format!("chmod go= {}", state.display()));
    chmod(&state, 0o700);
    assert_eq!(check().expect(0).stdout, good.stdout);
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => walk(&path),
            false => vec![path],
        })
        .collect()
}
