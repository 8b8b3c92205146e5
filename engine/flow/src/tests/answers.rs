//! Errors as the ACME layer makes them.

use waxwing_acme::directory::Directory;
use waxwing_acme::error::AcmeError;
use waxwing_acme::session::{Call, Session};
use waxwing_acme::user_agent::UserAgent;
use waxwing_core::http::Response;

/// The error that an answer to a call makes, the last of as many as there may be.
pub(crate) fn refused<C: Call>(call: &C, response: &Response) -> AcmeError {
    let stored = r#"{"url":"https://ca.example/directory","directory":{
        "newNonce":"https://ca.example/nonce","newAccount":"https://ca.example/account",
        "newOrder":"https://ca.example/order"}}"#;
    let directory = Directory::from_stored(stored).expect("a literal directory");
    let user_agent = UserAgent::new("flow-tests/1").expect("a literal name");
    let mut session = Session::new(directory, user_agent);
    match session.receive(call, Session::MAX_ATTEMPTS, response) {
        Err(error) => error,
        Ok(_) => panic!("{response:?} is no error"),
    }
}
