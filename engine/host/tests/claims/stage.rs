//! What surrounds a guest in a test: a host with a fake wire, a fixed clock and a certificate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tempfile::TempDir;
use waxwing_core::http::{Request, Response, TransportError, TransportStage};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, DomainName, Identifier, PluginName};
use waxwing_core::plugin::host_pattern::HostPatternError;
use waxwing_core::plugin::{GrantExec, GrantFiles, GrantHttp, Grants, HostPattern, Manifest};
use waxwing_core::secret::Secret;
use waxwing_core::settings::{PluginSettings, PluginSource};
use waxwing_core::time::Timestamp;
use waxwing_flow::audit::{AuditEvent, AuditTrail};
use waxwing_flow::certificate::{CertificateFacts, ChainPem, Origin, StoredVersion};
use waxwing_flow::plugin::{Attempt, ChallengeRecord, InstallItem, PluginFailure, Removal};
use waxwing_flow::ports::{Clock, DnsProvider, HttpClient, Installer, Policy};
use waxwing_host::host::{CompileCache, HostOptions, Loaded, PluginHost};
use waxwing_host::pkcs12::{Pkcs12, Pkcs12Contents};

use crate::guest;

/// A value that must never be seen outside the wire.
pub(crate) const TOKEN: &str = "tok+en/with \"odd\" bytes";
/// Another one, which only signs.
pub(crate) const KEY: &str = "a-key-that-only-signs";
/// The private key of every certificate here.
pub(crate) const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n\
    OF2NxApJCzGCEDdfSp6VQO30hyihRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n\
    -----END PRIVATE KEY-----\n";

/// Compiled once in a process, whichever test comes first.
static CACHE: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));
static COMPILING: Mutex<()> = Mutex::new(());

type Answer = dyn Fn(&Request) -> Result<Response, TransportError> + Send + Sync;

/// Sends nothing, remembers everything.
pub(crate) struct Wire {
    answer: Box<Answer>,
    pub(crate) sent: Mutex<Vec<(Request, Policy)>>,
}

#[async_trait]
impl HttpClient for Wire {
    async fn send(&self, request: Request, policy: &Policy) -> Result<Response, TransportError> {
        let answer = (self.answer)(&request);
        self.sent
            .lock()
            .expect("no panic")
            .push((request, policy.clone()));
        answer
    }
}

/// Noon, and whatever was waited since.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Duration>);

impl Watch {
    pub(crate) fn pass(&self, time: Duration) {
        *self.0.lock().expect("no panic") += time;
    }

    pub(crate) fn passed(&self) -> Duration {
        *self.0.lock().expect("no panic")
    }
}

#[async_trait]
impl Clock for Watch {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(1_795_000_000) + self.passed()
    }

    async fn sleep(&self, wait: Duration) {
        self.pass(wait);
    }
}

/// A "PKCS#12 file" is its contents and a serial number in place of salts.
#[derive(Default)]
struct Wrapping(std::sync::atomic::AtomicU32);

impl Wrapping {
    fn text(contents: &Pkcs12Contents<'_>) -> String {
        let key = contents.key.expose();
        format!(
            "p12 {} {key}{}",
            contents.friendly_name, contents.chain.fullchain
        )
    }
}

impl Pkcs12 for Wrapping {
    fn make(&self, contents: &Pkcs12Contents<'_>) -> Result<Vec<u8>, String> {
        let salt = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(format!("{} salt {salt}", Self::text(contents)).into_bytes())
    }

    fn holds(&self, file: &[u8], contents: &Pkcs12Contents<'_>) -> bool {
        file.starts_with(Self::text(contents).as_bytes())
    }
}

/// A plugin to be, with everything about it still open.
pub(crate) struct Stage {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) settings: PluginSettings,
    pub(crate) secrets: BTreeMap<String, Secret<String>>,
    pub(crate) cache_dir: Option<PathBuf>,
    /// A new one for each stage, unless a test wants to come back to one.
    pub(crate) backups: Arc<TempDir>,
    answer: Box<Answer>,
}

/// A loaded plugin with what it leaves behind.
pub(crate) struct Show {
    pub(crate) loaded: Loaded,
    pub(crate) wire: Arc<Wire>,
    pub(crate) clock: Arc<Watch>,
    audit: Arc<AuditTrail>,
    backups: Arc<TempDir>,
    // The last to go: guests run on its threads.
    pub(crate) _host: PluginHost,
}

impl Stage {
    /// The DNS guest. `name` tells its lines in the log apart from those of other tests.
    pub(crate) fn dns(name: &str, settings: Value) -> Self {
        Self::new(name, guest::dns(guest::DNS), guest::DNS, settings)
    }

    /// The installer, which may write into `dir`.
    pub(crate) fn installer(name: &str, dir: &Path, settings: Value) -> Self {
        let mut stage = Self::new(
            name,
            guest::installer(guest::INSTALLER),
            guest::INSTALLER,
            settings,
        );
        stage
            .settings
            .grants
            .files
            .insert("certs".to_owned(), folder(dir));
        stage
    }

    pub(crate) fn new(name: &str, bytes: Arc<[u8]>, manifest: &str, settings: Value) -> Self {
        let manifest = Manifest::parse("test", manifest).expect("a literal manifest");
        let secret = |value: &str| Secret::new(value.to_owned());
        Self {
            bytes,
            settings: PluginSettings {
                name: PluginName::parse(name).expect("a literal name"),
                source: PluginSource::Embedded(manifest.id.clone()),
                manifest,
                settings,
                secrets: BTreeMap::new(),
                grants: Grants::default(),
            },
            secrets: BTreeMap::from([
                ("token".to_owned(), secret(TOKEN)),
                ("key".to_owned(), secret(KEY)),
            ]),
            cache_dir: Some(CACHE.path().to_owned()),
            backups: Arc::new(tempfile::tempdir().expect("a folder")),
            answer: Box::new(|_request| Ok(answer(200, &[], "fine"))),
        }
    }

    pub(crate) fn answering(
        mut self,
        answer: impl Fn(&Request) -> Result<Response, TransportError> + Send + Sync + 'static,
    ) -> Self {
        self.answer = Box::new(answer);
        self
    }

    pub(crate) fn grant_hosts(mut self, hosts: &[&str]) -> Self {
        let hosts: Result<Vec<_>, HostPatternError> =
            hosts.iter().map(|host| HostPattern::parse(host)).collect();
        self.settings.grants.http = Some(GrantHttp {
            hosts: hosts.expect("literal hosts"),
            ..GrantHttp::default()
        });
        self
    }

    pub(crate) fn grant_command(mut self, purpose: &str, argv: &[&str]) -> Self {
        let grant = GrantExec {
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            timeout: Duration::from_secs(30),
        };
        self.settings.grants.exec.insert(purpose.to_owned(), grant);
        self
    }

    /// With the backups folder of an earlier show.
    pub(crate) fn coming_back_to(mut self, backups: &Arc<TempDir>) -> Self {
        self.backups = Arc::clone(backups);
        self
    }

    pub(crate) fn load(self) -> Result<Show, PluginFailure> {
        let wire = Arc::new(Wire {
            answer: self.answer,
            sent: Mutex::default(),
        });
        let audit = Arc::new(AuditTrail::default());
        let clock = Arc::new(Watch::default());
        let host = PluginHost::new(HostOptions {
            cache: self.cache_dir.map(|dir| CompileCache {
                key: dir.with_extension("key"),
                dir,
            }),
            backups_dir: self.backups.path().join("backups"),
            http: Arc::clone(&wire) as Arc<dyn HttpClient>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            history: None,
            audit: Arc::clone(&audit),
            pkcs12: Arc::new(Wrapping::default()),
            run_id: "run-1".to_owned(),
        });
        let host = host.expect("this machine runs WebAssembly");
        let _one_at_a_time = COMPILING.lock();
        let loaded = host.load(&self.settings, &self.bytes, self.secrets)?;
        Ok(Show {
            loaded,
            wire,
            clock,
            audit,
            backups: self.backups,
            _host: host,
        })
    }

    pub(crate) fn show(self) -> Show {
        self.load()
            .unwrap_or_else(|failure| panic!("{failure}: {:?}", failure.causes))
    }
}

impl Show {
    pub(crate) fn dns(&self) -> Arc<dyn DnsProvider> {
        self.loaded.dns().expect("a DNS plugin")
    }

    pub(crate) fn installer(&self) -> Arc<dyn Installer> {
        self.loaded.installer().expect("an installer")
    }

    /// Where its host keeps what installers overwrite.
    pub(crate) fn backups(&self) -> PathBuf {
        self.backups.path().join("backups")
    }

    /// The folder around it, to come back to.
    pub(crate) fn backups_of(&self) -> Arc<TempDir> {
        Arc::clone(&self.backups)
    }

    /// Places one record; answers the receipt.
    pub(crate) async fn present(&self) -> Result<String, PluginFailure> {
        let report = self.dns().present(&attempt(), &records(1)).await?;
        match (report.placed.as_slice(), report.failed.as_slice()) {
            ([placed], []) => Ok(placed.receipt.clone()),
            ([], [(_, failure)]) => Err(failure.clone()),
            _ => panic!("{report:?}"),
        }
    }

    /// Installs one certificate; answers the receipt.
    pub(crate) async fn install(&self) -> Result<String, PluginFailure> {
        let installed = self
            .installer()
            .install(&attempt(), &[item("shop")], "")
            .await?;
        Ok(installed.receipt)
    }

    pub(crate) fn sent(&self) -> Vec<Request> {
        let sent = self.wire.sent.lock().expect("no panic");
        sent.iter().map(|(request, _)| request.clone()).collect()
    }

    /// The audit trail in one line an event, without times.
    pub(crate) fn audit(&self) -> Vec<String> {
        let line = |event: AuditEvent| match event {
            AuditEvent::Request {
                method,
                host,
                path,
                result,
                ..
            } => match result {
                Ok(status) => format!("{method} {host} {path} {status}"),
                Err(why) => format!("{method} {host} {path} {why}"),
            },
            AuditEvent::File {
                grant,
                path,
                result,
                ..
            } => {
                let name = Path::new(&path)
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy();
                format!("{grant} {name} {result}")
            }
            AuditEvent::Command {
                grant,
                program,
                result,
                ..
            } => {
                format!("{grant} {program} {result:?}")
            }
            AuditEvent::More { count, .. } => format!("{count} more"),
        };
        self.audit.events().into_iter().map(line).collect()
    }
}

pub(crate) fn folder(dir: &Path) -> GrantFiles {
    GrantFiles {
        dir: dir.to_owned(),
        owner: None,
        group: None,
        mode: None,
        key_mode: None,
        acl: Vec::new(),
    }
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers
            .iter()
            .map(|&(n, v)| (n.to_owned(), v.to_owned()))
            .collect(),
        body: body.as_bytes().to_vec(),
        elapsed: Duration::from_millis(1),
    }
}

pub(crate) fn transport_error(request: &Request, stage: TransportStage) -> TransportError {
    TransportError {
        stage,
        method: request.method,
        url: waxwing_core::http::without_query(&request.url).to_owned(),
        address: None,
        elapsed: Duration::from_millis(1),
        causes: vec!["because".to_owned()],
    }
}

pub(crate) fn attempt() -> Attempt {
    Attempt {
        run: "run-1".to_owned(),
        number: 1,
    }
}

pub(crate) fn records(count: usize) -> Vec<ChallengeRecord> {
    let name = |text: &str| DomainName::parse(text).expect("a literal name");
    let record = |n: usize| ChallengeRecord {
        key: format!("key-{n}"),
        fqdn: name("_acme-challenge.example.com"),
        value: format!("value-{n}"),
        identifier: name("example.com"),
        zone_hint: Some(name("example.com")),
    };
    (1..=count).map(record).collect()
}

pub(crate) fn removals(count: usize) -> Vec<Removal> {
    let removal = |record| Removal {
        record,
        receipt: None,
    };
    records(count).into_iter().map(removal).collect()
}

pub(crate) fn item(name: &str) -> InstallItem {
    let time = Timestamp::from_unix(1_795_000_000);
    InstallItem {
        version: StoredVersion {
            certificate: CertificateName::parse(name).expect("a literal name"),
            version: 1,
            key: Secret::new(PRIVATE_KEY.to_owned()),
            pem: ChainPem {
                cert: "leaf\n".to_owned(),
                chain: "issuer\n".to_owned(),
                fullchain: "leaf\nissuer\n".to_owned(),
            },
            facts: CertificateFacts {
                names: vec![Identifier::parse("example.com").expect("a literal name")],
                serial: vec![0, 0xab],
                authority_key_id: None,
                not_before: time,
                not_after: time,
                leaf_sha256: "aa".repeat(32),
                leaf_sha1: "bb".repeat(20),
                public_key_sha256: "cc".repeat(32),
                key_type: Some(KeyType::EcdsaP256),
                issuers: Vec::new(),
            },
            origin: Origin {
                ca: CaName::parse("ca").expect("a literal name"),
                account: "account".to_owned(),
                issued_at: time,
                fallback: false,
                staging: false,
            },
            revoked: None,
        },
        previous: None,
        before: None,
        reconfigured: false,
    }
}
