//! A world, a configuration and the program, for scenarios that run from outside.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use waxwing_world::World;
use waxwing_world::ca::{self, Ca};
use waxwing_world::dns_made_easy::{self, Api};
use waxwing_world::pebble::{self, Pebble};
use waxwing_world::traffic::Traffic;

/// Who plays the CA.
pub(crate) enum Judge {
    /// The CA of the world.
    World(Ca),
    /// The real one.
    Pebble(Pebble),
}

impl Judge {
    /// The directory's URL.
    pub(crate) fn directory(&self) -> String {
        match self {
            Self::World(ca) => ca.directory(),
            Self::Pebble(pebble) => pebble.directory(),
        }
    }

    /// What it was asked.
    pub(crate) fn traffic(&self) -> &Traffic {
        match self {
            Self::World(ca) => ca.traffic(),
            Self::Pebble(pebble) => pebble.traffic().expect("Pebble writes its log"),
        }
    }

    /// How many certificates it has issued, by its own account.
    pub(crate) fn issued(&self) -> usize {
        match self {
            Self::World(ca) => ca.certificates().len(),
            Self::Pebble(pebble) => pebble.issued().expect("Pebble writes its log"),
        }
    }

    /// The nth root that its certificates can be verified with.
    pub(crate) fn root_pem(&self, nth: usize) -> String {
        match self {
            Self::World(ca) => ca.root_pem(nth).expect("a root"),
            Self::Pebble(pebble) => pebble.root_pem(nth).expect("Pebble shows its roots"),
        }
    }
}

/// The same claim before both judges, each in a world of its own.
pub(crate) fn both(
    test: &str,
    at_world: &ca::Options,
    at_pebble: &pebble::Options,
    claim: impl Fn(&Rig, &Judge),
) {
    in_each(test, Rig::new, at_world, at_pebble, claim);
}

/// The same claim before both judges as they come.
pub(crate) fn plain(test: &str, claim: impl Fn(&Rig, &Judge)) {
    plain_in(test, Rig::new, claim);
}

/// The same in worlds that are made like this.
pub(crate) fn plain_in(test: &str, world: impl Fn() -> Rig, claim: impl Fn(&Rig, &Judge)) {
    let (at_world, at_pebble) = (ca::Options::default(), pebble::Options::default());
    in_each(test, world, &at_world, &at_pebble, claim);
}

fn in_each(
    test: &str,
    world: impl Fn() -> Rig,
    at_world: &ca::Options,
    at_pebble: &pebble::Options,
    claim: impl Fn(&Rig, &Judge),
) {
    let rig = world();
    let judge = rig.ca(at_world.clone());
    claim(&rig, &judge);
    let rig = world();
    if let Some(judge) = rig.pebble(test, at_pebble) {
        claim(&rig, &judge);
    }
}

/// A CA of the configuration.
pub(crate) struct CaSection<'a> {
    pub(crate) name: &'a str,
    pub(crate) directory: String,
    /// Lines that stand in the section besides those that every CA has.
    pub(crate) more: &'a str,
}

/// What one run of the program gave.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The same, if the exit code is that one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The same, if this stands in one of the outputs, wherever its lines are broken.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let within = |output: &str| output.contains(text) || words(output).contains(&words(text));
        let said = within(&self.stdout) || within(&self.stderr);
        assert!(
            said,
            "no {text:?} in stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

/// Says it aloud: not by a macro, whose output the test harness would hide.
pub(crate) fn skipped(what: &str) {
    use std::io::Write as _;
    let _unheard = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

#[path = "child.rs"]
mod child;
#[path = "watch.rs"]
mod watch;

use child::DEADLINE;
pub(crate) use child::finish;
#[allow(unused_imports, reason = "benchmarks hear nobody else")]
pub(crate) use child::heard;

use watch::Watch;

/// A folder with a configuration, and the world that it talks to.
pub(crate) struct Rig {
    /// Looks at all that is left, when the rig is dropped.
    watch: Watch,
    pub(crate) world: World,
    pub(crate) provider: Api,
    pub(crate) folder: TempDir,
}

impl Rig {
    /// A world with the zone `example.com` at the DNS provider.
    pub(crate) fn new() -> Self {
        Self::with(&["example.com"], dns_made_easy::Options::default())
    }

    /// A world with these zones, all of them at a DNS provider that is otherwise as `options` say.
    pub(crate) fn with(zones: &[&str], options: dns_made_easy::Options) -> Self {
        let world = World::builder().name_servers(2);
        let world = zones.iter().fold(world, |world, zone| world.zone(zone));
        let world = world.start().expect("a world starts");
        let options = dns_made_easy::Options {
            zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
            ..options
        };
        let secrets = [
            ("dme-api-key", &options.api_key),
            ("dme-secret-key", &options.secret_key),
        ];
        let folder = TempDir::new().expect("a folder");
        for (name, value) in secrets {
            let path = folder.path().join(name);
            fs::write(&path, value).expect("a secret is written");
            private(&path);
        }
        fs::write(folder.path().join("root.pem"), world.root_pem()).expect("the root is written");
        let provider = Api::start(&world, options.clone()).expect("the provider starts");
        let watch = Watch::new(folder.path(), world.heard().clone());
        for (name, value) in secrets {
            watch.secret(name, value);
            watch.source(folder.path().join(name));
        }
        fs::create_dir(folder.path().join("tls")).expect("a folder");
        Self {
            watch,
            world,
            provider,
            folder,
        }
    }

    /// The world's CA.
    pub(crate) fn ca(&self, options: ca::Options) -> Judge {
        Judge::World(Ca::start(&self.world, options).expect("the CA starts"))
    }

    /// Pebble, or nothing, said aloud.
    pub(crate) fn pebble(&self, test: &str, options: &pebble::Options) -> Option<Judge> {
        let program = Pebble::find_or_skip(test)?;
        Some(Judge::Pebble(
            Pebble::start(&self.world, &program, options).expect("Pebble starts"),
        ))
    }

    /// A path in the rig's folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes a secret that only the owner can read.
    pub(crate) fn write_secret(&self, name: &str, value: &str) {
        self.write_private(name, value);
        self.keep_secret(name, value);
    }

    /// What stands in that file by the wish of the scenario, and nowhere else.
    pub(crate) fn keep_secret(&self, name: &str, value: &str) {
        self.watch.secret(name, value);
        self.may_hold(name);
    }

    /// Writes what only the owner can read, and is no secret.
    pub(crate) fn write_private(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).expect("a file is written");
        private(&path);
    }

    /// By the wish of the scenario secrets are in that file, or below that folder.
    pub(crate) fn may_hold(&self, name: &str) {
        self.watch.source(self.path(name));
    }

    /// The sections that every configuration of a rig has, without any plugin.
    pub(crate) fn config_without_plugins(&self, cas: &[(&str, &str)]) -> String {
        self.base(&sections(cas))
    }

    /// The same with the provider's plugin and one CA, called `first`, with more lines in its section.
    pub(crate) fn config_at(&self, judge: &Judge, more: &str) -> String {
        self.config_of(&[CaSection {
            name: "first",
            directory: judge.directory(),
            more,
        }])
    }

    /// The same for several CAs with more than a directory, in the order of the `ca` list.
    pub(crate) fn config_of(&self, cas: &[CaSection<'_>]) -> String {
        let secrets = "{ api-key = \"file:dme-api-key\", secret-key = \"file:dme-secret-key\" }";
        self.base(cas) + &section_at("dns-made-easy", &self.provider.url(), secrets)
    }

    fn base(&self, cas: &[CaSection<'_>]) -> String {
        let mut text = String::new();
        let names: Vec<String> = cas.iter().map(|ca| format!("{:?}", ca.name)).collect();
        let servers = self.world.dns();
        write!(
            text,
            "[account]\nemail = \"ops@example.com\"\nagree-terms = true\n\n\
             [defaults]\nca = [{}]\n\n\
             [state]\ndir = \"state\"\n\n\
             [log]\nfile = \"log/waxwing.log\"\naudit = \"log/audit.jsonl\"\n\n\
             [network]\nresolvers = [\"{}\"]\nauthoritative-port = {}\n\n",
            names.join(", "),
            servers.resolver(),
            servers.port(),
        )
        .expect("text");
        for ca in cas {
            let poll = if ca.more.contains("poll = ") {
                ""
            } else {
                "poll = { first = \"50ms\", max = \"1s\" }\n"
            };
            write!(
                text,
                "[ca.{}]\ndirectories = [\"{}\"]\ntrust = \"root.pem\"\n{poll}{}\n\n",
                ca.name, ca.directory, ca.more,
            )
            .expect("text");
        }
        text
    }

    /// The section of an installer that writes into the folder `tls`, with more lines.
    pub(crate) fn installer(&self, more: &str) -> String {
        format!(
            "[plugin.server]\nuses = \"install-files\"\n\
             grants.files.certs.dir = \"{}\"\n{more}\n\n",
            self.path("tls").display()
        )
    }

    /// Writes the configuration.
    pub(crate) fn write_config(&self, text: &str) {
        self.write_private("waxwing.toml", text);
    }

    /// Puts other words into the configuration, once.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("waxwing.toml")).expect("a configuration");
        assert!(text.contains(from), "{from}");
        self.write_config(&text.replacen(from, to, 1));
    }

    /// The program with these arguments and the rig's configuration, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        if let ["renew", options @ ..] = arguments
            && options.iter().all(|option| option.starts_with("--"))
        {
            compiled::lend(&self.path("state"));
        }
        let mut command = self.program(&["-c"]);
        command.arg(self.path("waxwing.toml")).args(arguments);
        command
    }

    /// The program with these arguments and nothing else.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command
            .args(arguments)
            .env_remove("WAXWING_STATE")
            .env_remove("WAXWING_CONFIG")
            .env_remove("XDG_CONFIG_HOME")
            .env("HOME", self.path("home"))
            .env("TZ", "UTC")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn waxwing(&self, arguments: &[&str]) -> Run {
        let child = self.command(arguments).spawn().expect("the program starts");
        let run = finish(child);
        compiled::learn(&self.path("state"));
        run
    }

    /// Records at the provider, as (name, value) without quotes.
    pub(crate) fn records(&self) -> Vec<(String, String)> {
        let plain = |value: String| value.trim_matches('"').to_owned();
        self.provider
            .records()
            .into_iter()
            .filter(|(_, kind, _)| kind == "TXT")
            .map(|(name, _, value)| (name, plain(value)))
            .collect()
    }

    /// What openssl says when it verifies a stored certificate against a root of the CA.
    pub(crate) fn verify(&self, name: &str, root: &str) {
        let folder = self.stored(name);
        let roots = self.path("ca-roots.pem");
        fs::write(&roots, root).expect("the root is written");
        let output = Command::new("openssl")
            .args(["verify", "-CAfile"])
            .arg(&roots)
            .arg("-untrusted")
            .arg(folder.join("chain.pem"))
            .arg(folder.join("cert.pem"))
            .output()
            .expect("openssl runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The text form of the stored certificate, by openssl.
    pub(crate) fn shown(&self, name: &str) -> String {
        let output = Command::new("openssl")
            .args(["x509", "-noout", "-text", "-in"])
            .arg(self.stored(name).join("cert.pem"))
            .output()
            .expect("openssl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The names in the first certificate of a file, sorted.
    pub(crate) fn names_in(&self, file: &Path) -> Vec<String> {
        let output = Command::new("openssl")
            .args(["x509", "-noout", "-text", "-in"])
            .arg(file)
            .output()
            .expect("openssl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut names: Vec<String> = text
            .split([',', '\n', ' '])
            .filter_map(|word| word.strip_prefix("DNS:"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// The folder of the current version.
    pub(crate) fn stored(&self, name: &str) -> PathBuf {
        let versions = self.path("state/certificates").join(name).join("versions");
        let mut found: Vec<PathBuf> = fs::read_dir(&versions)
            .unwrap_or_else(|error| panic!("{}: {error}", versions.display()))
            .map(|entry| entry.expect("a version").path())
            .collect();
        found.sort();
        found.pop().expect("at least one version")
    }

    /// How many versions are stored.
    pub(crate) fn versions(&self, name: &str) -> usize {
        let versions = self.path("state/certificates").join(name).join("versions");
        fs::read_dir(versions).map_or(0, Iterator::count)
    }
}

/// Compiled components, handed from one state folder to the next: compiling them anew for each test
/// would be most of its time.
mod compiled {
    use std::fs;
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use tempfile::TempDir;

    static KNOWN: Mutex<Option<TempDir>> = Mutex::new(None);

    const KEY: &str = "components.key";
    const CODE: &str = "cache/components";

    /// Gives what is known to a state folder that is not there yet.
    pub(super) fn lend(state: &Path) {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|_| !state.exists()) {
            for folder in ["", "cache", CODE] {
                own(&state.join(folder));
            }
            for file in ["format", KEY] {
                copy(&known.path().join(file), &state.join(file));
            }
            all(&known.path().join(CODE), &state.join(CODE));
        }
    }

    /// Takes over what a run has compiled.
    pub(super) fn learn(state: &Path) {
        if !state.join(CODE).exists() || !state.join(KEY).exists() {
            return;
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = known.get_or_insert_with(|| {
            let folder = TempDir::new().expect("a folder");
            fs::create_dir_all(folder.path().join(CODE)).expect("a folder");
            for file in ["format", KEY] {
                copy(&state.join(file), &folder.path().join(file));
            }
            folder
        });
        // What another key has sealed is of no use here.
        let key = |folder: &Path| fs::read(folder.join(KEY)).expect("a key");
        if key(state) == key(folder.path()) {
            all(&state.join(CODE), &folder.path().join(CODE));
        }
    }

    fn all(from: &Path, to: &Path) {
        let entries = fs::read_dir(from).expect("a folder");
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().expect("a name");
            let whole = path
                .extension()
                .is_some_and(|extension| extension == "cwasm");
            if whole && !to.join(name).exists() {
                copy(&path, &to.join(name));
            }
        }
    }

    fn copy(from: &Path, to: &Path) {
        fs::copy(from, to).expect("a copy");
        super::private(to);
    }

    #[cfg(unix)]
    fn own(folder: &Path) {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = fs::DirBuilder::new().mode(0o700).create(folder);
        made.expect("a folder");
    }

    #[cfg(not(unix))]
    fn own(folder: &Path) {
        fs::create_dir(folder).expect("a folder");
    }
}

/// The program: the one that was built along, or what `WAXWING_PROGRAM` names.
pub(crate) fn executable() -> PathBuf {
    let named = std::env::var_os("WAXWING_PROGRAM");
    named.map_or_else(|| env!("CARGO_BIN_EXE_waxwing").into(), PathBuf::from)
}

/// A `[[certificate]]` with this name and these domains.
pub(crate) fn certificate(name: &str, domains: &[&str]) -> String {
    format!("[[certificate]]\nname = \"{name}\"\ndomains = {domains:?}\n\n")
}

/// Waits until it is so, but not for ever.
#[track_caller]
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < DEADLINE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The section of a DNS plugin whose API is at this address of the world.
pub(crate) fn section_at(plugin: &str, address: &str, secrets: &str) -> String {
    let host = address.split('/').take(3).collect::<Vec<_>>().join("/");
    format!(
        "[plugin.{plugin}]\nsettings.endpoint = \"{address}\"\nsecrets = {secrets}\n\
         grants.http = {{ hosts = [\"{host}\"], private = [\"127.0.0.0/8\"], trust = \"root.pem\" }}\n\n",
    )
}

fn sections<'a>(cas: &[(&'a str, &str)]) -> Vec<CaSection<'a>> {
    let section = |(name, directory): &(&'a str, &str)| CaSection {
        name,
        directory: (*directory).to_owned(),
        more: "",
    };
    cas.iter().map(section).collect()
}

/// Readable by the owner only, as the program wants it.
fn private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    #[cfg(not(unix))]
    let _same = path;
}
