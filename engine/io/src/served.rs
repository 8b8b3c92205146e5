//! A look at what a server serves: connects, begins TLS as it is done there, and takes the leaf.
//!
//! Who issued the leaf and whether it is still valid is not asked: the question is which one it is.
//! That the server has the key that belongs to it is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use waxwing_core::settings::served_at::{ServedAt, ServedHost, TlsStart};
use waxwing_flow::certificate::ServedLeaf;
use waxwing_flow::ports::{DeploymentProbe, UnseenError};

use crate::x509;

/// Time for one look, from the look-up of the name to the end of the handshake.
const LOOK: Duration = Duration::from_secs(10);
/// Of it, what is left for a name that is looked up slowly: the address that does not answer is named then.
const LOOK_UP: Duration = Duration::from_secs(1);
/// Time for a connection to one of its addresses.
const ADDRESS: Duration = Duration::from_secs(4);
/// Addresses of one name that are looked at.
const ADDRESSES: usize = 16;
/// Bytes of what a server says before TLS begins.
const TALK: usize = 16 * 1024;

/// Looks with rustls.
pub struct TlsProbe {
    connector: TlsConnector,
}

impl std::fmt::Debug for TlsProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsProbe")
    }
}

impl TlsProbe {
    /// A probe with the versions and suites of the engine's other connections.
    ///
    /// # Errors
    /// If they do not fit together, which would be a defect of this program.
    pub fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyIssuer(provider)))
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// What all of these addresses serve: visitors come to each of them. Those to which nothing leads from here, as
    /// often by IPv6, are left out if others answer. Where they serve several leaves, the one that ends first counts.
    async fn shake_all(
        &self,
        place: &ServedAt,
        addresses: Vec<SocketAddr>,
    ) -> Result<ServedLeaf, UnseenError> {
        let looks = addresses.into_iter().take(ADDRESSES).map(async |address| {
            let late = |_elapsed| {
                let cause = format!(
                    "{address}: no answer within {} s",
                    (LOOK - LOOK_UP).as_secs()
                );
                Shown::Nothing(unseen(vec![cause]))
            };
            let shown = tokio::time::timeout(LOOK - LOOK_UP, self.shake(place, address)).await;
            shown.unwrap_or_else(late)
        });
        let mut first: Option<ServedLeaf> = None;
        let mut unreachable = Vec::new();
        for shown in join_all(looks).await {
            match shown {
                Shown::Leaf(leaf) => {
                    let end = |leaf: &ServedLeaf| leaf.not_after;
                    if first.as_ref().is_none_or(|first| end(&leaf) < end(first)) {
                        first = Some(leaf);
                    }
                }
                Shown::Nothing(why) => return Err(why),
                Shown::Unreachable(cause) => unreachable.push(cause),
            }
        }
        if unreachable.is_empty() {
            unreachable.push(format!("{} has no address", place.host));
        }
        first.ok_or_else(|| unseen(unreachable))
    }

    async fn shake(&self, place: &ServedAt, address: SocketAddr) -> Shown {
        let mut stream = match connect(address).await {
            Ok(stream) => stream,
            Err(cause) => return Shown::Unreachable(cause),
        };
        match self.see(place, &mut stream, address).await {
            Ok(leaf) => Shown::Leaf(leaf),
            Err(why) => Shown::Nothing(why),
        }
    }

    async fn see(
        &self,
        place: &ServedAt,
        mut stream: &mut TcpStream,
        address: SocketAddr,
    ) -> Result<ServedLeaf, UnseenError> {
        let failed = |what: &str, cause: String| unseen(vec![format!("{address}: {what}"), cause]);
        begin_tls(stream, place.start)
            .await
            .map_err(|cause| failed("asking for TLS", cause))?;
        let name = match &place.host {
            ServedHost::Name(name) => ServerName::try_from(name.as_str().to_owned())
                .map_err(|error| failed("TLS", error.to_string()))?,
            ServedHost::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let mut stream = self
            .connector
            .connect(name, &mut stream)
            .await
            .map_err(|error| failed("TLS", error.to_string()))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let leaf = chain.first().map(|leaf| leaf.as_ref().to_vec());
        // A farewell is polite; that it arrives matters to nobody.
        let _unheard = stream.shutdown().await;
        let leaf = leaf.ok_or_else(|| failed("TLS", "it shows no certificate".to_owned()))?;
        Ok(ServedLeaf {
            sha256: x509::sha256_hex(&leaf),
            not_after: x509::not_after(&leaf),
        })
    }
}

#[async_trait]
impl DeploymentProbe for TlsProbe {
    async fn look(&self, place: &ServedAt) -> Result<ServedLeaf, UnseenError> {
        let looked = async { self.shake_all(place, addresses(place).await?).await };
        // The look-up of the name counts, too.
        match tokio::time::timeout(LOOK, looked).await {
            Ok(seen) => seen,
            Err(_elapsed) => Err(unseen(vec![format!(
                "no answer within {} s",
                LOOK.as_secs()
            )])),
        }
    }
}

/// What one address shows.
enum Shown {
    Leaf(ServedLeaf),
    /// It answers, and no leaf was seen.
    Nothing(UnseenError),
    /// No connection.
    Unreachable(String),
}

fn unseen(causes: Vec<String>) -> UnseenError {
    UnseenError { causes }
}

async fn addresses(place: &ServedAt) -> Result<Vec<SocketAddr>, UnseenError> {
    match &place.host {
        ServedHost::Address(address) => Ok(vec![SocketAddr::new(*address, place.port)]),
        ServedHost::Name(name) => tokio::net::lookup_host((name.as_str(), place.port))
            .await
            .map(Iterator::collect)
            .map_err(|error| unseen(vec![format!("look-up of {name}: {error}")])),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    match tokio::time::timeout(ADDRESS, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("connect to {address}: {error}")),
        Err(_elapsed) => {
            let waited = ADDRESS.as_secs();
            Err(format!("connect to {address}: no answer within {waited} s"))
        }
    }
}

/// Leads the conversation to the point where TLS begins.
async fn begin_tls(stream: &mut TcpStream, start: TlsStart) -> Result<(), String> {
    let mut talk = Talk {
        stream,
        heard: Vec::new(),
        read: 0,
    };
    match start {
        TlsStart::AtOnce => return Ok(()),
        TlsStart::Smtp => {
            talk.smtp("220").await?;
            talk.say("EHLO localhost").await?;
            let offers = talk.smtp("250").await?;
            let offered = offers
                .iter()
                .any(|line| line.eq_ignore_ascii_case("STARTTLS"));
            if !offered {
                return Err("it does not offer STARTTLS".to_owned());
            }
            talk.say("STARTTLS").await?;
            talk.smtp("220").await?;
        }
        TlsStart::Imap => {
            talk.expect("* OK").await?;
            talk.say("a1 STARTTLS").await?;
            loop {
                let line = talk.line().await?;
                if let Some(answer) = line.strip_prefix("a1 ") {
                    if answer.to_ascii_uppercase().starts_with("OK") {
                        break;
                    }
                    return Err(said(&line));
                }
            }
        }
        TlsStart::Pop3 => {
            talk.expect("+OK").await?;
            talk.say("STLS").await?;
            talk.expect("+OK").await?;
        }
    }
    if talk.heard.is_empty() {
        Ok(())
    } else {
        Err("it goes on talking where TLS should begin".to_owned())
    }
}

/// A conversation in lines.
struct Talk<'s> {
    stream: &'s mut TcpStream,
    /// What was read and not used yet.
    heard: Vec<u8>,
    read: usize,
}

impl Talk<'_> {
    async fn say(&mut self, line: &str) -> Result<(), String> {
        let line = format!("{line}\r\n");
        let sent = self.stream.write_all(line.as_bytes()).await;
        sent.map_err(|error| error.to_string())
    }

    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut chunk = [0; 1024];
            let read = self.stream.read(&mut chunk).await;
            let read = read.map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("it hung up".to_owned());
            }
            self.read += read;
            if self.read > TALK {
                return Err("it talks too much".to_owned());
            }
            self.heard.extend_from_slice(&chunk[..read]);
        }
    }

    async fn expect(&mut self, beginning: &str) -> Result<(), String> {
        let line = self.line().await?;
        if line.to_ascii_uppercase().starts_with(beginning) {
            Ok(())
        } else {
            Err(said(&line))
        }
    }

    /// A reply of one line or several; answers their texts (RFC 5321 section 4.2.1).
    async fn smtp(&mut self, code: &str) -> Result<Vec<String>, String> {
        let mut texts = Vec::new();
        loop {
            let line = self.line().await?;
            let Some(rest) = line.strip_prefix(code) else {
                return Err(said(&line));
            };
            if let Some(text) = rest.strip_prefix('-') {
                texts.push(text.to_owned());
                continue;
            }
            texts.push(rest.trim_start().to_owned());
            return Ok(texts);
        }
    }
}

/// A server's words, in an error.
fn said(line: &str) -> String {
    let words: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("it said: {words}")
}

/// Takes every chain, and asks for a proof of the key.
#[derive(Debug)]
struct AnyIssuer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyIssuer {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
