//! The exchange with one CA: from a call to a signed request, from a response to a reply (RFC 8555
//! section 6).
//!
//! The one who owns the connection turns this crank:
//!
//! ```text
//! prepare(call) -> NonceFirst(request)   send it, take_nonce_from(response), prepare again
//!               -> Send(request)         send it, receive(call, attempt, response)
//! receive       -> Reply(reply)          done
//!               -> Resend                prepare again, attempt + 1
//! ```
//!
//! A request is signed for one nonce and MUST NOT be sent twice: to repeat a call, prepare it anew.

use waxwing_core::http::{Method, Request, Response, without_query};

use crate::directory::Directory;
use crate::error::{AcmeError, AcmeErrorKind, Report};
use crate::excerpt::{EXCERPT, one_line};
use crate::exchange::Exchange;
use crate::jws::{self, SignError, SignedBy, Signer};
use crate::nonce::NoncePool;
use crate::problem::ProblemKind;
use crate::url;
use crate::user_agent::UserAgent;

/// Media type of an object that is asked for.
pub(crate) const JSON: &str = "application/json";

/// One thing to ask of the CA, complete with its arguments. Only this crate can read an answer, so
/// all implementations are here, each beside the object it is about.
pub trait Call {
    /// What the CA answers.
    type Reply;

    /// What is tried, completing "failed to …".
    const NAME: &'static str;

    /// The media type that is asked for.
    const ACCEPT: &'static str = JSON;

    /// Whose name the request is signed in.
    const IDENTITY: Identity = Identity::Account;

    /// Where the request goes.
    fn target<'a>(&'a self, directory: &'a Directory) -> Target<'a>;

    /// What is signed; empty for a POST-as-GET. `url` is the target, `account_key` the signer of
    /// the whole request.
    fn payload(&self, url: &str, account_key: &dyn Signer) -> Result<Vec<u8>, SignError>;

    /// Reads the answer.
    fn read(&self, exchange: &Exchange<'_>) -> Result<Self::Reply, AcmeError>;
}

/// Whose name a request is signed in (RFC 8555 section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The account's: its URL goes into `kid`.
    Account,
    /// The key's own: the key goes into `jwk`.
    Key,
    /// The account's if the credentials name one, else the key's own.
    AccountOrKey,
}

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// To that URL.
    Url(&'a str),
    /// To a resource of the directory that this CA does not offer.
    NotOffered(&'static str),
}

impl<'a> Target<'a> {
    /// The optional resource of that name.
    pub(crate) fn optional(resource: &'static str, url: Option<&'a String>) -> Self {
        url.map_or(Self::NotOffered(resource), |url| Self::Url(url))
    }
}

/// Who signs.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The account key; for a revocation without an account, the certificate's.
    pub signer: &'a dyn Signer,
    /// The account's URL; none before newAccount.
    pub kid: Option<&'a str>,
}

/// What is to be sent.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// No nonce is left: send this, hand the reply to [`Session::take_nonce_from`], prepare again.
    NonceFirst(Request),
    /// The call itself: send it once, hand the reply to [`Session::receive`].
    Send(Request),
}

/// What came of a call.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The reply.
    Reply(R),
    /// The nonce was not accepted, nothing happened at the CA: prepare the call again, at once.
    Resend,
}

/// What is known about one CA while talking to it: its directory and the nonces left.
///
/// One session serves all accounts and all orders at a CA, so that replies to one feed nonces to
/// the others. It does nothing by itself and can sit behind a lock that is never held while waiting.
#[derive(Debug)]
pub struct Session {
    directory: Directory,
    user_agent: UserAgent,
    nonces: NoncePool,
}

impl Session {
    /// How often a call is sent while the CA keeps refusing its nonces. A test CA that refuses every
    /// second nonce makes this fail once in a million calls.
    pub const MAX_ATTEMPTS: u32 = 20;

    /// A session without nonces.
    pub fn new(directory: Directory, user_agent: UserAgent) -> Self {
        Self {
            directory,
            user_agent,
            nonces: NoncePool::default(),
        }
    }

    /// The directory of the CA.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The name under which requests are made.
    pub const fn user_agent(&self) -> &UserAgent {
        &self.user_agent
    }

    /// Takes a directory that was read anew, and keeps the nonces.
    pub fn set_directory(&mut self, directory: Directory) {
        self.directory = directory;
    }

    /// Signs a call, if there is a nonce for it.
    pub fn prepare<C: Call>(
        &mut self,
        call: &C,
        credentials: &Credentials<'_>,
    ) -> Result<Prepared, AcmeError> {
        let target = self.target(call)?.to_owned();
        let by = match (C::IDENTITY, credentials.kid) {
            (Identity::Account | Identity::AccountOrKey, Some(kid)) => SignedBy::Account(kid),
            (Identity::Key, _) | (Identity::AccountOrKey, None) => SignedBy::Key,
            (Identity::Account, None) => {
                return Err(unsent::<C>(&target, AcmeErrorKind::NoAccount));
            }
        };
        let Some(nonce) = self.nonces.take() else {
            return Ok(Prepared::NonceFirst(self.nonce_request()));
        };
        let signed = call
            .payload(&target, credentials.signer)
            .and_then(|payload| {
                jws::sign(credentials.signer, &by, Some(&nonce), &target, &payload)
            });
        let body = match signed {
            Ok(body) => body,
            Err(cause) => {
                self.nonces.put_back(nonce);
                return Err(unsent::<C>(&target, AcmeErrorKind::NotSigned(cause)));
            }
        };
        let mut headers = headers(&self.user_agent, C::ACCEPT);
        headers.push((
            "content-type".to_owned(),
            "application/jose+json".to_owned(),
        ));
        Ok(Prepared::Send(Request {
            method: Method::Post,
            url: target,
            headers,
            body: body.into_bytes(),
        }))
    }

    /// Takes the nonce out of the reply to [`Prepared::NonceFirst`].
    pub fn take_nonce_from(&mut self, response: &Response) -> Result<(), AcmeError> {
        let kept = self.nonces.keep_from(response);
        let exchange = Exchange::new(
            "fetch a nonce",
            Method::Head,
            &self.directory.new_nonce,
            response,
        );
        exchange.success()?;
        if kept {
            Ok(())
        } else {
            Err(exchange.error(AcmeErrorKind::MissingHeader {
                name: "replay-nonce",
            }))
        }
    }

    /// Reads the reply to a call. `attempt` counts how often the call has been sent, this time
    /// included, so it starts at 1.
    pub fn receive<C: Call>(
        &mut self,
        call: &C,
        attempt: u32,
        response: &Response,
    ) -> Result<Outcome<C::Reply>, AcmeError> {
        let fresh = self.nonces.keep_from(response);
        let target = self.target(call)?;
        let exchange = Exchange::new(C::NAME, Method::Post, target, response);
        let failed = match call.read(&exchange) {
            Ok(reply) => return Ok(Outcome::Reply(reply)),
            Err(failed) => failed,
        };
        if !failed.is(&ProblemKind::BadNonce) {
            return Err(failed);
        }
        if attempt >= Self::MAX_ATTEMPTS {
            return Err(exchange.error(AcmeErrorKind::BadNonces { attempts: attempt }));
        }
        if !fresh {
            self.nonces.clear();
        }
        Ok(Outcome::Resend)
    }

    fn target<'a, C: Call>(&'a self, call: &'a C) -> Result<&'a str, AcmeError> {
        match call.target(&self.directory) {
            Target::NotOffered(resource) => Err(unsent::<C>(
                &self.directory.url,
                AcmeErrorKind::NotOffered { resource },
            )),
            Target::Url(target) => match url::refusal(target) {
                None => Ok(target),
                Some(reason) => Err(unsent::<C>(
                    target,
                    AcmeErrorKind::UnusableUrl {
                        field: "the request",
                        value: one_line(without_query(target), EXCERPT),
                        reason,
                    },
                )),
            },
        }
    }

    fn nonce_request(&self) -> Request {
        Request {
            method: Method::Head,
            url: self.directory.new_nonce.clone(),
            headers: headers(&self.user_agent, "*/*"),
            body: Vec::new(),
        }
    }
}

/// The headers of every request to the CA.
pub(crate) fn headers(user_agent: &UserAgent, accept: &str) -> Vec<(String, String)> {
    [
        ("user-agent", user_agent.as_str()),
        ("accept", accept),
        ("accept-language", "en"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// An error about a call that was not sent.
fn unsent<C: Call>(target: &str, kind: AcmeErrorKind) -> AcmeError {
    Report::unsent(C::NAME, Method::Post, target, kind).into()
}

#[cfg(test)]
mod tests {
    use waxwing_core::failure::FailureClass;

    use super::*;
    use crate::account::{KeyChange, NewAccount};
    use crate::certificate::Revoke;
    use crate::order::ReadOrder;
    use crate::tests::fixture::{
        AbsentKey, KID, TestKey, directory, opened, problem, reply, requested, sent, session,
        user_agent,
    };

    fn read_order() -> ReadOrder {
        ReadOrder {
            url: "https://ca.example/order/1".to_owned(),
        }
    }

    fn register() -> NewAccount {
        NewAccount {
            contact: Vec::new(),
            terms_agreed: true,
            external: None,
            only_existing: false,
        }
    }

    fn kind<T>(outcome: Result<T, AcmeError>) -> Option<AcmeErrorKind> {
        outcome.err().map(|error| error.kind.clone())
    }

    #[test]
    fn a_request_is_a_post_of_jose_json() {
        let request = requested(&read_order());
        assert_eq!(request.method, Method::Post);
        let headers: Vec<&str> = request
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            headers,
            ["user-agent", "accept", "accept-language", "content-type"]
        );
        assert_eq!(request.headers[3].1, "application/jose+json");
        assert!(opened(&request.body).is_by_test_key());
    }

    #[test]
    fn calls_are_signed_in_the_name_of_account_or_key() {
        let key = TestKey::new();
        let signed = |kid: Option<&str>, new_account: bool, revoke: bool| {
            let (mut session, credentials) = (session(), Credentials { signer: &key, kid });
            let request = match (new_account, revoke) {
                (true, _) => session.prepare(&register(), &credentials),
                (_, true) => session.prepare(
                    &Revoke {
                        certificate_der: vec![1],
                        reason: None,
                    },
                    &credentials,
                ),
                _ => session.prepare(&read_order(), &credentials),
            };
            let header = opened(&sent(request).body).header;
            (header.get("kid").is_some(), header.get("jwk").is_some())
        };
        assert_eq!(signed(Some(KID), false, false), (true, false));
        assert_eq!(signed(Some(KID), true, false), (false, true));
        assert_eq!(signed(Some(KID), false, true), (true, false));
        assert_eq!(signed(None, false, true), (false, true));
        let credentials = Credentials {
            signer: &key,
            kid: None,
        };
        let prepared = session().prepare(&read_order(), &credentials);
        assert_eq!(kind(prepared), Some(AcmeErrorKind::NoAccount));
    }

    #[test]
    fn a_call_that_cannot_be_signed_gives_its_nonce_back() {
        let mut session = session();
        let prepared = session.prepare(
            &read_order(),
            &Credentials {
                signer: &AbsentKey,
                kid: Some(KID),
            },
        );
        let cause = SignError {
            cause: "the token was pulled out".to_owned(),
        };
        assert_eq!(kind(prepared), Some(AcmeErrorKind::NotSigned(cause)));
        assert_eq!(session.nonces.take().as_deref(), Some("n0"));
    }

    #[test]
    fn a_resource_that_the_ca_does_not_offer_is_not_asked_for() {
        let key = TestKey::new();
        let bare = Directory {
            key_change: None,
            ..directory()
        };
        let mut session = Session::new(bare, user_agent());
        let call = KeyChange {
            account: KID,
            new_signer: &key,
        };
        let prepared = session.prepare(
            &call,
            &Credentials {
                signer: &key,
                kid: Some(KID),
            },
        );
        assert_eq!(
            kind(prepared),
            Some(AcmeErrorKind::NotOffered {
                resource: "keyChange"
            })
        );
    }

    #[test]
    fn a_stored_url_is_checked_before_it_is_used() {
        let key = TestKey::new();
        let call = ReadOrder {
            url: "http://ca.example/order/1?x=secret".to_owned(),
        };
        let prepared = session().prepare(
            &call,
            &Credentials {
                signer: &key,
                kid: Some(KID),
            },
        );
        let want = AcmeErrorKind::UnusableUrl {
            field: "the request",
            value: "http://ca.example/order/1".to_owned(),
            reason: "it does not begin with https://",
        };
        assert_eq!(kind(prepared), Some(want));
    }

    #[test]
    fn the_reply_to_new_nonce_must_hold_one() {
        let take = |response: &Response| {
            let mut session = Session::new(directory(), user_agent());
            let taken = session.take_nonce_from(response);
            (taken.map_err(|error| error.class()), session.nonces.len())
        };
        assert_eq!(
            take(&reply(204, &[("replay-nonce", "n1")], "")),
            (Ok(()), 1)
        );
        assert_eq!(take(&reply(200, &[], "")), (Err(FailureClass::Bug), 0));
        assert_eq!(
            take(&reply(429, &[], "<p>slow</p>")),
            (Err(FailureClass::RateLimited), 0)
        );
    }

    #[test]
    fn a_refusal_without_a_nonce_empties_the_pool_of_older_ones() {
        let mut session = session();
        let mut refusal = problem(400, "badNonce", "stale");
        refusal.headers.clear();
        assert_eq!(
            session.receive(&read_order(), 1, &refusal),
            Ok(Outcome::Resend)
        );
        assert_eq!(session.nonces.len(), 0);
    }
}
