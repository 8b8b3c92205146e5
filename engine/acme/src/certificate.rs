//! Certificates: download, alternate chains, revocation (RFC 8555 sections 7.4.2 and 7.6).
//!
//! Nothing here looks into a certificate; which chain is wanted is decided where X.509 is read.

use serde_json::json;

use crate::directory::Directory;
use crate::error::{AcmeError, AcmeErrorKind};
use crate::exchange::Exchange;
use crate::jws::{SignError, Signer, base64url};
use crate::link;
use crate::problem::ProblemKind;
use crate::session::{Call, Identity, Target};
use crate::url;

/// The header with a nonce for the next request.
const REPLAY_NONCE: &str = "replay-nonce";

/// The reply to [`DownloadCertificate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateReply {
    /// The certificate and its chain, PEM blocks of certificates only.
    pub pem: String,
    /// URLs of the same certificate with other chains. Links that cannot be followed are left out:
    /// they are an offer, and the certificate is here.
    pub alternates: Vec<String>,
}

/// Downloads a certificate with one of its chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadCertificate {
    /// The order's `certificate` URL, or one of [`CertificateReply::alternates`].
    pub url: String,
}

impl Call for DownloadCertificate {
    type Reply = CertificateReply;

    const NAME: &'static str = "download the certificate";

    const ACCEPT: &'static str = "application/pem-certificate-chain";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.url)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(Vec::new())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<CertificateReply, AcmeError> {
        let response = exchange.success()?;
        let pem = String::from_utf8(response.body.clone())
            .map_err(|_bytes| exchange.malformed("the certificate is not PEM"))?;
        check_blocks(&pem).map_err(|cause| exchange.malformed(cause))?;
        let alternates = link::targets(response, "alternate")
            .into_iter()
            .filter(|target| url::refusal(target).is_none())
            .collect();
        Ok(CertificateReply { pem, alternates })
    }
}

/// Why a text is not a chain of certificates.
fn check_blocks(pem: &str) -> Result<(), &'static str> {
    const BROKEN: &str = "the PEM breaks off";
    let mut lines = pem.lines().map(str::trim_end);
    let mut blocks = 0_u32;
    while let Some(begin) = lines.next() {
        match begin {
            "" => continue,
            "-----BEGIN CERTIFICATE-----" => blocks += 1,
            // Servers that read the file would take a key or parameters from it just as well (RFC
            // 8555 section 11.4).
            _ if begin.starts_with("-----BEGIN") && begin.ends_with("-----") => {
                return Err("the PEM holds something besides certificates");
            }
            _ if blocks == 0 => return Err("the certificate is not PEM"),
            _ => return Err(BROKEN),
        }
        // No text may stand between the blocks (RFC 8555 section 9.1), so the next mark ends this one.
        match lines.find(|line| line.starts_with('-')) {
            Some("-----END CERTIFICATE-----") => {}
            _ => return Err(BROKEN),
        }
    }
    match blocks {
        0 => Err("the certificate is not PEM"),
        _ => Ok(()),
    }
}

/// Revokes a certificate. Credentials without an account sign with the certificate's own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// The certificate in DER.
    pub certificate_der: Vec<u8>,
    /// The reason by its number in RFC 5280 section 5.3.1.
    pub reason: Option<u8>,
}

/// What a revocation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// The certificate is revoked now.
    Done,
    /// It was revoked before, perhaps by this very call whose reply was lost.
    DoneBefore,
}

impl Call for Revoke {
    type Reply = Revocation;

    const NAME: &'static str = "revoke the certificate";

    const IDENTITY: Identity = Identity::AccountOrKey;

    fn target<'a>(&'a self, directory: &'a Directory) -> Target<'a> {
        Target::optional("revokeCert", directory.revoke_cert.as_ref())
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        let mut payload = json!({ "certificate": base64url(&self.certificate_der) });
        if let Some(reason) = self.reason {
            payload["reason"] = json!(reason);
        }
        Ok(payload.to_string().into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<Revocation, AcmeError> {
        match exchange.success() {
            // A success has no body to know the CA by, and a page that some proxy puts in its place
            // has the same status. The nonce is the CA's (RFC 8555 section 6.5).
            Ok(response) if response.header(REPLAY_NONCE).is_none() => {
                Err(exchange.error(AcmeErrorKind::MissingHeader { name: REPLAY_NONCE }))
            }
            Ok(_) => Ok(Revocation::Done),
            Err(error) if error.is(&ProblemKind::AlreadyRevoked) => Ok(Revocation::DoneBefore),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::{answered, opened, problem, reply, requested};

    fn download() -> DownloadCertificate {
        DownloadCertificate {
            url: "https://ca.example/cert/1".to_owned(),
        }
    }

    #[test]
    fn only_certificates_are_taken() {
        const CERTIFICATE: &str =
            "-----BEGIN CERTIFICATE-----\r\nAA==\r\n-----END CERTIFICATE-----";
        let check = |pem: &str, want: Result<(), &str>| {
            let read = answered(&download(), &reply(200, &[], pem));
            let read = read.map(|_| ()).map_err(|error| error.kind.clone());
            let want = want.map_err(|cause| AcmeErrorKind::Malformed {
                cause: cause.to_owned(),
            });
            assert_eq!(read, want, "{pem}");
        };
        check(&format!("{CERTIFICATE}\r\n{CERTIFICATE}\r\n"), Ok(()));
        let foreign = Err("the PEM holds something besides certificates");
        check(
            &format!("{CERTIFICATE}\n-----BEGIN PRIVATE KEY-----\n"),
            foreign,
        );
        check(
            &format!("{CERTIFICATE}\n-----BEGIN CERTIFICATE REQUEST-----\n"),
            foreign,
        );
        let broken = Err("the PEM breaks off");
        check(&CERTIFICATE[..40], broken);
        check(&format!("{CERTIFICATE}\n{}", &CERTIFICATE[..14]), broken);
        check(&format!("{CERTIFICATE}\n{}", &CERTIFICATE[..33]), broken);
        let nothing = Err("the certificate is not PEM");
        check("", nothing);
        check("<html>busy</html>", nothing);
    }

    #[test]
    fn a_certificate_is_asked_for_as_a_chain_in_pem() {
        let request = requested(&download());
        let accept = (
            "accept".to_owned(),
            "application/pem-certificate-chain".to_owned(),
        );
        assert!(request.headers.contains(&accept));
        assert_eq!(opened(&request.body).payload, b"");
    }

    #[test]
    fn a_revocation_may_name_its_reason() {
        let payload = |reason| {
            let call = Revoke {
                certificate_der: vec![0x30, 0x03],
                reason,
            };
            opened(&requested(&call).body).payload_json()
        };
        assert_eq!(payload(None), json!({ "certificate": "MAM" }));
        assert_eq!(
            payload(Some(4)),
            json!({ "certificate": "MAM", "reason": 4 })
        );
    }

    #[test]
    fn revoking_twice_is_no_failure() {
        let call = Revoke {
            certificate_der: vec![1],
            reason: None,
        };
        let done = reply(200, &[("replay-nonce", "n1")], "");
        assert_eq!(answered(&call, &done), Ok(Revocation::Done));
        let before = problem(400, "alreadyRevoked", "long ago");
        assert_eq!(answered(&call, &before), Ok(Revocation::DoneBefore));
        let refused = answered(&call, &problem(403, "unauthorized", "not yours"));
        assert_eq!(
            refused.map_err(|error| error.kind.clone()),
            Err(AcmeErrorKind::Refused)
        );
    }

    #[test]
    fn a_page_in_the_place_of_the_ca_revokes_nothing() {
        let call = Revoke {
            certificate_der: vec![1],
            reason: None,
        };
        let page = answered(&call, &reply(200, &[], "<html>welcome to the hotel</html>"));
        assert_eq!(
            page.map_err(|error| error.kind.clone()),
            Err(AcmeErrorKind::MissingHeader {
                name: "replay-nonce"
            })
        );
    }
}
