//! The other client: instant-acme in a process of its own, for the comparison.
//!
//! It does what its documentation shows and nothing more: no look at the name servers, nothing
//! stored, no plugin. Its records are placed by a line to the parent process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, ChallengeType, Identifier, NewAccount, NewOrder, RetryPolicy,
};
use waxwing_world::World;

/// The first argument of such a process.
pub(crate) const FLAG: &str = "--driver";

/// The first wait before a look at the order, as in the configuration that Waxwing gets here.
const FIRST_POLL: Duration = Duration::from_millis(50);

/// What a driver needs to know.
pub(crate) struct Driver {
    pub(crate) directory: String,
    pub(crate) root: PathBuf,
    pub(crate) credentials: PathBuf,
    pub(crate) records: SocketAddr,
}

impl Driver {
    /// The process for these certificates, one after the other; each is a list of names. Without
    /// any it makes the account.
    pub(crate) fn command(&self, certificates: &[Vec<String>]) -> Command {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command
            .arg(FLAG)
            .arg(&self.directory)
            .arg(&self.root)
            .arg(&self.credentials)
            .arg(self.records.to_string())
            .args(certificates.iter().map(|names| names.join(",")));
        command
    }
}

/// Places the records of drivers at the world's name servers, a line each.
pub(crate) fn serve(world: &World) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
    let address = listener.local_addr().expect("an address");
    let records = world.dns().txt_records();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_nodelay(true).expect("a TCP option");
            let mut answer = stream.try_clone().expect("a socket can be cloned");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let (name, value) = line.split_once(' ').expect("a name and a value");
                records.add(name, value).expect("in a zone");
                answer.write_all(b"placed\n").expect("the driver listens");
            }
        }
    });
    address
}

/// The process itself.
pub(crate) fn run(arguments: &[String]) {
    let [directory, root, credentials, records, certificates @ ..] = arguments else {
        panic!("four arguments and the certificates are needed");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let builder = Account::builder_with_root(root).expect("a client");
        if certificates.is_empty() {
            let new = NewAccount {
                contact: &[],
                terms_of_service_agreed: true,
                only_return_existing: false,
            };
            let (_, made) = builder
                .create(&new, directory.clone(), None)
                .await
                .expect("an account");
            let text = serde_json::to_string(&made).expect("credentials are JSON");
            return std::fs::write(credentials, text).expect("written");
        }
        let account = builder
            .from_credentials(read(Path::new(credentials)))
            .await
            .expect("the account");
        let mut records = Records::connect(records);
        for names in certificates {
            issue(&account, &mut records, names).await;
        }
    });
}

fn read(path: &Path) -> AccountCredentials {
    let text = std::fs::read_to_string(path).expect("the credentials are there");
    serde_json::from_str(&text).expect("credentials")
}

struct Records {
    lines: BufReader<TcpStream>,
}

impl Records {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the parent listens");
        stream.set_nodelay(true).expect("a TCP option");
        Self {
            lines: BufReader::new(stream),
        }
    }

    fn place(&mut self, domain: &str, value: &str) {
        let line = format!("_acme-challenge.{domain} {value}\n");
        let stream = self.lines.get_mut();
        stream.write_all(line.as_bytes()).expect("the parent reads");
        let mut answer = String::new();
        self.lines.read_line(&mut answer).expect("an answer");
    }
}

async fn issue(account: &Account, records: &mut Records, names: &str) {
    let wanted: Vec<Identifier> = names
        .split(',')
        .map(|name| Identifier::Dns(name.to_owned()))
        .collect();
    let mut order = account
        .new_order(&NewOrder::new(&wanted))
        .await
        .expect("an order");
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.expect("an authorization");
        let domain = authorization.identifier().to_string();
        let mut challenge = authorization
            .challenge(ChallengeType::Dns01)
            .expect("dns-01");
        records.place(&domain, &challenge.key_authorization().dns_value());
        challenge.set_ready().await.expect("taken up");
    }
    let retries = RetryPolicy::new().initial_delay(FIRST_POLL);
    order.poll_ready(&retries).await.expect("ready");
    order.finalize().await.expect("finalized");
    order
        .poll_certificate(&retries)
        .await
        .expect("a certificate");
}
