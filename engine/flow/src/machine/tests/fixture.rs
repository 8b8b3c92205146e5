//! Runs, events and refusals to try the machine with, and its effects in a few words.

use waxwing_acme::challenge::Challenge;
use waxwing_acme::order::ReadOrder;
use waxwing_core::http::{Method, Response, TransportError, TransportStage};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, DomainName};

use super::super::*;
use crate::certificate::ChainPem;
use crate::failure::CaError;
use crate::obligation::ObligationState;
use crate::plugin::{ChallengeRecord, PluginFailureKind};
use crate::run::OrderTerms;

pub(super) const START: Timestamp = Timestamp::from_unix(1_795_000_000);
pub(super) const URL: &str = "https://ca.example/order/1";
pub(super) const PATIENCE: Patience = Patience {
    order: Duration::from_secs(900),
    retry_after_cap: Duration::from_secs(60),
    challenge_retry: ChallengeRetry::Server,
    another_order: true,
};

pub(super) fn ca() -> CaName {
    CaName::parse("first").expect("a literal name")
}

pub(super) fn identifier(name: &str) -> Identifier {
    Identifier::parse(name).expect("a literal name")
}

pub(super) fn fresh() -> Run {
    Run {
        id: "r1".to_owned(),
        certificate: CertificateName::parse("shop").expect("a literal name"),
        terms: OrderTerms {
            ca: ca(),
            account: "https://ca.example/account/1".to_owned(),
            names: vec![identifier("shop.example"), identifier("*.shop.example")],
            key: KeyType::EcdsaP256,
            reuse_key: false,
            profile: None,
            replaces: None,
            left_out: None,
            rehearsal: false,
        },
        order_url: None,
        began: START,
        stage: Stage::Planned,
        finalized: None,
        attempts: 0,
        obligations: Vec::new(),
    }
}

pub(super) fn resumed() -> Run {
    Run {
        order_url: Some(URL.to_owned()),
        stage: Stage::Propagating,
        ..fresh()
    }
}

pub(super) fn order(status: OrderStatus) -> Order {
    Order {
        status,
        expires: None,
        identifiers: fresh().terms.names,
        not_before: None,
        not_after: None,
        error: None,
        authorizations: vec![
            "https://ca.example/a/1".to_owned(),
            "https://ca.example/a/2".to_owned(),
        ],
        finalize: "https://ca.example/finalize/1".to_owned(),
        certificate: (status == OrderStatus::Valid).then(|| "https://ca.example/cert/1".to_owned()),
        profile: None,
        replaces: None,
    }
}

pub(super) fn seen(status: OrderStatus) -> Event {
    Event::OrderSeen {
        order: order(status),
        retry_after: None,
    }
}

pub(super) fn placed() -> Event {
    Event::OrderPlaced {
        url: URL.to_owned(),
        order: order(OrderStatus::Pending),
    }
}

/// The authorizations of the apex and of the wildcard.
pub(super) fn authorizations(status: AuthorizationStatus, challenge: ChallengeStatus) -> Event {
    let authorization = |number: u32, wildcard| {
        let authorization = Authorization {
            identifier: DomainName::parse("shop.example").expect("a literal name"),
            wildcard,
            status,
            challenges: vec![Challenge {
                url: format!("https://ca.example/c/{number}"),
                kind: ChallengeKind::Dns01,
                status: challenge,
                token: Some(format!("token-{number}")),
                error: None,
            }],
            expires: None,
            retry_after: None,
        };
        (format!("https://ca.example/a/{number}"), authorization)
    };
    Event::AuthorizationsSeen(vec![authorization(1, false), authorization(2, true)])
}

pub(super) fn open() -> Event {
    authorizations(AuthorizationStatus::Pending, ChallengeStatus::Pending)
}

pub(super) fn obligation(key: &str, state: ObligationState) -> Obligation {
    let name = DomainName::parse("_acme-challenge.shop.example").expect("a literal name");
    Obligation {
        plugin: PluginName::parse("dns").expect("a literal name"),
        record: ChallengeRecord {
            key: key.to_owned(),
            fqdn: name.clone(),
            value: key.to_owned(),
            identifier: name,
            zone_hint: None,
        },
        state,
    }
}

pub(super) fn intended() -> Vec<Obligation> {
    vec![
        obligation("1", ObligationState::Intended),
        obligation("2", ObligationState::Intended),
    ]
}

pub(super) fn there() -> Vec<Obligation> {
    let receipt = || ObligationState::Placed {
        receipt: "r".to_owned(),
    };
    vec![obligation("1", receipt()), obligation("2", receipt())]
}

pub(super) fn presented() -> Event {
    Event::Presented {
        obligations: there(),
        failed: Vec::new(),
        hint: PropagationHint::default(),
    }
}

pub(super) fn facts() -> CertificateFacts {
    CertificateFacts {
        names: fresh().terms.names,
        serial: vec![7],
        authority_key_id: None,
        not_before: START,
        not_after: START + Duration::from_secs(90 * 86_400),
        leaf_sha256: String::new(),
        leaf_sha1: String::new(),
        public_key_sha256: String::new(),
        key_type: None,
        issuers: Vec::new(),
    }
}

pub(super) fn downloaded() -> Event {
    Event::Downloaded {
        pem: ChainPem {
            cert: String::new(),
            chain: String::new(),
            fullchain: String::new(),
        },
        facts: facts(),
        note: None,
    }
}

pub(super) fn cleaned() -> Event {
    Event::CleanedUp {
        left: Vec::new(),
        failed: Vec::new(),
    }
}

pub(super) fn plugin_failure() -> PluginFailure {
    PluginFailure {
        plugin: PluginName::parse("dns").expect("a literal name"),
        call: "present".to_owned(),
        kind: PluginFailureKind::Crashed,
        code: "plugin.crashed".to_owned(),
        message: "it crashed".to_owned(),
        hint: None,
        http_status: None,
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        untouched: false,
        causes: Vec::new(),
    }
}

/// A request whose answer did not come.
pub(super) fn lost() -> Failure {
    transport(TransportStage::Exchange)
}

pub(super) fn transport(stage: TransportStage) -> Failure {
    Failure::Ca {
        ca: ca(),
        step: "ask",
        error: Box::new(CaError::Transport(TransportError {
            stage,
            method: Method::Post,
            url: URL.to_owned(),
            address: None,
            elapsed: Duration::ZERO,
            causes: vec!["simulated".to_owned()],
        })),
    }
}

/// A refusal as the CA writes it; read by the layer that reads them all.
pub(super) fn refused(status: u16, kind: &str, retry_after: Option<&str>) -> Failure {
    let body = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"d"}}"#);
    let headers = retry_after.map(|value| ("retry-after".to_owned(), value.to_owned()));
    said(status, headers.into_iter().collect(), body)
}

/// What something in front of the CA says.
pub(super) fn page(status: u16) -> Failure {
    said(status, Vec::new(), "<html>not here</html>".to_owned())
}

/// An answer that is neither a page nor a problem document.
pub(super) fn bare(status: u16, body: &str) -> Failure {
    said(status, Vec::new(), body.to_owned())
}

fn said(status: u16, headers: Vec<(String, String)>, body: String) -> Failure {
    let response = Response {
        status,
        headers,
        body: body.into_bytes(),
        elapsed: Duration::ZERO,
    };
    let error = crate::tests::answers::refused(
        &ReadOrder {
            url: URL.to_owned(),
        },
        &response,
    );
    Failure::Ca {
        ca: ca(),
        step: "ask",
        error: Box::new(CaError::Answer(error)),
    }
}

/// A machine that was told all this, and what it asks for in the end.
pub(super) fn after(run: Run, events: Vec<Event>) -> (Machine, Effect) {
    let mut machine = Machine::new(run, PATIENCE, START);
    let mut effect = None;
    for event in events {
        let (next, asked) = machine.step(event, START);
        machine = next;
        effect = Some(asked);
    }
    (machine, effect.expect("at least one event"))
}

/// The effect in a few words.
pub(super) fn words(effect: &Effect) -> String {
    match effect {
        Effect::PlaceOrder { after } | Effect::ReadOrder { after, .. } => {
            format!("{} {after:?}", effect.name())
        }
        Effect::ReadAuthorizations { after, .. } if *after != Wait::None => {
            format!("{} {after:?}", effect.name())
        }
        Effect::Present(list) | Effect::CleanUp(list) => {
            format!("{} {}", effect.name(), list.len())
        }
        Effect::Answer(list) | Effect::Locate(list) => format!("{} {}", effect.name(), list.len()),
        Effect::End(end) => {
            let how = match &end.result {
                Ok(_) => "issued".to_owned(),
                Err(failure) => failure.class().to_string(),
            };
            format!(
                "end {how}, journal {}",
                if end.keep_journal { "kept" } else { "closed" }
            )
        }
        _ => effect.name().to_owned(),
    }
}

pub(super) fn check(run: Run, events: Vec<Event>, want: &str) -> Machine {
    let story = format!("{events:?}");
    let (machine, effect) = after(run, events);
    assert_eq!(words(&effect), want, "after {story}");
    machine
}

/// The good run up to the event that `end` stands for.
pub(super) fn good(end: &str) -> Vec<Event> {
    let all = [
        ("begin", Event::Begin),
        ("placed", placed()),
        ("open", open()),
        ("located", Event::Located(intended())),
        ("presented", presented()),
        ("visible", Event::Visible),
        (
            "answered",
            Event::Answered {
                failures: Vec::new(),
                retry_after: None,
            },
        ),
        ("ready", seen(OrderStatus::Ready)),
        ("key", Event::KeyReady),
        ("processing", seen(OrderStatus::Processing)),
        ("valid", seen(OrderStatus::Valid)),
        ("downloaded", downloaded()),
        ("saved", Event::Saved(Some(1))),
        ("cleaned", cleaned()),
    ];
    let known = all.iter().position(|(name, _)| *name == end);
    let length = known.expect("a name of the table") + 1;
    all.into_iter()
        .take(length)
        .map(|(_, event)| event)
        .collect()
}

pub(super) fn and(mut events: Vec<Event>, more: Vec<Event>) -> Vec<Event> {
    events.extend(more);
    events
}
