//! Every host and port that a configuration can reach.

use serde_json::{Value, json};
use waxwing_core::egress::{Destination, Egress, Host};

use super::page::{Context, Ink, Line, Page, count, list};
use super::table::{Align, Cell, Table};

/// For people.
pub(crate) fn text(egress: &Egress, context: &Context) -> String {
    let mut page = Page::new(context);
    let places = count(egress.destinations.len(), "place");
    let verdict = match &egress.proxy {
        None => format!("{places} can be reached"),
        Some((host, port)) => {
            format!("{places} can be reached; https goes through the proxy {host}, port {port}")
        }
    };
    page.line(&Line::indented(0).ink(Ink::Strong, verdict));
    let mut table = Table::new(2, &[Align::Left, Align::Right, Align::Left, Align::Left]);
    let head = ["HOST", "PORT", "HOW", "WHAT FOR"];
    table.row(head.map(|text| Cell::of(Ink::Quiet, text)).into());
    for one in &egress.destinations {
        table.row(vec![
            Cell::plain(shown(&one.host)),
            Cell::plain(one.port.map_or("?".to_owned(), |port| port.to_string())),
            Cell::plain(one.transport.as_str()),
            Cell::plain(one.purposes.join("; ")),
        ]);
    }
    table.fold(context.width, 0);
    for line in table.lines() {
        page.line(&line);
    }
    if egress.proxy.is_some() && !egress.except.is_empty() {
        let hosts = egress.except.join(", ");
        page.plain(2, format!("without the proxy, as NO_PROXY says: {hosts}"));
    }
    if !egress.unread.is_empty() {
        let cas = list(&egress.unread, 5);
        page.plain(
            2,
            format!("no copy of the directory of {cas} is here, which may name more hosts"),
        );
        page.hint(
            2,
            "`waxwing ca health --now` reads them; that of a rehearsal, `waxwing renew --dry-run`",
        );
    }
    if !egress.programs.is_empty() {
        let programs = list(&egress.programs, 5);
        page.plain(
            2,
            format!("programs that are run may reach more: {programs}"),
        );
    }
    page.finish()
}

fn shown(host: &Host) -> String {
    match host {
        Host::Named(host) => host.clone(),
        Host::Below(suffix) => format!("*.{suffix}"),
        Host::SystemResolvers => "(resolvers of the system)".to_owned(),
        Host::NameServersOf(names) => format!("(name servers of {})", list(names, 2)),
        Host::InSecret(secret) => format!("(in {secret})"),
    }
}

/// For machines.
pub(crate) fn json(egress: &Egress) -> Value {
    let proxy = egress.proxy.as_ref();
    let destinations = egress.destinations.iter().map(destination);
    let unread: Vec<&str> = egress.unread.iter().map(|ca| ca.as_str()).collect();
    json!({
        "destinations": destinations.collect::<Vec<_>>(),
        "proxy": proxy.map(|(host, port)| json!({ "host": host, "port": port })),
        "no_proxy": egress.except,
        "directories_unread": unread,
        "programs": egress.programs,
    })
}

fn destination(one: &Destination) -> Value {
    let (kind, host) = match &one.host {
        Host::Named(host) => ("host", json!(host)),
        Host::Below(suffix) => ("below", json!(suffix)),
        Host::SystemResolvers => ("system-resolvers", Value::Null),
        Host::NameServersOf(names) => ("name-servers-of", json!(names)),
        Host::InSecret(secret) => ("in-secret", json!(secret)),
    };
    json!({
        "kind": kind,
        "host": host,
        "port": one.port,
        "transport": one.transport.as_str(),
        "through_proxy": one.through_proxy,
        "purposes": one.purposes,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, ca, golden, golden_json};
    use waxwing_core::egress::Transport;

    use super::super::json::Document;
    use super::*;

    fn egress() -> Egress {
        let one = |host, port, transport, purposes: &[&str]| Destination {
            host,
            port,
            transport,
            purposes: purposes.iter().map(|text| (*text).to_owned()).collect(),
            through_proxy: false,
        };
        let named = |host: &str| Host::Named(host.to_owned());
        let names = ["example.com", "example.net", "example.org"].map(str::to_owned);
        let secret = Host::InSecret("file:/etc/waxwing/chat-url".to_owned());
        Egress {
            destinations: vec![
                one(
                    named("acme.first.example"),
                    Some(443),
                    Transport::Https,
                    &["first, the CA", "first, when to renew"],
                ),
                one(
                    Host::Below("dns.example".to_owned()),
                    Some(8443),
                    Transport::Https,
                    &["the plugin dns"],
                ),
                one(
                    Host::SystemResolvers,
                    Some(53),
                    Transport::Dns,
                    &["look-ups"],
                ),
                one(
                    Host::NameServersOf(names.into()),
                    Some(53),
                    Transport::Dns,
                    &["can a record be seen everywhere?"],
                ),
                one(secret, None, Transport::Https, &["the notifier chat"]),
                one(
                    named("2001:db8::25"),
                    Some(25),
                    Transport::Tcp,
                    &["is mail served there?"],
                ),
            ],
            proxy: None,
            except: vec!["localhost".to_owned()],
            unread: vec![ca("second")],
            programs: vec!["/usr/bin/vault".to_owned()],
        }
    }

    #[test]
    fn every_place_is_a_row_and_what_is_not_known_is_said() {
        golden("egress.txt", |context| {
            let proxied = Egress {
                proxy: Some(("proxy.example".to_owned(), 3128)),
                unread: Vec::new(),
                programs: Vec::new(),
                ..egress()
            };
            text(&egress(), context) + &text(&proxied, context)
        });
        let document = Document::new("egress", at(0), json(&egress()));
        golden_json("egress.json", &document.to_text());
    }
}
