//! A DNS plugin that misbehaves in the way its settings name. The host's tests load it and assert
//! that each misdeed is stopped, and by what.
//!
//! `misdeed` in the settings chooses; without one the guest behaves, and asks the host for one
//! request per record. Start reading at `commit`.

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    wit_bindgen::generate!({
        world: "dns-plugin",
        path: "../../../wit",
        generate_all,
    });
}

use bindings::exports::waxwing::plugin::dns_provider::{
    Attempt, ChallengeRecord, Guest as DnsProvider, Placed, PresentReport, Propagation, Removal,
    ZoneAnswer,
};
use bindings::exports::waxwing::plugin::lifecycle::{Finding, Guest as Lifecycle};
use bindings::waxwing::host::http::{
    self, Auth, Basic, Header, Hidden, HttpError, Part, QueryPair, Request, Response,
};
use bindings::waxwing::host::log::{self, Level};
use bindings::waxwing::host::{runtime, secrets, settings, state};
use bindings::waxwing::plugin::types::{Failure, PluginError, Severity};

/// The component.
pub struct Component;

impl Lifecycle for Component {
    fn validate(_online: bool) -> Result<Vec<Finding>, PluginError> {
        commit()?;
        Ok(vec![Finding {
            severity: Severity::Info,
            pointer: None,
            failure: failure("hostile.phase", &runtime::phase()),
        }])
    }
}

impl DnsProvider for Component {
    fn preflight(names: Vec<String>) -> Result<Vec<ZoneAnswer>, PluginError> {
        commit()?;
        let answer = |name: String| ZoneAnswer {
            name,
            zone: Some("example.com".to_owned()),
            problem: None,
        };
        Ok(names.into_iter().map(answer).collect())
    }

    fn present(
        attempt: Attempt,
        records: Vec<ChallengeRecord>,
    ) -> Result<PresentReport, PluginError> {
        let words = commit()?;
        let mut report = PresentReport {
            placed: Vec::new(),
            failed: Vec::new(),
            propagation: Propagation {
                nameservers: Vec::new(),
                min_wait_ms: 10,
                expected_ms: 20,
                give_up_ms: 30,
                extra: Vec::new(),
            },
        };
        for record in &records {
            let receipt = match (&*misdeed(), &words) {
                ("receipt-too-long", _) => "x".repeat(5000),
                (_, Some(words)) => words.clone(),
                _ => format!("{}={} try {}", record.fqdn, record.value, attempt.number),
            };
            report.placed.push(Placed {
                key: record.key.clone(),
                receipt,
                created: true,
            });
        }
        match &*misdeed() {
            "answer-nothing" => report.placed.clear(),
            "answer-twice" => {
                let again = report.placed.iter().map(|p| p.key.clone());
                report.failed = again.map(|key| (key, other("both"))).collect();
            }
            "answer-strangers" => {
                for placed in &mut report.placed {
                    placed.key = "stranger".to_owned();
                }
            }
            "answer-garbage" => {
                report.placed.clear();
                let words = format!("\u{1b}]0;title\u{7}{}\u{202e}", "long ".repeat(2000));
                report.failed = records
                    .iter()
                    .map(|r| (r.key.clone(), other(&words)))
                    .collect();
            }
            _ => {}
        }
        Ok(report)
    }

    fn cleanup(
        _attempt: Attempt,
        removals: Vec<Removal>,
    ) -> Result<Vec<(String, PluginError)>, PluginError> {
        commit()?;
        match &*misdeed() {
            "answer-strangers" => Ok(vec![("stranger".to_owned(), other("who?"))]),
            "keep" => {
                let keys = removals.into_iter().map(|removal| removal.challenge.key);
                Ok(keys.map(|key| (key, other("kept"))).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn misdeed() -> String {
    settings::get_string("/misdeed").unwrap_or_default()
}

fn setting(pointer: &str) -> String {
    settings::get_string(pointer).unwrap_or_default()
}

/// Does what the settings say. Answers what it learnt, if that was the point.
fn commit() -> Result<Option<String>, PluginError> {
    match &*misdeed() {
        "spin" => spin(),
        "sleep" => sleep(),
        "hoard" => hoard(),
        "recurse" => {
            log::write(Level::Info, &recurse(1).to_string(), &[]);
        }
        "chatter" => {
            for n in 0..100_000 {
                log::write(Level::Info, &format!("message {n}"), &[]);
            }
        }
        "shout" => log::write(Level::Info, &"x".repeat(3 << 20), &[]),
        "scream" => log::write(Level::Info, &"x".repeat(6 << 20), &[]),
        "babble" => {
            for n in 0..10_000 {
                eprintln!("line {n}");
            }
        }
        "panic" => panic!("out of \u{1b}[31mluck"),
        "exit" => std::process::exit(7),
        "grow-state" => {
            for n in 0..1000 {
                if let Err(refused) = state::set(&format!("key {n}"), &[0; 16 << 10], None) {
                    return Ok(Some(format!("{n}: {refused:?}")));
                }
            }
        }
        "count" => {
            let next = state::get("count").map_or(1, |bytes| bytes.len() + 1);
            state::set("count", &vec![0; next], None).map_err(|e| other(&format!("{e:?}")))?;
            return Ok(Some(next.to_string()));
        }
        "look-around" => return Ok(Some(look_around())),
        "send" => return send().map(Some),
        "send-quietly" => {
            let _answer = http::send(&request(&setting("/url")));
        }
        "send-and-panic" => {
            let _answer = http::send(&request(&setting("/url")));
            panic!("no answer");
        }
        "follow" => return follow().map(Some),
        "hammer" => loop {
            http::send(&request(&setting("/url"))).map_err(|e| other(&format!("{e:?}")))?;
        },
        // Deaf to every refusal.
        "flood-with-paths" => {
            let url = format!("{}{}", setting("/url"), "x".repeat(3 << 20));
            loop {
                let _refused = http::send(&request(&url));
            }
        }
        "flood-with-hosts" => loop {
            let _refused = http::send(&request(&setting("/url")));
        },
        "flood-with-secrets" => loop {
            let _refused = secrets::hmac(&setting("/secret"), "hmac-sha256", b"data");
        },
        "sign" => {
            let signed = secrets::hmac(&setting("/secret"), &setting("/algorithm"), b"data");
            return match signed {
                Ok(bytes) => Ok(Some(bytes.iter().map(|b| format!("{b:02x}")).collect())),
                Err(error) => Err(other(&format!("{error:?}"))),
            };
        }
        "tell" => {
            // Everything the server said, everywhere a guest can say something.
            let said = send()?;
            log::write(Level::Info, &said, &[]);
            eprintln!("{said}");
            return Ok(Some(said));
        }
        "tell-in-error" => {
            let said = send()?;
            return Err(other(&said));
        }
        "tell-in-second" => {
            assert!(send()?.starts_with("200"), "the second time");
        }
        "tell-in-panic" => {
            let said = send()?;
            panic!("{said}");
        }
        _ => {}
    }
    Ok(None)
}

/// The one host call that waits as long as a guest likes.
#[expect(clippy::disallowed_methods, reason = "the misdeed")]
fn sleep() {
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

fn spin() {
    let mut n: u64 = 0;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

fn hoard() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

/// Little in linear memory and much on the stack of the machine.
#[expect(unconditional_recursion, reason = "the misdeed")]
fn recurse(n: u64) -> u64 {
    recurse(std::hint::black_box(n) + 1) ^ n
}

/// What a process usually finds around it.
#[expect(clippy::disallowed_methods, reason = "the misdeed")]
fn look_around() -> String {
    format!(
        "vars {} args {} root {} listen {} stdin {}",
        std::env::vars().count(),
        std::env::args().count(),
        std::fs::read_dir("/").is_ok(),
        std::net::TcpListener::bind("127.0.0.1:0").is_ok(),
        std::io::Read::read(&mut std::io::stdin(), &mut [0; 1]).unwrap_or(0),
    )
}

fn send() -> Result<String, PluginError> {
    match http::send(&request(&setting("/url"))) {
        Ok(response) => Ok(show(&response)),
        Err(error) => Err(other(&words(error))),
    }
}

/// What an HTTP library with redirects would do.
fn follow() -> Result<String, PluginError> {
    let mut url = setting("/url");
    for _ in 0..5 {
        let response = http::send(&request(&url)).map_err(|error| other(&words(error)))?;
        let location = response.headers.iter().find(|(name, _)| name == "location");
        match location {
            Some((_, next)) if (300..400).contains(&response.status) => url = next.clone(),
            _ => return Ok(show(&response)),
        }
    }
    Err(other("too many redirects"))
}

fn show(response: &Response) -> String {
    let headers: Vec<String> = response
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let body = String::from_utf8_lossy(&response.body);
    format!("{} {} {body}", response.status, headers.join(", "))
}

/// The request that the settings describe.
fn request(url: &str) -> Request {
    let hidden = |name: &str| {
        Part::Secret(Hidden {
            name: name.to_owned(),
            encoding: settings::get_string("/encoding").unwrap_or_else(|| "raw".to_owned()),
        })
    };
    let or = |pointer: &str, default: &str| {
        settings::get_string(pointer).unwrap_or_else(|| default.to_owned())
    };
    let mut headers = Vec::new();
    if let Some(name) = settings::get_string("/header") {
        let value = match settings::get_string("/header-secret") {
            Some(secret) => hidden(&secret),
            None => Part::Text(setting("/header-value")),
        };
        headers.push(Header {
            name,
            value: vec![value],
        });
    }
    let query = settings::get_string("/query-secret").map(|secret| QueryPair {
        name: or("/query", "key"),
        value: vec![hidden(&secret)],
    });
    let auth = match (
        settings::get_string("/bearer"),
        settings::get_string("/password"),
    ) {
        (Some(secret), _) => Auth::Bearer(secret),
        (None, Some(secret)) => Auth::Basic(Basic {
            user: vec![Part::Text("user".to_owned())],
            password: vec![hidden(&secret)],
        }),
        (None, None) => Auth::None,
    };
    let mut body = vec![Part::Text(setting("/body"))];
    body.extend(settings::get_string("/body-secret").map(|secret| hidden(&secret)));
    let number =
        |pointer: &str| settings::get_int(pointer).and_then(|number| u32::try_from(number).ok());
    Request {
        method: or("/method", "GET"),
        url: url.to_owned(),
        query: query.into_iter().collect(),
        headers,
        auth,
        body,
        timeout_ms: number("/timeout-ms"),
        max_response_bytes: number("/max-response-bytes"),
    }
}

fn words(error: HttpError) -> String {
    match error {
        HttpError::Denied(text) => format!("denied: {text}"),
        HttpError::InvalidRequest(text) => format!("invalid: {text}"),
        other => format!("{other:?}"),
    }
}

fn other(message: &str) -> PluginError {
    PluginError::Other(failure("hostile.other", message))
}

fn failure(code: &str, message: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: None,
        http_status: None,
        details: Vec::new(),
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
