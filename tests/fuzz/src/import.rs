//! The files of other ACME clients.

use waxwing_core::import::tree::Tree;
use waxwing_core::import::words::{plain_words, windows_words};
use waxwing_core::import::{self, Client};

/// Where each client has files.
const PLACES: [(Client, &str); 12] = [
    (Client::Certbot, "renewal/a.conf"),
    (Client::Certbot, "a.ini"),
    (
        Client::Certbot,
        "accounts/ca.example/dir/1/private_key.json",
    ),
    (Client::AcmeSh, "account.conf"),
    (Client::AcmeSh, "a/a.conf"),
    (Client::AcmeSh, "ca/ca.example/dir/ca.conf"),
    (Client::Lego, "accounts/ca.example/a/account.json"),
    (Client::Lego, "certificates/a.json"),
    (Client::SimpleAcme, "ca.example/a.renewal.json"),
    (Client::SimpleAcme, "settings.json"),
    (Client::WinAcme, "ca.example/Signer_v2"),
    (Client::WinAcme, "ca.example/Registration_v2"),
];

/// A file of a client, at every place where one may be, beside files that are as they should be.
pub(crate) fn import(bytes: &[u8]) {
    for (client, place) in PLACES {
        let mut tree = Tree::of("ca.example");
        tree.add("accounts/ca.example/dir/1/regr.json", Ok(b"{}".to_vec()));
        tree.add("accounts/ca.example/a/keys/a.key", Ok(b"key".to_vec()));
        tree.add("ca/ca.example/dir/account.key", Ok(b"key".to_vec()));
        tree.add("ca.example/Signer_v2", Ok(b"{}".to_vec()));
        tree.add("ca.example/Registration_v2", Ok(b"{}".to_vec()));
        tree.add(place, Ok(bytes.to_vec()));
        let _paths = import::outside(client, &tree);
        let imported = import::read(client, &tree);
        for one in &imported.unread {
            assert!(!one.cause.is_empty(), "a reason without words");
        }
    }
    let text = crate::text(bytes);
    let _words = plain_words(&text);
    let _words = windows_words(&text);
}
