//! The main job on one machine: the real engine and the real components against a local CA and a
//! local DNS provider. No account, no root, no fixed port; nothing is left behind but one folder.
//!
//! The first CA's directory is down. The engine says why, asks the second one, places and removes
//! the TXT records, stores the certificate and installs it. What is promised here is looked at in
//! the end, and the exit code says whether it was so.

#![expect(
    clippy::disallowed_methods,
    reason = "what is shown here takes real time and leaves real files"
)]

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use waxwing_world::World;
use waxwing_world::ca::{self, Ca};
use waxwing_world::dns_made_easy::{self, Api};
use waxwing_world::server;

/// The most that a renewal takes here, all waits together: nothing answers slowly.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let folder = tempfile::Builder::new()
        .prefix("waxwing-quickstart-")
        .tempdir()?
        .keep();
    let world = World::start(&["example.com"])?;
    let ca = Ca::start(&world, ca::Options::default())?;
    let account = dns_made_easy::Options {
        zones: vec!["example.com".to_owned()],
        ..dns_made_easy::Options::default()
    };
    let provider = Api::start(&world, account.clone())?;

    write_private(&folder.join("dme-api-key"), &account.api_key)?;
    write_private(&folder.join("dme-secret-key"), &account.secret_key)?;
    fs::write(folder.join("root.pem"), world.root_pem())?;
    fs::create_dir(folder.join("tls"))?;
    let config = folder.join("waxwing.toml");
    write_private(&config, &configuration(&folder, &world, &ca, &provider)?)?;

    say("A local CA, a local DNS provider and this configuration:\n")?;
    say(&indented(&fs::read_to_string(&config)?))?;
    // This compiles the components too, so that the renewal spends its time on what it shows.
    say("$ waxwing check --offline")?;
    let checked = waxwing(&folder, &config, &["check", "--offline"]);
    say("\n$ waxwing renew")?;
    let started = now();
    let renewed = waxwing(&folder, &config, &["renew"]);
    let took = now().duration_since(started);
    say("\n$ waxwing status")?;
    waxwing(&folder, &config, &["status"]);

    say("\nFiles that a server would use:")?;
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("tls"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    for file in &files {
        say(&format!(
            "  {}  {} bytes",
            file.display(),
            fs::metadata(file)?.len()
        ))?;
    }
    let left = provider.records().len();
    say(&format!(
        "TXT records left at the DNS provider: {left}\n\n\
         Everything is in {}; delete it when you have looked around.",
        folder.display()
    ))?;
    if let Some(failed) = [checked, renewed]
        .into_iter()
        .find(|code| *code != ExitCode::SUCCESS)
    {
        return Ok(failed);
    }
    let facts = folder.join("state/certificates/example.com/versions/0001/facts.toml");
    let broken = broken_promises(&Ending {
        facts: fs::read_to_string(facts)?,
        files: files.len(),
        records: left,
        took,
    });
    for promise in &broken {
        writeln!(io::stderr().lock(), "quickstart: {promise}")?;
    }
    Ok(ExitCode::from(u8::from(!broken.is_empty())))
}

/// What a renewal left behind.
struct Ending {
    /// What the store notes about the certificate.
    facts: String,
    /// Installed files.
    files: usize,
    /// TXT records at the DNS provider.
    records: usize,
    /// How long it took.
    took: Duration,
}

/// What was to be shown and did not happen.
fn broken_promises(ending: &Ending) -> Vec<String> {
    let fell_over = ["ca = \"letsencrypt\"", "fallback = true"]
        .iter()
        .all(|line| ending.facts.lines().any(|said| said == *line));
    let promises = [
        (
            fell_over,
            "the certificate is not from the second CA".to_owned(),
        ),
        (
            ending.files == 2,
            format!("{} files are installed instead of 2", ending.files),
        ),
        (
            ending.records == 0,
            format!("{} TXT records are left", ending.records),
        ),
        (
            ending.took <= PATIENCE,
            format!(
                "the renewal took {:.1} s; at most {} s were promised",
                ending.took.as_secs_f32(),
                PATIENCE.as_secs()
            ),
        ),
    ];
    let broken = promises.into_iter().filter(|(kept, _)| !kept);
    broken.map(|(_, promise)| promise).collect()
}

fn now() -> Instant {
    Instant::now()
}

/// Runs the program with these arguments, in this process.
fn waxwing(folder: &Path, config: &Path, arguments: &[&str]) -> ExitCode {
    let state = folder.join("state");
    let mut line: Vec<OsString> = vec![
        "waxwing".into(),
        "-c".into(),
        config.into(),
        "--state-dir".into(),
        state.into(),
    ];
    line.extend(arguments.iter().map(OsString::from));
    waxwing_cli::run(line)
}

/// The configuration: two CAs of which the first is down, a DNS plugin, an installer.
fn configuration(folder: &Path, world: &World, ca: &Ca, provider: &Api) -> io::Result<String> {
    let endpoint = provider.url();
    let host = endpoint.strip_suffix("/V2.0").unwrap_or(&endpoint);
    Ok(format!(
        r#"[account]
email = "you@example.com"
agree-terms = true

[defaults]
ca = ["zerossl", "letsencrypt"]

[ca.zerossl]                       # nobody listens there, as on the day it all began
directories = ["{down}/v2/DV90"]
trust = "root.pem"

[ca.letsencrypt]                   # the local CA
directories = ["{directory}"]
trust = "root.pem"
poll = {{ first = "100ms", max = "1s" }}

[network]                          # the local name server
resolvers = ["{resolver}"]
authoritative-port = {port}

[plugin.dns-made-easy]             # the local API instead of the real one
settings.endpoint = "{endpoint}"
secrets = {{ api-key = "file:dme-api-key", secret-key = "file:dme-secret-key" }}
grants.http = {{ hosts = ["{host}"], private = ["127.0.0.0/8"], trust = "root.pem" }}

[plugin.web]
uses = "install-files"
settings.files = {{ "{{name}}.crt" = "fullchain.pem", "{{name}}.key" = "privkey.pem" }}
grants.files.certs.dir = '{tls}'

[[certificate]]
domains = ["example.com", "*.example.com"]
"#,
        down = server::refused()?,
        directory = ca.directory(),
        resolver = world.dns().resolver(),
        port = world.dns().port(),
        tls = folder.join("tls").display(),
    ))
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(text.as_bytes())
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| {
        if line.is_empty() {
            all + "\n"
        } else {
            all + "    " + line + "\n"
        }
    })
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_promise_is_looked_at() {
        let good = || Ending {
            facts: "[origin]\nca = \"letsencrypt\"\nfallback = true\n".to_owned(),
            files: 2,
            records: 0,
            took: Duration::from_secs(3),
        };
        let check = |change: &dyn Fn(&mut Ending), want: &[&str]| {
            let mut ending = good();
            change(&mut ending);
            assert_eq!(broken_promises(&ending), want);
        };
        check(&|_| {}, &[]);
        let other = "the certificate is not from the second CA";
        check(
            &|end| end.facts = end.facts.replace("true", "false"),
            &[other],
        );
        check(
            &|end| end.facts = end.facts.replace("letsencrypt", "zerossl"),
            &[other],
        );
        check(
            &|end| end.files = 0,
            &["0 files are installed instead of 2"],
        );
        check(&|end| end.records = 1, &["1 TXT records are left"]);
        check(
            &|end| end.took = Duration::from_millis(5_100),
            &["the renewal took 5.1 s; at most 5 s were promised"],
        );
    }
}
