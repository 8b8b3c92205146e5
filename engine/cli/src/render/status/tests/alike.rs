//! What several failures have in common, and what one certificate has several of.

use super::*;

#[test]
fn every_installer_that_failed_is_named_and_a_common_reason_is_said_once() {
    let causes = |why: &str| vec!["the test failed".to_owned(), why.to_owned()];
    let mut blog = entry(
        "blog",
        "first",
        90,
        AttemptResult::NotInstalled {
            plugin: plugin("proxy"),
            causes: causes("exit code 3"),
        },
    );
    blog.installed = vec![mark(plugin("web"), 6)];
    let many: Vec<String> = (1..=50).map(|nth| format!("c{nth:02}")).collect();
    let mut inventory = BTreeMap::from([(name("blog"), blog)]);
    inventory.extend(many.iter().map(|one| {
        let entry = entry(one, "first", 20, failed("misconfigured"));
        (entry.certificate.clone(), entry)
    }));
    let due_of = Action::Install {
        due: due(days(53)),
        not_after: days(90),
    };
    let mut items = vec![item("blog", due_of)];
    items.extend(many.iter().map(|one| item(one, renew(Urgency::Due, 20))));
    let plan = Plan { items };
    let failing = |plugin_name: &str, why| Failing {
        plugin: plugin(plugin_name),
        at: at(-3_500),
        causes: causes(why),
    };
    let configured = [settings("blog", &["web", "proxy"])];
    let view = StatusView {
        pasts: &crate::render::fixture::NO_PASTS,
        now: crate::render::fixture::at(0),
        plan: &plan,
        inventory: &inventory,
        certificates: CertificatesByName::new(&configured),
        failing: BTreeMap::from([(
            name("blog"),
            vec![
                failing("web", "exit code 1"),
                failing("proxy", "exit code 3"),
            ],
        )]),
        stood_in: BTreeMap::new(),
        broken: &[],
        version: "0.0.0",
        around: Around::default(),
    };
    golden("status-alike.txt", |context| {
        let all = render(&view, context);
        let below = all.lines().filter(|line| !line.contains("20 d"));
        below.collect::<Vec<_>>().join("\n") + "\n"
    });
    golden("status-two-installers.txt", |context| {
        render_one(&view, &plan.items[0], context)
    });
}

#[test]
fn what_no_run_tries_again_has_the_command_that_does() {
    let mut forced = entry("shop", "first", 80, failed("transient"));
    let mut replaced = entry("mail", "first", 80, failed("transient"));
    for (one, replaces) in [(&mut forced, false), (&mut replaced, true)] {
        one.last.as_mut().expect("a last attempt").replaces = replaces;
    }
    let plan = Plan {
        items: vec![item("shop", keep()), item("mail", keep())],
    };
    let inventory = [forced, replaced].map(|one| (one.certificate.clone(), one));
    let inventory = inventory.into();
    let view = bare(&plan, &inventory);
    golden("status-by-hand.txt", |context| render(&view, context));
}

#[test]
fn for_many_at_once_a_fallback_is_named_once() {
    let names = ["blog", "mail", "shop", "wiki"];
    let mut inventory = BTreeMap::new();
    for one in names {
        let mut entry = entry(one, "second", 80, AttemptResult::Renewed);
        entry.current.as_mut().expect("a version").origin.fallback = true;
        inventory.insert(entry.certificate.clone(), entry);
    }
    let plan = Plan {
        items: names.iter().map(|one| item(one, keep())).collect(),
    };
    let other = StoodIn {
        why: "it refuses the names".to_owned(),
        ..stood_in()
    };
    let stood_in = |one: &&str| match *one {
        "wiki" => (name(one), other.clone()),
        _ => (name(one), stood_in()),
    };
    let view = StatusView {
        pasts: &crate::render::fixture::NO_PASTS,
        now: crate::render::fixture::at(0),
        plan: &plan,
        inventory: &inventory,
        certificates: CertificatesByName::new(&[]),
        failing: BTreeMap::new(),
        stood_in: names.iter().map(stood_in).collect(),
        broken: &[],
        version: "0.0.0",
        around: Around::default(),
    };
    let all = render(&view, &context(120, false));
    let said: Vec<&str> = all
        .lines()
        .filter(|line| line.contains("issued by the fallback") || line.contains("the same"))
        .collect();
    let want = [
        "blog: issued by the fallback second, instead of first: failed 3 times in a row",
        "  the same: mail, shop",
        "wiki: issued by the fallback second, instead of first: it refuses the names",
    ];
    assert_eq!(said, want, "{all}");
}
