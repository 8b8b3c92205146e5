//! `waxwing account`: the accounts at the CAs, and changes of them.

use std::sync::Arc;

use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::settings::Settings;
use waxwing_flow::account::{self, AccountError, ContactChange, Deactivated, Drift, RolledOver};
use waxwing_flow::ports::{AccountRecord, CertificateStore as _};
use waxwing_flow::session::{AccountFrom, CaSession, SessionPorts};
use waxwing_flow::terms;
use waxwing_io::store::FileStore;

use super::{ca, start};
use crate::args::Global;
use crate::args::account::{Account, AccountVerb};
use crate::exit::Exit;
use crate::load::{self, Loaded};
use crate::refusal::Refusal;
use crate::render::account::{self as page, Change, Listed, Outcome};
use crate::render::json::Document;
use crate::render::terminal::Terminal;
use crate::wire;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Account,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let loaded = load::load(global)?;
    load::refuse_foreign_programs(&loaded.settings)?;
    let desk = Desk::to_look(&loaded)?;
    let (verb, changes) = match &arguments.verb {
        None | Some(AccountVerb::List) => return desk.list(terminal),
        Some(AccountVerb::Register { cas }) => {
            let profiles = desk.profiles(cas)?;
            let desk = desk.opened()?;
            let changes = start::runtime()?.block_on(desk.opened()?.register(&profiles));
            ("account register", changes)
        }
        Some(AccountVerb::Contact { cas }) => {
            let accounts = desk.accounts(cas)?;
            let changes = if accounts.is_empty() {
                Vec::new()
            } else {
                start::runtime()?.block_on(desk.opened()?.contact(&accounts))
            };
            ("account contact", changes)
        }
        Some(AccountVerb::Rollover { ca }) => {
            let accounts = desk.accounts(std::slice::from_ref(ca))?;
            let changes = start::runtime()?.block_on(desk.opened()?.roll_over(&accounts));
            ("account rollover", changes)
        }
        Some(AccountVerb::Agree { ca, yes }) => {
            let changes = desk.agree(ca, *yes, terminal)?;
            ("account agree", changes)
        }
        Some(AccountVerb::Deactivate { ca, yes }) => {
            let accounts = desk.accounts(std::slice::from_ref(ca))?;
            agree(ca, *yes, terminal)?;
            let changes = start::runtime()?.block_on(desk.opened()?.deactivate(&accounts));
            ("account deactivate", changes)
        }
    };
    let now = start::now();
    if terminal.json {
        terminal.print(&Document::new(verb, now, page::changes_json(&changes)).to_text());
    } else {
        let text = page::changes(&changes, &terminal.context(now));
        terminal.print(&text);
    }
    Ok(page::exit_of(&changes))
}

/// Refuses to give an account up unless somebody says yes.
fn agree(ca: &str, yes: bool, terminal: &mut Terminal) -> Result<(), Refusal> {
    let question = format!("Give the account at {ca} up? There is no way back.");
    if yes || (terminal.can_ask() && terminal.ask(&question)) {
        return Ok(());
    }
    let message =
        format!("an account that is given up cannot be had again; nothing was done at {ca}");
    Err(Refusal::new(Exit::Usage, message).hint(format!("`waxwing account deactivate {ca} --yes`")))
}

/// What the verbs work with.
struct Desk<'a> {
    ports: SessionPorts,
    loaded: &'a Loaded,
    store: Arc<FileStore>,
}

/// One account and the profile of its CA.
type Held<'a> = (&'a CaProfile, AccountRecord);

impl<'a> Desk<'a> {
    /// A desk that only looks.
    fn to_look(loaded: &'a Loaded) -> Result<Self, Refusal> {
        Self::at(loaded, wire::look(loaded)?)
    }

    /// The same with a state folder that is there and ours, to change accounts.
    fn opened(&self) -> Result<Self, Refusal> {
        Self::at(self.loaded, wire::store(self.loaded)?)
    }

    fn at(loaded: &'a Loaded, store: Arc<FileStore>) -> Result<Self, Refusal> {
        Ok(Self {
            ports: wire::session(loaded, Arc::clone(&store))?,
            loaded,
            store,
        })
    }

    const fn settings(&self) -> &'a Settings {
        &self.loaded.settings
    }

    fn list(&self, terminal: &mut Terminal) -> Result<Exit, Refusal> {
        let used = self.settings().used_cas();
        let mut listed = Vec::new();
        for ca in &used {
            if let Some(profile) = self.settings().cas.get(ca) {
                listed.push(self.listed(profile, true)?);
            }
        }
        for profile in self.settings().cas.values() {
            if !used.contains(&profile.name) {
                let other = self.listed(profile, false)?;
                listed.extend(Some(other).filter(|other| !other.accounts.is_empty()));
            }
        }
        let now = start::now();
        if terminal.json {
            terminal.print(&Document::new("account list", now, page::list_json(&listed)).to_text());
        } else {
            let text = page::list(&listed, &terminal.context(now));
            terminal.print(&text);
        }
        Ok(Exit::Done)
    }

    fn listed(&self, profile: &CaProfile, named: bool) -> Result<Listed, Refusal> {
        let records = self.store.accounts(&profile.name)?;
        let terms = terms::of_ca(self.store.as_ref(), &profile.name)?;
        let drift = records
            .iter()
            .filter(|record| record.usable().is_some())
            .flat_map(|record| {
                let (keys, secrets) = (self.ports.keys.as_ref(), self.ports.secrets.as_ref());
                account::drift(keys, secrets, profile, record, &self.settings().account)
            });
        Ok(Listed {
            ca: profile.name.clone(),
            named,
            issuer: profile.caa.first().cloned(),
            drift: drift.chain(terms.map(Drift::Terms)).collect(),
            accounts: records
                .into_iter()
                .filter(|record| record.kid.is_some())
                .map(page::Known::from)
                .collect(),
        })
    }

    /// The CAs of the command line, or every CA of a `ca` list.
    fn profiles(&self, written: &[String]) -> Result<Vec<&'a CaProfile>, Refusal> {
        let cas = &self.settings().cas;
        if written.is_empty() {
            let used = self.settings().used_cas();
            return Ok(used.iter().filter_map(|ca| cas.get(ca)).collect());
        }
        let mut found = Vec::new();
        for text in written {
            let profile = cas.values().find(|profile| profile.name.as_str() == text);
            found.push(profile.ok_or_else(|| self.unknown(text))?);
        }
        Ok(found)
    }

    /// The accounts in use at the CAs of the command line, or all; it is refused to find none.
    fn accounts(&self, written: &[String]) -> Result<Vec<Held<'a>>, Refusal> {
        let profiles = if written.is_empty() {
            self.settings().cas.values().collect()
        } else {
            self.profiles(written)?
        };
        let mut found = Vec::new();
        for profile in profiles {
            let records = self.store.accounts(&profile.name)?;
            let before = found.len();
            let in_use = records.into_iter().filter(|one| one.usable().is_some());
            found.extend(in_use.map(|record| (profile, record)));
            if found.len() == before && !written.is_empty() {
                let message = format!("there is no account at {}", profile.name);
                return Err(Refusal::new(Exit::Usage, message)
                    .hint(format!("`waxwing account register {}`", profile.name)));
            }
        }
        Ok(found)
    }

    fn unknown(&self, name: &str) -> Refusal {
        let names: Vec<&str> = self.settings().cas.keys().map(CaName::as_str).collect();
        ca::unknown_ca(name, &names)
    }

    async fn register(&self, profiles: &[&CaProfile]) -> Vec<Change> {
        let mut changes = Vec::new();
        for profile in profiles {
            let ports = self.ports.clone();
            let opened = CaSession::open(ports, profile, &self.settings().account).await;
            let outcome = opened.map_err(AccountError::Failed).map(|session| {
                let account = session.account().to_owned();
                match session.account_from() {
                    AccountFrom::Stored => Outcome::Known { account },
                    AccountFrom::Found => Outcome::Found { account },
                    AccountFrom::Made => Outcome::Registered { account },
                }
            });
            changes.push(Change {
                ca: profile.name.clone(),
                directory: None,
                outcome,
            });
        }
        changes
    }

    async fn contact(&self, accounts: &[Held<'_>]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (profile, record) in accounts {
            let settings = &self.settings().account;
            let change =
                account::update_contact(&self.ports, profile, settings, &record.directory).await;
            let outcome = change.map(|change| match change {
                ContactChange::Same => Outcome::SameContact {
                    contact: record.contact.clone(),
                },
                ContactChange::Changed { from, to } => Outcome::Contact { from, to },
            });
            changes.push(changed(profile, record, outcome));
        }
        changes
    }

    async fn roll_over(&self, accounts: &[Held<'_>]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (profile, record) in accounts {
            let settings = &self.settings().account;
            let rolled =
                account::roll_over(&self.ports, profile, settings, &record.directory).await;
            let outcome = rolled.map(|rolled| match rolled {
                RolledOver::Now => Outcome::RolledOver,
                RolledOver::Before => Outcome::RolledOverBefore,
            });
            changes.push(changed(profile, record, outcome));
        }
        changes
    }

    /// Notes that somebody agrees to the terms that the CA has now.
    fn agree(&self, ca: &str, yes: bool, terminal: &mut Terminal) -> Result<Vec<Change>, Refusal> {
        let accounts = self.accounts(&[ca.to_owned()])?;
        let Some((profile, record)) = accounts.first() else {
            return Ok(Vec::new());
        };
        let Some(new) = terms::of_ca(self.store.as_ref(), &profile.name)? else {
            let agreed = record.terms.as_ref().map(|(url, _at)| url.clone());
            return Ok(vec![changed(
                profile,
                record,
                Ok(Outcome::SameTerms { agreed }),
            )]);
        };
        let question = format!("Have you read {}, and do you agree?", new.now);
        let said = yes || (terminal.can_ask() && terminal.ask(&question));
        if !said {
            let message = format!("nobody has agreed to {}", new.now);
            let hint = format!("read them, then `waxwing account agree {ca} --yes`");
            return Err(Refusal::new(Exit::Usage, message).hint(hint));
        }
        let opened = self.opened()?;
        let agreed = start::runtime()?.block_on(terms::agree(&opened.ports, profile, &new));
        let outcome = agreed.map(|()| Outcome::Agreed { url: new.now });
        Ok(vec![changed(profile, record, outcome)])
    }

    async fn deactivate(&self, accounts: &[Held<'_>]) -> Vec<Change> {
        let used = self.settings().used_cas();
        let mut changes = Vec::new();
        for (profile, record) in accounts {
            let closed = account::deactivate(&self.ports, profile, &record.directory).await;
            let named = used.contains(&profile.name);
            let outcome = closed.map(|closed| Outcome::GivenUp {
                before: closed == Deactivated::Before,
                named,
            });
            changes.push(changed(profile, record, outcome));
        }
        changes
    }
}

fn changed(
    profile: &CaProfile,
    record: &AccountRecord,
    outcome: Result<Outcome, AccountError>,
) -> Change {
    Change {
        ca: profile.name.clone(),
        directory: Some(record.directory.clone()),
        outcome,
    }
}
