//! A POST to a URL, in the shape that its product wants.

use async_trait::async_trait;
use waxwing_acme::retry_after::RetryAfter;
use waxwing_core::http::{Method, Request, host_of};
use waxwing_core::notify::{WebhookSettings, WebhookUrl, bad_webhook_url};
use waxwing_flow::notify::{Delivered, Message};
use waxwing_flow::ports::{Addresses, Clock as _, Notifier, NotifyError, Policy};

use crate::clock::SystemClock;

use super::{Means, SEND, Veil};

/// Longest answer that is read, in bytes.
const ANSWER: u64 = 64 * 1024;

pub(super) struct Webhook {
    settings: WebhookSettings,
    means: Means,
}

impl Webhook {
    pub(super) const fn new(settings: WebhookSettings, means: Means) -> Self {
        Self { settings, means }
    }

    /// The URL, and as much of it as may be shown.
    fn url(&self, veil: &mut Veil) -> Result<(String, String), NotifyError> {
        let url = match &self.settings.url {
            WebhookUrl::Written(url) => url.clone(),
            WebhookUrl::Secret(reference) => {
                let secret = self.means.secrets.secret(reference);
                let secret = secret.map_err(|error| NotifyError {
                    retry_after: None,
                    what: "call the webhook".to_owned(),
                    causes: vec![error.to_string()],
                    hint: error.hint,
                })?;
                if let Some(wrong) = bad_webhook_url(secret.expose()) {
                    return Err(NotifyError {
                        retry_after: None,
                        what: "call the webhook".to_owned(),
                        causes: vec![format!("in the secret of its URL, {wrong}")],
                        hint: None,
                    });
                }
                secret.expose().clone()
            }
        };
        let host = host_of(&url).to_owned();
        // The path is the credential at many products.
        if let Some(at) = url.find(&host).map(|at| at + host.len()) {
            let path = url[at..].find('/').map_or("", |slash| &url[at + slash..]);
            veil.hide(path);
            path.split(['/', '?', '&', '='])
                .filter(|part| part.len() >= 12)
                .for_each(|part| veil.hide(part));
        }
        Ok((url, host))
    }

    fn headers(
        &self,
        message: &Message,
        fixed: Vec<(String, String)>,
        what: &str,
        veil: &mut Veil,
    ) -> Result<Vec<(String, String)>, NotifyError> {
        let mut headers = fixed;
        headers.push(("user-agent".to_owned(), self.means.user_agent.clone()));
        // The same for every try, so that a receiver can drop a double.
        headers.push(("idempotency-key".to_owned(), message.id.clone()));
        if let Some(header) = &self.settings.header {
            let secret = self.means.secrets.secret(&header.secret);
            let secret = secret.map_err(|error| NotifyError {
                retry_after: None,
                what: what.to_owned(),
                causes: vec![error.to_string()],
                hint: error.hint,
            })?;
            veil.hide(secret.expose());
            let scheme = header.scheme.as_ref();
            let value = match scheme {
                Some(scheme) => format!("{scheme} {}", secret.expose()),
                None => secret.expose().clone(),
            };
            headers.retain(|(name, _)| *name != header.name);
            headers.push((header.name.clone(), value));
        }
        Ok(headers)
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn to(&self) -> String {
        let shape = &self.settings.shape;
        match &self.settings.url {
            WebhookUrl::Written(url) => format!("{} ({})", host_of(url), shape.title),
            WebhookUrl::Secret(_) => shape.title.clone(),
        }
    }

    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError> {
        let mut veil = Veil::default();
        let (url, host) = self.url(&mut veil)?;
        let what = format!("call the webhook at {host}");
        let payload = self
            .settings
            .shape
            .fill(&message.notice, &message.subject, &message.text);
        let headers = self.headers(message, payload.headers, &what, &mut veil)?;
        let request = Request {
            method: Method::Post,
            url,
            headers,
            body: payload.body,
        };
        let policy = Policy {
            connect: SEND / 3,
            reply: SEND,
            body_cap: ANSWER,
            addresses: Addresses::Any,
            trust: self.settings.trust.clone().into_iter().collect(),
            plain_http: false,
        };
        let failed = |causes: Vec<String>, hint: Option<&str>| NotifyError {
            retry_after: None,
            what: what.clone(),
            causes,
            hint: hint.map(str::to_owned),
        };
        let answer = self.means.http.send(request, &policy).await;
        let answer = answer.map_err(|error| failed(vec![veil.clean(&error.to_string())], None))?;
        let said = veil.lines(&String::from_utf8_lossy(&answer.body));
        if (200..300).contains(&answer.status) {
            let mut answers = vec![format!("HTTP {}", answer.status)];
            answers.extend(said);
            return Ok(Delivered {
                answers,
                refused: Vec::new(),
                deferred: Vec::new(),
            });
        }
        let hint = match answer.status {
            300..=399 => Some("the URL leads elsewhere, and a redirect is not followed"),
            401 | 403 => Some("the receiver does not accept the token or the URL"),
            404 | 410 => Some("the webhook is not there any more; make a new one and set its URL"),
            _ => None,
        };
        let mut causes = vec![format!("HTTP {}", answer.status)];
        causes.extend(said);
        let asked = RetryAfter::of(&answer).map(|asked| asked.wait(SystemClock.now()));
        Err(NotifyError {
            retry_after: asked,
            ..failed(causes, hint)
        })
    }
}
