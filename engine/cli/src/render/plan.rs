//! What `plan` says: each certificate with the act, the CA and the reason, then what the act does.

use std::collections::BTreeMap;

use waxwing_core::due::{Because, Due, Urgency};
use waxwing_core::name::{CertificateName, DomainName, PluginName};
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{
    Action, Install, InstallReason, IssueReason, Item, LastFailure, Note, Plan,
};
use waxwing_core::plugin::GrantFiles;
use waxwing_core::schedule::Placed;
use waxwing_core::settings::{CertificateSettings, CertificatesByName, PluginSettings};

use super::page::{Context, Ink, Line, Page, count, list};
use super::status::stranded;
use super::table::{Align, Cell, Table};

/// Names beyond this are counted, not listed.
const NAMES_SHOWN: usize = 4;

/// Where the time stands beside the sum, if there is room.
const ASIDE: usize = 71;

/// A plan and the settings it speaks of.
#[derive(Debug)]
pub(crate) struct PlanView<'a> {
    /// What a run would do.
    pub(crate) plan: &'a Plan,
    /// Only these; empty for all.
    pub(crate) only: &'a [CertificateName],
    /// The configured certificates.
    pub(crate) certificates: CertificatesByName<'a>,
    /// The configured plugins.
    pub(crate) plugins: &'a BTreeMap<PluginName, PluginSettings>,
    /// What works but should be looked at.
    pub(crate) warnings: &'a [String],
}

impl PlanView<'_> {
    /// The items that were asked for.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        let items = self.plan.items.iter();
        items.filter(|item| self.only.is_empty() || self.only.contains(&item.name))
    }
}

/// The whole text.
pub(crate) fn render(view: &PlanView<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    let head = format!("{}, no network used", context.stamp(context.now));
    let sum = Line::indented(0).ink(Ink::Strong, sum(view));
    let beside = sum.clone().column(ASIDE, 3).text(&head);
    if beside.width() <= context.width {
        page.line(&beside);
    } else {
        page.line(&sum);
        page.plain(2, head);
    }
    // Where a name leaves no room for the reason beside it, the reason stands below; where it leaves
    // none for the CA either, that stands there too.
    let longest = view.items().map(|item| item.name.as_str().len());
    let longest = longest.max().unwrap_or(0);
    let folded = match () {
        () if longest + REASON <= context.width => 0,
        () if longest + CA <= context.width => 1,
        () => 2,
    };
    let mut table = Table::new(2, &[Align::Left; 4][folded..]);
    for item in view.items() {
        let mut row = row(item, context);
        row.truncate(4 - folded);
        table.row(row);
    }
    let below = table.begin(if folded == 0 { 2 } else { 1 });
    for (line, item) in table.lines().iter().zip(view.items()) {
        page.line(line);
        let reason = (folded > 0).then(|| why(item, context));
        let reason = reason.filter(|reason| !reason.is_empty());
        let ca = item
            .ca
            .as_ref()
            .filter(|_| folded > 1)
            .map(|ca| format!("at {ca}"));
        let first = ca.into_iter().chain(reason);
        for detail in first.chain(details(view, item, context)) {
            // A detail of a detail wraps below itself.
            let deeper = detail.len() - detail.trim_start().len();
            page.line(&Line::indented(below + deeper).text(detail.trim_start()));
        }
    }
    if let Some(reloads) = batches(view) {
        page.plain(0, reloads);
    }
    for warning in view.warnings {
        page.line(
            &Line::indented(0)
                .ink(Ink::Warn, "warning:")
                .text(" ")
                .hang_here()
                .text(warning),
        );
    }
    page.finish()
}

/// Room for a verb, a CA and a reason beside a name.
const REASON: usize = 40;

/// Room for a verb and a CA beside a name.
const CA: usize = 26;

/// The verb, its sign and its meaning.
fn act(action: &Action) -> (Ink, &'static str) {
    match action {
        Action::Issue(_) => (Ink::Good, "+ issue"),
        Action::Renew {
            urgency: Urgency::Emergency | Urgency::Expired,
            ..
        } => (Ink::Bad, "~ renew"),
        Action::Renew { .. } => (Ink::Warn, "~ renew"),
        Action::Install { .. } => (Ink::Warn, "> install"),
        Action::Keep { .. } => (Ink::Quiet, "= keep"),
        Action::Gone { .. } => (Ink::Quiet, "? gone"),
    }
}

fn row(item: &Item, context: &Context) -> Vec<Cell> {
    let (ink, verb) = act(&item.action);
    let ca = item.ca.as_ref().map_or("-", |ca| ca.as_str());
    let ca = if matches!(item.action, Action::Install { .. }) {
        "-"
    } else {
        ca
    };
    vec![
        Cell::of(ink, verb),
        Cell::of(Ink::Strong, item.name.as_str()),
        Cell::plain(ca),
        Cell::plain(why(item, context)),
    ]
}

/// Why the item is in the plan as it is.
fn why(item: &Item, context: &Context) -> String {
    match &item.action {
        Action::Issue(IssueReason::Never) => "never issued".to_owned(),
        Action::Issue(IssueReason::Damaged) => "what is stored cannot be used".to_owned(),
        Action::Issue(IssueReason::Unreadable) => {
            "what is stored cannot be read; nothing is ordered until it can be".to_owned()
        }
        Action::Issue(IssueReason::Names { added, removed }) => {
            let said = |what: &str, names: &[_]| {
                (!names.is_empty()).then(|| format!("{what} {}", list(names, NAMES_SHOWN)))
            };
            let changes: Vec<String> = [said("with", added), said("without", removed)]
                .into_iter()
                .flatten()
                .collect();
            format!("other names now: {}", changes.join("; "))
        }
        Action::Issue(IssueReason::Staging) => {
            "the stored one is from a staging CA, which nobody trusts".to_owned()
        }
        Action::Issue(IssueReason::Revoked) => "the stored one is revoked".to_owned(),
        Action::Issue(IssueReason::Replaced) => {
            "the stored one is to be replaced, and then revoked".to_owned()
        }
        Action::Renew {
            due,
            urgency,
            not_after,
        } => {
            let left = context.left(*not_after);
            let left = match urgency {
                Urgency::Expired => left,
                _ => format!("{left} left"),
            };
            let haste = match urgency {
                Urgency::Emergency | Urgency::Expired => "; nothing may delay it any more",
                Urgency::Due | Urgency::None => "",
            };
            format!(
                "due since {}: {}, {left}{haste}",
                context.moment(due.at),
                rule(due)
            )
        }
        Action::Install { due, .. } => {
            format!(
                "stored, but not installed; needs no new order. Due {}",
                context.moment(due.at)
            )
        }
        Action::Keep { due, .. } => match item.moment {
            Some(moment) if moment.placed == Placed::InWindow => format!(
                "until {}: {}, in a window",
                context.moment(moment.at),
                rule(due)
            ),
            Some(moment) => format!("until {}: {}", context.moment(moment.at), rule(due)),
            None => format!("until {}: {}", context.moment(due.at), rule(due)),
        },
        Action::Gone { not_after } => {
            let valid = match not_after {
                Some(end) if *end > context.now => format!("valid until {}", context.until(*end)),
                Some(end) => context.left(*end),
                None => "never issued".to_owned(),
            };
            format!(
                "not in the configuration any more; {valid}; kept until: waxwing forget {}",
                item.name
            )
        }
    }
}

/// Why a certificate of a staging CA is not installed.
pub(crate) fn withheld(by: &PluginName) -> String {
    format!(
        "not installed: nobody trusts a staging certificate, and {by} has put a real one in place"
    )
}

/// What holds a certificate back that is to be ordered, and until when.
pub(crate) fn held(name: &CertificateName, hold: &Hold, context: &Context) -> String {
    let at = |until| format!("{} ({})", context.moment(until), context.relative(until));
    match hold {
        Hold::Window { until } => format!(
            "waits for its window until {}; `waxwing renew {name}` does not",
            at(*until)
        ),
        Hold::Ladder {
            ca,
            until,
            failures,
        } => format!(
            "failed {} at {ca}, tried again {}; `waxwing renew {name}` tries now",
            count(usize::try_from(*failures).unwrap_or(usize::MAX), "time"),
            at(*until)
        ),
        Hold::Asked { ca, until } => format!(
            "{ca} asks to be left alone until {}; `waxwing renew {name} --force --yes` asks it all the same",
            at(*until)
        ),
        Hold::UsedUp { ca, until } => {
            format!("what {ca} allows is used up until {}", at(*until))
        }
        Hold::TooMany { until, issued } => format!(
            "{issued} were issued under this name within a week, which looks like a loop; no more \
             before {}; `waxwing renew {name} --force --yes` issues one more all the same",
            at(*until)
        ),
        Hold::NoCa { passed_over } => {
            let why: Vec<String> = passed_over
                .iter()
                .map(|(ca, why)| format!("{ca}: {why}"))
                .collect();
            format!("no CA of the list can be asked: {}", why.join("; "))
        }
    }
}

/// The rule that chose the moment.
pub(crate) fn rule(due: &Due) -> String {
    match due.because {
        Because::Suggested => "asked for by the CA (ARI)".to_owned(),
        Because::DaysAfterIssue(days) => format!("{} after issue", count_days(days)),
        Because::Lifetime => "two thirds of its life, or half of a short one".to_owned(),
    }
}

fn count_days(days: u32) -> String {
    count(usize::try_from(days).unwrap_or(usize::MAX), "day")
}

/// What the act does, and what else is worth knowing, a line each.
fn details(view: &PlanView<'_>, item: &Item, context: &Context) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(
        item.hold
            .as_ref()
            .map(|hold| held(&item.name, hold, context)),
    );
    let certificate = view.certificates.get(&item.name);
    if let (Action::Issue(_) | Action::Renew { .. }, Some(certificate)) =
        (&item.action, certificate)
    {
        lines.extend(records(certificate));
        if certificate.reuse_key && matches!(item.action, Action::Renew { .. }) {
            lines.push("the same key again (reuse-key)".to_owned());
        }
        if certificate.reuse_key && item.action == Action::Issue(IssueReason::Replaced) {
            lines.push("another key, although reuse-key is set".to_owned());
        }
    }
    for install in &item.install {
        lines.push(installer(view, item, install));
    }
    for note in &item.notes {
        lines.extend(note_lines(note, item, context));
    }
    lines
}

/// `2 TXT at _acme-challenge.example.com by one-plugin`
fn records(certificate: &CertificateSettings) -> Vec<String> {
    let mut groups: BTreeMap<Option<&PluginName>, Vec<DomainName>> = BTreeMap::new();
    for identifier in &certificate.domains {
        let plugin = certificate.validator(&identifier.domain);
        groups
            .entry(plugin)
            .or_default()
            .push(identifier.domain.challenge_name());
    }
    let group = |(plugin, mut names): (Option<&PluginName>, Vec<DomainName>)| {
        let records = names.len();
        names.sort();
        names.dedup();
        let by = plugin.map_or("nobody: no DNS plugin is responsible", |plugin| {
            plugin.as_str()
        });
        format!("{records} TXT at {} by {by}", list(&names, NAMES_SHOWN))
    };
    groups.into_iter().map(group).collect()
}

/// `nginx: shop.crt, shop.key (0640, group nginx) in /etc/nginx/tls, then nginx -t, then reload`
fn installer(view: &PlanView<'_>, item: &Item, install: &Install) -> String {
    let because = match install.because {
        InstallReason::NewVersion => "",
        InstallReason::Never => " (has nothing of it yet)",
        InstallReason::OtherVersion(_) => " (has an older version)",
        InstallReason::Settings => " (its settings have changed)",
    };
    let steps = steps(view.plugins, &item.name, &install.plugin);
    match steps.is_empty() {
        true => format!("{}{because}", install.plugin),
        false => format!("{}{because}: {}", install.plugin, steps.join(", ")),
    }
}

/// What an installer does for a certificate, one step after the other; nothing if it is not known.
pub(crate) fn steps(
    plugins: &BTreeMap<PluginName, PluginSettings>,
    certificate: &CertificateName,
    installer: &PluginName,
) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(plugin) = plugins.get(installer) {
        let names = plugin.file_names(certificate);
        // With several folders only the plugin knows which file goes where.
        let names = match (names.is_empty(), plugin.grants.files.len()) {
            (false, 1) => list(&names, NAMES_SHOWN),
            _ => "files".to_owned(),
        };
        for files in plugin.grants.files.values() {
            said.push(format!(
                "{names}{} in {}",
                rights(files),
                files.dir.display()
            ));
        }
        // Tests come before anything that takes effect, whatever their alphabet says.
        let mut commands: Vec<_> = plugin.grants.exec.iter().collect();
        commands.sort_by_key(|(purpose, _)| (purpose.as_str() != "test", purpose.as_str()));
        for (purpose, command) in commands {
            let what = match purpose.as_str() {
                "test" => in_short(&command.argv),
                purpose => purpose.to_owned(),
            };
            said.push(format!("then {what}"));
        }
    }
    said
}

/// ` (0640 root:nginx)`, as far as it is written.
fn rights(files: &GrantFiles) -> String {
    let mode = files.mode.map(|mode| format!("{mode:04o}"));
    let owner = match (&files.owner, &files.group) {
        (None, None) => None,
        (Some(owner), None) => Some(format!("owner {owner}")),
        (None, Some(group)) => Some(format!("group {group}")),
        (Some(owner), Some(group)) => Some(format!("{owner}:{group}")),
    };
    let acl = (!files.acl.is_empty()).then(|| files.acl.join(", "));
    let written: Vec<String> = [mode, owner, acl].into_iter().flatten().collect();
    if written.is_empty() {
        String::new()
    } else {
        format!(" ({})", written.join(" "))
    }
}

/// `nginx -t`: the program without its folder, and its first argument.
fn in_short(argv: &[String]) -> String {
    let mut words = argv.iter();
    let program = words.next().map_or("", String::as_str);
    let program = program.rsplit(['/', '\\']).next().unwrap_or(program);
    match words.next() {
        Some(first) => format!("{program} {first}"),
        None => program.to_owned(),
    }
}

fn note_lines(note: &Note, item: &Item, context: &Context) -> Vec<String> {
    let orders = matches!(item.action, Action::Issue(_) | Action::Renew { .. });
    match note {
        Note::Key { from, to } => {
            vec![format!(
                "`key` is now {to} instead of {from}: taken up at the renewal"
            )]
        }
        Note::Ca { from, to } => vec![format!(
            "the CA is now {to} instead of {from}: taken up at the renewal, or now by --force"
        )],
        Note::Late { ends } if *ends > context.now => vec![format!(
            "the one in place is valid for {} more",
            context.left(*ends)
        )],
        Note::Late { ends } => vec![format!("the one in place {}", context.left(*ends))],
        Note::Fallback { first } => {
            vec![format!(
                "issued by a fallback; the renewal asks {first} first again"
            )]
        }
        Note::Failure(failure) => failed(failure, context),
        Note::Unfinished if orders => {
            // What that run was for, only the next one looks at.
            let other = matches!(
                item.action,
                Action::Issue(IssueReason::Names { .. } | IssueReason::Replaced)
            );
            let changed = |note: &Note| matches!(note, Note::Key { .. } | Note::Ca { .. });
            let only = match other || item.notes.iter().any(changed) {
                true => ", if it was for the same names, CA and key",
                false => "",
            };
            vec![format!(
                "an interrupted run is taken up where it stopped{only}"
            )]
        }
        Note::Unfetched => {
            vec![format!(
                "a forced run was interrupted when the CA had signed: `waxwing renew {} --force` fetches it",
                item.name
            )]
        }
        Note::Unfinished => {
            vec!["the next run tries to remove what an earlier run has left".to_owned()]
        }
        Note::ToRevoke { version } if matches!(item.action, Action::Gone { .. }) => vec![format!(
            "version {version} is still to be revoked, and no run does that now: {}",
            stranded(&item.name)
        )],
        Note::ToRevoke { version } => vec![format!(
            "version {version} is still to be revoked, once this one is seen in its place"
        )],
        Note::Withheld { by } => vec![withheld(by)],
        Note::Warning(warning) => vec![format!("warning: {warning}")],
    }
}

fn failed(failure: &LastFailure, context: &Context) -> Vec<String> {
    let who = failure
        .plugin
        .as_ref()
        .map_or("the last run", |plugin| plugin.as_str());
    let mut lines = vec![format!("{who} failed {}:", context.relative(failure.at))];
    lines.extend(failure.causes.iter().map(|cause| format!("  {cause}")));
    lines
}

/// `web reloads once for 3 certificates.`
fn batches(view: &PlanView<'_>) -> Option<String> {
    let mut batches: BTreeMap<&PluginName, usize> = BTreeMap::new();
    for item in view.items() {
        for install in &item.install {
            *batches.entry(&install.plugin).or_default() += 1;
        }
    }
    let many = batches
        .into_iter()
        .filter(|(_, certificates)| *certificates > 1);
    let said: Vec<String> = many
        .map(|(plugin, number)| format!("{plugin} installs {number} in one batch"))
        .collect();
    (!said.is_empty()).then(|| format!("{}.", said.join("; ")))
}

/// `4 certificates: 1 to issue, 1 to renew, 1 to install, 1 kept`
fn sum(view: &PlanView<'_>) -> String {
    let number = |wanted: &str| {
        view.items()
            .filter(|item| act(&item.action).1 == wanted && item.hold.is_none())
            .count()
    };
    let held = view.items().filter(|item| item.hold.is_some()).count();
    let parts = [
        (number("+ issue"), "to issue"),
        (number("~ renew"), "to renew"),
        (number("> install"), "to install"),
        (held, "held back"),
        (number("= keep"), "kept"),
        (number("? gone"), "gone"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    let all = count(view.items().count(), "certificate");
    if parts.is_empty() {
        format!("{all}: nothing to plan")
    } else {
        format!("{all}: {}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use waxwing_core::key::KeyType;
    use waxwing_core::name::Identifier;
    use waxwing_core::plugin::{GrantExec, Grants, Manifest};
    use waxwing_core::settings::{DaysAfterIssue, PluginSource};
    use waxwing_core::time::Timestamp;

    use super::super::fixture::{at, ca, days, golden, golden_at, golden_json, name, plugin};
    use super::super::json::{self, Document};
    use super::*;

    fn due(at: Timestamp, because: Because) -> Due {
        Due {
            at,
            because,
            safe_until: at + Duration::from_secs(86_400),
            warning: None,
        }
    }

    fn item(certificate: &str, action: Action) -> Item {
        Item {
            moment: None,
            hold: None,
            name: name(certificate),
            action,
            ca: Some(ca("first")),
            install: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn settings(certificate: &str, domains: &[&str]) -> CertificateSettings {
        let identifier = |text: &&str| Identifier::parse(text).expect("a literal name");
        CertificateSettings {
            name: name(certificate),
            domains: domains.iter().map(identifier).collect(),
            cas: vec![ca("first"), ca("second")],
            key: KeyType::EcdsaP256,
            reuse_key: certificate == "mail",
            validate: vec![(None, plugin("one-dns"))],
            install: vec![plugin("web")],
            served_at: Vec::new(),
            days_after_issue: DaysAfterIssue {
                days: 55,
                written: false,
            },
            calendar: std::sync::Arc::default(),
        }
    }

    /// An installer that is granted a folder, a test and a reload.
    fn web() -> PluginSettings {
        let manifest = "manifest = 1\nid = \"files\"\nversion = \"1.0.0\"\nworld = \
                        \"waxwing:plugin/installer-plugin@0.1\"\nsummary = \"files\"\n";
        let command = |argv: &[&str]| GrantExec {
            argv: argv.iter().map(ToString::to_string).collect(),
            timeout: Duration::from_secs(30),
        };
        let folder = GrantFiles {
            dir: "/etc/web/tls".into(),
            owner: None,
            group: Some("web".to_owned()),
            mode: Some(0o640),
            key_mode: None,
            acl: Vec::new(),
        };
        PluginSettings {
            name: plugin("web"),
            source: PluginSource::Embedded("files".to_owned()),
            manifest: Manifest::parse("plugin.toml", manifest).expect("a literal manifest"),
            settings: serde_json::json!({
                "files": { "{name}.crt": "fullchain.pem", "{name}.key": "privkey.pem" },
            }),
            secrets: BTreeMap::new(),
            grants: Grants {
                files: BTreeMap::from([("certs".to_owned(), folder)]),
                exec: BTreeMap::from([
                    (
                        "reload".to_owned(),
                        command(&["/usr/bin/systemctl", "reload", "web"]),
                    ),
                    (
                        "test".to_owned(),
                        command(&["/usr/sbin/webd", "-c", "-f", "/etc/web"]),
                    ),
                ]),
                ..Grants::default()
            },
        }
    }

    #[test]
    fn what_is_held_back_says_by_what_and_until_when() {
        let renew = || Action::Renew {
            due: due(at(-30_000), Because::Suggested),
            urgency: Urgency::Due,
            not_after: days(30),
        };
        let held = |certificate: &str, hold: Hold| Item {
            hold: Some(hold),
            ..item(certificate, renew())
        };
        let why = "an order there may cost money, so it is never an automatic fallback".to_owned();
        let plan = Plan {
            items: vec![
                held("night", Hold::Window { until: at(9_000) }),
                held(
                    "shop",
                    Hold::Ladder {
                        ca: ca("first"),
                        until: at(6_000),
                        failures: 3,
                    },
                ),
                held(
                    "busy",
                    Hold::Asked {
                        ca: ca("first"),
                        until: days(1),
                    },
                ),
                held(
                    "spent",
                    Hold::UsedUp {
                        ca: ca("first"),
                        until: days(1),
                    },
                ),
                held(
                    "loop",
                    Hold::TooMany {
                        until: days(6),
                        issued: 5,
                    },
                ),
                held(
                    "paid",
                    Hold::NoCa {
                        passed_over: vec![(ca("second"), why)],
                    },
                ),
                item("now", renew()),
            ],
        };
        let names: Vec<_> = plan.items.iter().map(|item| item.name.clone()).collect();
        let certificates: Vec<_> = names
            .iter()
            .map(|name| settings(name.as_str(), &["www.example.com"]))
            .collect();
        golden("plan-held.txt", |context| {
            let view = PlanView {
                plan: &plan,
                only: &[],
                certificates: CertificatesByName::new(&certificates),
                plugins: &BTreeMap::new(),
                warnings: &[],
            };
            render(&view, context)
        });
    }

    #[test]
    fn a_long_name_leaves_the_reason_a_line_of_its_own() {
        held(
            "payments-gateway.eu-west-1.internal.example.com",
            "plan-long.txt",
        );
    }

    #[test]
    fn a_very_long_name_has_a_line_of_its_own() {
        let longest = format!(
            "{}.internal.example.com",
            "payments-gateway.".repeat(4) + "eu-west-1"
        );
        assert_eq!(longest.len(), 98);
        held(&longest, "plan-longest.txt");
    }

    /// The plan for a certificate of that name and one with a short name.
    fn held(long: &str, file: &str) {
        let plan = Plan {
            items: vec![
                item(long, Action::Issue(IssueReason::Never)),
                item("shop", Action::Issue(IssueReason::Never)),
            ],
        };
        let certificates = [long, "shop"].map(|name| settings(name, &["www.example.com"]));
        golden_at(file, &[120, 80, 60], |context| {
            let view = PlanView {
                plan: &plan,
                only: &[],
                certificates: CertificatesByName::new(&certificates),
                plugins: &BTreeMap::new(),
                warnings: &[],
            };
            render(&view, context)
        });
    }

    #[test]
    fn every_act_has_a_sign_a_word_and_a_reason() {
        let installs = |because| {
            vec![Install {
                plugin: plugin("web"),
                because,
            }]
        };
        let plan = Plan {
            items: vec![
                Item {
                    install: installs(InstallReason::NewVersion),
                    ..item("shop", Action::Issue(IssueReason::Never))
                },
                item(
                    "names",
                    Action::Issue(IssueReason::Names {
                        added: vec![Identifier::parse("new.example.com").expect("a literal name")],
                        removed: vec![],
                    }),
                ),
                Item {
                    notes: vec![Note::Unfinished, Note::ToRevoke { version: 6 }],
                    ..item(
                        "mail",
                        Action::Renew {
                            due: due(at(-30_000), Because::DaysAfterIssue(40)),
                            urgency: Urgency::Due,
                            not_after: days(50),
                        },
                    )
                },
                item(
                    "late",
                    Action::Renew {
                        due: due(days(-40), Because::Lifetime),
                        urgency: Urgency::Expired,
                        not_after: days(-3),
                    },
                ),
                Item {
                    install: installs(InstallReason::OtherVersion(3)),
                    notes: vec![Note::Failure(LastFailure {
                        at: at(-65_000),
                        plugin: Some(plugin("web")),
                        causes: vec![
                            "test failed".to_owned(),
                            "unknown directive \"htp2\"".to_owned(),
                        ],
                    })],
                    ..item(
                        "blog",
                        Action::Install {
                            due: due(days(53), Because::Suggested),
                            not_after: days(83),
                        },
                    )
                },
                Item {
                    notes: vec![
                        Note::Key {
                            from: KeyType::Rsa2048,
                            to: KeyType::EcdsaP384,
                        },
                        Note::Fallback {
                            first: ca("second"),
                        },
                        Note::Late { ends: days(6) },
                        Note::Late { ends: at(-90_000) },
                    ],
                    ..item(
                        "app",
                        Action::Keep {
                            due: due(days(16), Because::Lifetime),
                            not_after: days(26),
                        },
                    )
                },
                item("leaked", Action::Issue(IssueReason::Revoked)),
                item("swap", Action::Issue(IssueReason::Replaced)),
                Item {
                    notes: vec![Note::ToRevoke { version: 6 }],
                    ..item(
                        "old",
                        Action::Gone {
                            not_after: Some(days(41)),
                        },
                    )
                },
            ],
        };
        let certificates = [
            settings("shop", &["example.com", "*.example.com"]),
            settings("names", &["example.net", "new.example.com"]),
            settings("mail", &["mail.example.com"]),
        ];
        let plugins = BTreeMap::from([(plugin("web"), web())]);
        let warnings = ["[plugin.web] env:TOKEN will not exist under a timer".to_owned()];
        let view = PlanView {
            plan: &plan,
            only: &[],
            certificates: CertificatesByName::new(&certificates),
            plugins: &plugins,
            warnings: &warnings,
        };
        golden_at("plan.txt", &[120, 100, 80, 60], |context| {
            render(&view, context)
        });
        let document = Document::new("plan", at(0), json::plan(&view));
        golden_json("plan.json", &document.to_text());
    }
}
