//! What a CA, or something in its place, answers.
//!
//! The first line of an input may name a status and header fields, `201 location=https://…`; the rest
//! is the body.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::Duration;

use waxwing_acme::account::NewAccount;
use waxwing_acme::ari;
use waxwing_acme::authorization::ReadAuthorization;
use waxwing_acme::certificate::DownloadCertificate;
use waxwing_acme::challenge::AnswerChallenge;
use waxwing_acme::directory::Directory;
use waxwing_acme::error::AcmeError;
use waxwing_acme::order::{Finalize, NewOrder, ReadOrder};
use waxwing_acme::problem::Problem;
use waxwing_acme::retry_after::RetryAfter;
use waxwing_acme::session::{Call, Session};
use waxwing_acme::user_agent::UserAgent;
use waxwing_core::http::Response;
use waxwing_core::name::Identifier;
use waxwing_core::time::Timestamp;

/// Where everything is asked for.
const URL: &str = "https://ca.example/thing/1";

/// The directory of a CA without surprises.
static DIRECTORY: LazyLock<Option<Directory>> = LazyLock::new(|| {
    let body =
        br#"{"newNonce":"https://ca.example/nonce","newAccount":"https://ca.example/account",
        "newOrder":"https://ca.example/order","renewalInfo":"https://ari.example/info"}"#;
    Directory::read(URL, &response(200, Vec::new(), body)).ok()
});

/// A directory; one that was taken survives being stored.
pub(crate) fn directory(bytes: &[u8]) {
    match Directory::read(URL, &answer(bytes)) {
        Ok(directory) => {
            let again = Directory::from_stored(&directory.to_stored());
            assert_eq!(again.ok().as_ref(), Some(&directory));
        }
        Err(error) => harmless(&error),
    }
    let _stored = Directory::from_stored(&crate::text(bytes));
}

/// A problem document.
pub(crate) fn problem(bytes: &[u8]) {
    if let Some(problem) = Problem::from_body(bytes) {
        printable(&problem.to_string());
    }
}

/// The answer to a signed request, read by every call that a renewal makes.
pub(crate) fn reply(bytes: &[u8]) {
    let response = answer(bytes);
    let url = || URL.to_owned();
    let Ok(name) = Identifier::parse("example.com") else {
        return;
    };
    read_by(
        &NewAccount {
            contact: Vec::new(),
            terms_agreed: true,
            external: None,
            only_existing: false,
        },
        &response,
    );
    read_by(
        &NewOrder {
            identifiers: vec![name],
            profile: None,
            replaces: None,
            not_after: None,
        },
        &response,
    );
    read_by(&ReadOrder { url: url() }, &response);
    read_by(&ReadAuthorization { url: url() }, &response);
    read_by(&AnswerChallenge { url: url() }, &response);
    read_by(
        &Finalize {
            url: url(),
            csr_der: Vec::new(),
        },
        &response,
    );
    read_by(&DownloadCertificate { url: url() }, &response);
}

fn read_by<C: Call<Reply: Debug>>(call: &C, response: &Response) {
    let agent = UserAgent::new("waxwing-fuzz/1").ok();
    let (Some(directory), Some(agent)) = (DIRECTORY.clone(), agent) else {
        panic!("the literals are good");
    };
    if let Err(error) = Session::new(directory, agent).receive(call, 1, response) {
        harmless(&error);
    }
}

/// Renewal information (RFC 9773).
pub(crate) fn renewal_info(bytes: &[u8]) {
    match ari::read(URL, &answer(bytes)) {
        Ok(info) => {
            assert!(info.window.start < info.window.end);
            let next = info.next(Timestamp::from_unix(1_795_000_000));
            assert!(
                (ari::RenewalInfo::SOONEST..=ari::RenewalInfo::LATEST).contains(&next)
                    || next == ari::LONG_TERM_WAIT
            );
        }
        Err(error) => harmless(&error),
    }
}

/// The header field, alone and in an answer.
pub(crate) fn retry_after(bytes: &[u8]) {
    let now = Timestamp::from_unix(1_795_000_000);
    let text = crate::text(bytes);
    let alone = RetryAfter::parse(&text).map(|asked| asked.wait(now));
    let fields = vec![("retry-after".to_owned(), text.into_owned())];
    let answered = RetryAfter::of(&response(503, fields, b""));
    assert_eq!(answered.map(|asked| asked.wait(now)), alone);
}

/// Nothing in an error does harm on a terminal, and no excerpt is long.
fn harmless(error: &AcmeError) {
    printable(&error.to_string());
    printable(&error.hint().unwrap_or_default());
    let excerpt = error.excerpt.as_deref().unwrap_or_default();
    assert!(excerpt.chars().count() <= 300, "a long excerpt");
}

fn printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn answer(bytes: &[u8]) -> Response {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    let head = crate::text(line);
    let mut words = head.split_whitespace();
    let Some(status) = words.next().and_then(|word| word.parse().ok()) else {
        return response(200, Vec::new(), bytes);
    };
    let fields = words.filter_map(|word| word.split_once('='));
    let fields = fields.map(|(name, value)| (name.to_lowercase(), value.replace('_', " ")));
    let body = bytes.get(line.len() + 1..).unwrap_or_default();
    response(status, fields.collect(), body)
}

fn response(status: u16, headers: Vec<(String, String)>, body: &[u8]) -> Response {
    Response {
        status,
        headers,
        body: body.to_vec(),
        elapsed: Duration::from_millis(1),
    }
}
