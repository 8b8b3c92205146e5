//! What must hold of a cell, by the report and by the ledgers of its CAs.

use waxwing_flow::ports::KeyMaker as _;
use waxwing_io::keys::LocalKeys;
use waxwing_world::traffic::Class;

use super::cell::Play;
use super::judge::Office;

impl Play {
    /// One line has to name the URL that failed and how it did.
    pub(super) fn check_causes(&mut self, lines: &[String]) {
        let url = self.first.url();
        let names = |line: &String| {
            let signs = self.cell.ill.signs();
            let of_the_endpoint = line.match_indices(&url).any(|(at, _)| {
                let path = &line[at + url.len()..];
                let end = path.find([' ', ':', ';']).unwrap_or(path.len());
                let class = (self.line.classify)(&path[..end]);
                // Whoever asks for a nonce over a connection that is closed for another request
                // meets just that.
                class == self.cell.endpoint.class()
                    || (self.cell.ill.closes_the_connection() && class == Class::NewNonce)
            });
            of_the_endpoint && signs.iter().any(|sign| line.contains(sign))
        };
        if !lines.iter().any(names) {
            self.wrong.push(format!("the cause is not told: {lines:?}"));
        }
    }

    pub(super) fn check_records(&mut self) {
        let left = self.records.left();
        if !left.is_empty() {
            self.wrong.push(format!("records are left: {left:?}"));
        }
    }

    /// What must hold when everything is over, with so many certificates from so many runs.
    pub(super) fn check_end(&mut self, versions: u32) {
        self.check_records();
        let (first, spare) = (
            self.first.ledger(),
            self.spare.as_ref().map(Office::ledger).unwrap_or_default(),
        );
        let mut wrong = Vec::new();
        let wanted = usize::try_from(versions).expect("few");
        let (here, there) = (first.finalized, spare.finalized);
        // One that could not be fetched may be left where the fault is when another CA has helped.
        let fine = match there {
            0 => here == wanted,
            _ => there == wanted && here <= wanted,
        };
        if !fine {
            wrong.push(format!(
                "{here} and {there} certificates were issued, {wanted} wanted"
            ));
        }
        if first.accounts > 1 || spare.accounts > 1 {
            wrong.push(format!("{} accounts were made", first.accounts));
        }
        let given_up = first.orders.saturating_sub(here);
        if first.pending > 2 * given_up {
            wrong.push(format!("{} authorizations are left", first.pending));
        }
        let store = self.ports().session.store;
        match store.current(&self.name).expect("readable") {
            None => wrong.push("nothing is stored".to_owned()),
            Some(current) => {
                let all = first.certificates.iter().chain(&spare.certificates);
                let same = |pem: &String| pem.trim() == current.pem.cert.trim();
                if !all.into_iter().any(same) {
                    wrong.push("what is stored was never issued".to_owned());
                }
                let key = LocalKeys.public_key_sha256(&current.key).expect("a key");
                if key != current.facts.public_key_sha256 {
                    wrong.push("the stored key is another".to_owned());
                }
                if current.version != versions {
                    wrong.push(format!("version {} is stored", current.version));
                }
            }
        }
        let open = store.open_journals().expect("readable");
        if !open.is_empty() {
            wrong.push("a journal is open".to_owned());
        }
        self.wrong.append(&mut wrong);
    }
}
