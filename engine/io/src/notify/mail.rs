//! Mail: a text and the same with markup, by the operator's server.
//!
//! Each step of the conversation (RFC 5321) is made here, so that an error names the step that failed,
//! and a recipient that the server refuses does not keep the others from hearing.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, TlsParameters, TlsVersion,
};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use lettre::{Address, Message as Letter};
use waxwing_core::notify::{MailSecurity, MailSettings};
use waxwing_flow::notify::{Deferred, Delivered, Message};
use waxwing_flow::ports::{Notifier, NotifyError};

use super::{Means, SEND, Veil};
use crate::pem;

/// Time for one address of the server.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(10);

/// In the order in which they are tried.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

pub(super) struct Mail {
    settings: MailSettings,
    means: Means,
}

/// A step that failed.
struct Failed {
    step: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failed {
    fn new(step: impl Into<String>, cause: impl ToString) -> Self {
        Self {
            step: step.into(),
            causes: vec![cause.to_string()],
            hint: None,
        }
    }
}

impl Mail {
    pub(super) const fn new(settings: MailSettings, means: Means) -> Self {
        Self { settings, means }
    }

    /// `mx.example.com:587`
    fn server(&self) -> String {
        let server = &self.settings.server;
        if server.host.contains(':') {
            return format!("[{}]:{}", server.host, server.port);
        }
        format!("{}:{}", server.host, server.port)
    }

    /// The whole mail as it goes over the wire.
    fn letter(&self, message: &Message) -> Result<Vec<u8>, Failed> {
        let wrong = |cause: &dyn std::fmt::Display| Failed::new("write the mail", cause);
        let mailbox = |name: Option<String>, address: &str| -> Result<Mailbox, Failed> {
            let address: Address = address.parse().map_err(|cause| wrong(&cause))?;
            Ok(Mailbox::new(name, address))
        };
        let host = &self.means.host;
        let from = mailbox(Some(format!("Waxwing on {host}")), &self.settings.from)?;
        let mut letter = Letter::builder()
            .from(from)
            .subject(message.subject.clone())
            .message_id(Some(format!("<{}@{host}>", message.id)))
            .date_now()
            // RFC 3834: no holiday notice answers this.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for to in &self.settings.to {
            letter = letter.to(mailbox(None, to)?);
        }
        let part = |kind: ContentType, text: &str| {
            SinglePart::builder().header(kind).body(text.to_owned())
        };
        let parts = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &message.text))
            .singlepart(part(ContentType::TEXT_HTML, &message.html));
        let letter = letter.multipart(parts).map_err(|cause| wrong(&cause))?;
        Ok(letter.formatted())
    }

    fn tls(&self) -> Result<TlsParameters, Failed> {
        let wrong = |cause: &dyn std::fmt::Display| Failed::new("set TLS up", cause);
        let mut tls = TlsParameters::builder(self.settings.server.host.clone())
            .set_min_tls_version(TlsVersion::Tlsv12);
        let files = [&self.means.trust, &self.settings.trust];
        for path in files.into_iter().flatten() {
            for root in roots(path).map_err(|cause| wrong(&cause))? {
                let root = Certificate::from_der(root).map_err(|cause| wrong(&cause))?;
                tls = tls.add_root_certificate(root);
            }
        }
        tls.build_rustls().map_err(|cause| wrong(&cause))
    }

    async fn converse(
        &self,
        message: &Message,
        handed: &AtomicBool,
        veil: &mut Veil,
    ) -> Result<(Delivered, AsyncSmtpConnection), Failed> {
        let letter = self.letter(message)?;
        let mut connection = self.connect(veil).await?;
        self.log_in(&mut connection, veil).await?;
        let delivered = self
            .hand_over(&mut connection, (&letter, handed), &message.only, veil)
            .await;
        match delivered {
            Ok(delivered) => Ok((delivered, connection)),
            Err(failed) => {
                hang_up(&mut connection).await;
                Err(failed)
            }
        }
    }

    async fn connect(&self, veil: &Veil) -> Result<AsyncSmtpConnection, Failed> {
        let server = &self.settings.server;
        let us = ClientId::Domain(self.means.host.clone());
        let at_once = match server.security {
            MailSecurity::Tls => Some(self.tls()?),
            MailSecurity::StartTls | MailSecurity::Plain => None,
        };
        let encrypted = at_once.is_some();
        let address = (server.host.as_str(), server.port);
        let connected =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT), &us, at_once, None).await;
        let mut connection = connected.map_err(|error| {
            let causes = veil.chain(&error);
            Failed {
                step: "connect".to_owned(),
                hint: encrypted.then(|| of_tls(&causes, error.is_tls())).flatten(),
                causes,
            }
        })?;
        if server.security == MailSecurity::StartTls {
            if !connection.can_starttls() {
                hang_up(&mut connection).await;
                return Err(Failed {
                    step: "begin TLS".to_owned(),
                    causes: vec![
                        "the server offers no STARTTLS, and nothing is sent in the clear"
                            .to_owned(),
                    ],
                    hint: Some(
                        "a server with TLS from the first byte, as on port 465, is smtps://"
                            .to_owned(),
                    ),
                });
            }
            let tls = self.tls()?;
            let begun = connection.starttls(tls, &us).await;
            begun.map_err(|error| {
                let failed = failed("begin TLS", &error, veil);
                let hint = of_tls(&failed.causes, false).or(failed.hint);
                Failed { hint, ..failed }
            })?;
        }
        Ok(connection)
    }

    async fn log_in(
        &self,
        connection: &mut AsyncSmtpConnection,
        veil: &mut Veil,
    ) -> Result<(), Failed> {
        let Some(login) = &self.settings.login else {
            return Ok(());
        };
        let step = format!("log in as {}", login.user);
        let password = self.means.secrets.secret(&login.password);
        let password = password.map_err(|error| Failed {
            hint: error.hint.clone(),
            ..Failed::new(step.clone(), error)
        })?;
        veil.hide(password.expose());
        // How AUTH PLAIN writes it (RFC 4616).
        veil.hide(&format!("\0{}\0{}", login.user, password.expose()));
        let credentials = Credentials::new(login.user.clone(), password.expose().clone());
        let result = connection.auth(&MECHANISMS, &credentials).await;
        match result {
            Ok(_welcome) => Ok(()),
            Err(error) => {
                hang_up(connection).await;
                let hint = error
                    .is_permanent()
                    .then(|| "[notify.NAME] login has the user and names the password".to_owned());
                Err(Failed {
                    hint,
                    ..failed(&step, &error, veil)
                })
            }
        }
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        (letter, handed): (&[u8], &AtomicBool),
        only: &[String],
        veil: &Veil,
    ) -> Result<Delivered, Failed> {
        let all = only.is_empty();
        let to = self.settings.to.iter();
        let recipients: Vec<&String> = to.filter(|to| all || only.contains(to)).collect();
        let address = |text: &str| -> Result<Address, Failed> {
            text.parse()
                .map_err(|cause| Failed::new(format!("use the address {text}"), cause))
        };
        let from = address(&self.settings.from)?;
        let step = format!("send as {}", self.settings.from);
        let accepted = connection
            .command(MailFrom::new(Some(from), Vec::new()))
            .await;
        accepted.map_err(|error| failed(&step, &error, veil))?;
        let mut answers = Vec::new();
        let mut refused = Vec::new();
        let mut deferred = Vec::new();
        for to in recipients {
            let answer = connection
                .command(Rcpt::new(address(to)?, Vec::new()))
                .await;
            match answer {
                Ok(answer) => answers.push(format!("{to}: {}", said(&answer, veil))),
                // A connection that broke is no answer about a recipient.
                Err(error) if error.status().is_none() => {
                    return Err(failed(&format!("send to {to}"), &error, veil));
                }
                Err(error) => {
                    let why = veil.chain(&error).join(": ");
                    match error.is_transient() {
                        true => deferred.push(Deferred {
                            recipient: to.clone(),
                            why,
                        }),
                        false => refused.push(format!("{to}: {why}")),
                    }
                }
            }
        }
        let delivered = Delivered {
            answers,
            refused,
            deferred,
        };
        // Nothing was said yet that a server would keep. Where others have it, that one lacks it still is no failure.
        if delivered.answers.is_empty() && !all {
            return Ok(delivered);
        }
        if delivered.answers.is_empty() {
            return Err(Failed {
                step: "send to anybody".to_owned(),
                causes: delivered.lacking().collect(),
                hint: None,
            });
        }
        let ready = connection.command(Data).await;
        ready.map_err(|error| failed("hand the mail over", &error, veil))?;
        handed.store(true, Ordering::Relaxed);
        let taken = connection.message(letter).await;
        let taken = taken.map_err(|error| failed("hand the mail over", &error, veil))?;
        let mut delivered = delivered;
        delivered.answers.push(said(&taken, veil));
        Ok(delivered)
    }
}

/// How long a server is waited for that is told goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// Ends a conversation that came to nothing. Why it did must not be lost for a server that keeps silent.
async fn hang_up(connection: &mut AsyncSmtpConnection) {
    let _farewell = tokio::time::timeout(FAREWELL, connection.abort()).await;
}

#[async_trait]
impl Notifier for Mail {
    fn to(&self) -> String {
        self.settings.to.join(", ")
    }

    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError> {
        let mut veil = Veil::default();
        let what = format!("send mail by {}", self.server());
        let handed = AtomicBool::new(false);
        let sent = tokio::time::timeout(SEND, self.converse(message, &handed, &mut veil)).await;
        let mut sent = sent.unwrap_or_else(|_elapsed| {
            let seconds = SEND.as_secs();
            match handed.load(Ordering::Relaxed) {
                true => {
                    let cause = format!(
                        "the server has it, and has not said within {seconds} s whether it takes it"
                    );
                    let hint = "it is sent again and may come more than once: see what keeps the server, such as a filter";
                    Err(Failed {
                        hint: Some(hint.to_owned()),
                        ..Failed::new("hand the mail over", cause)
                    })
                }
                false => {
                    let cause = format!("it was not done within {seconds} s");
                    Err(Failed::new("end the conversation", cause))
                }
            }
        });
        if let Ok((_, connection)) = &mut sent {
            // It has the mail (RFC 5321 section 6.1); how it says goodbye, or whether, changes nothing.
            let _farewell = tokio::time::timeout(FAREWELL, connection.quit()).await;
        }
        sent.map(|(delivered, _)| delivered).map_err(|failed| {
            let mut causes = vec![format!("failed to {}", failed.step)];
            causes.extend(failed.causes);
            NotifyError {
                retry_after: None,
                what,
                causes,
                hint: failed.hint,
            }
        })
    }
}

/// A step that the server or the network did not let pass.
fn failed(step: &str, error: &Error, veil: &Veil) -> Failed {
    Failed {
        step: step.to_owned(),
        causes: veil.chain(error),
        hint: None,
    }
}

/// An answer on one line: `250 2.0.0 queued`.
fn said(answer: &Response, veil: &Veil) -> String {
    let words: Vec<&str> = answer.message().map(str::trim).collect();
    veil.clean(&format!("{} {}", answer.code(), words.join(" ")))
}

#[expect(clippy::disallowed_methods, reason = "roots are files")]
fn roots(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let wrong = |cause: String| format!("the roots in {} cannot be used: {cause}", path.display());
    // A pipe that nobody writes to would be waited for.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(wrong("it is no regular file".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| wrong(cause.to_string()))?;
    let roots = pem::roots(&text).map_err(|cause| wrong(cause.to_string()))?;
    Ok(roots.iter().map(|root| root.to_vec()).collect())
}
/// What to do when TLS could not be begun; the library has only words for why.
fn of_tls(causes: &[String], is_tls: bool) -> Option<String> {
    let says = |word: &str| causes.iter().any(|cause| cause.contains(word));
    if says("UnknownIssuer") {
        let hint =
            "[notify.NAME] trust = \"ROOT.pem\" names the root of a server with a private one";
        Some(hint.to_owned())
    } else if is_tls || says("InvalidContentType") {
        Some("a server that begins without TLS, as on port 587, is submission://".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_of_a_usual_mistake_is_what_to_do() {
        let hint = |cause: &str, is_tls| {
            of_tls(&["Connection error".to_owned(), cause.to_owned()], is_tls)
        };
        let begins = hint("received corrupt message of type InvalidContentType", false);
        assert!(begins.is_some_and(|hint| hint.contains("submission://")));
        let root = hint("invalid peer certificate: UnknownIssuer", true);
        assert!(root.is_some_and(|hint| hint.contains("trust = ")));
        assert_eq!(hint("Connection refused (os error 111)", false), None);
    }
}
