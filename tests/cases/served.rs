//! Is what was installed really served? Seen from outside, with servers that read their files.

use waxwing_world::shop::{Greeting, Shop};

use crate::cases::rig::{Judge, Rig, plain};

fn configure(rig: &Rig, judge: &Judge, places: &[String], more: &str) {
    rig.write_config(&format!(
        "{}{}[[certificate]]\nname = \"one\"\ndomains = [\"www.example.com\"]\n\
         served-at = {places:?}\n{more}\n",
        rig.config_at(judge, ""),
        rig.installer(""),
    ));
}

#[test]
fn what_is_served_is_looked_at_and_shown() {
    let test = "what_is_served_is_looked_at_and_shown";
    plain(test, |rig, judge| {
        let (chain, key) = (rig.path("tls/one.crt"), rig.path("tls/one.key"));
        let shop = |greeting| Shop::start(&rig.world, greeting, &chain, &key).expect("a server");
        let (web, mail) = (shop(Greeting::Tls), shop(Greeting::Smtp));
        let at = |shop: &Shop| format!("localhost:{}", shop.address().port());
        let places = [at(&web), format!("{} starttls=smtp", at(&mail))];

        configure(rig, judge, &places, "");
        let run = rig.waxwing(&["renew"]).expect(0);
        for shop in [&web, &mail] {
            let line = format!("{} serves ", at(shop));
            assert!(run.stdout.contains(&line), "{line} in {}", run.stdout);
        }
        let status = rig.waxwing(&["status"]).expect(0).says("SERVED");
        assert!(status.stdout.contains(" yes\n"), "{}", status.stdout);

        // Nothing is due, and it was seen today: nobody is asked, unless a person wants to know.
        let visits = (web.visits(), mail.visits());
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!((web.visits(), mail.visits()), visits);
        rig.waxwing(&["renew", "--now"]).expect(0);
        assert_eq!((web.visits(), mail.visits()), (visits.0 + 1, visits.1 + 1));

        // A newer version that nobody installs: both servers have the old one.
        web.freeze().expect("the files are there");
        configure(rig, judge, &places, "install = []");
        rig.waxwing(&["renew", "one", "--force"])
            .expect(6)
            .says(&format!("{} still serves another certificate: ", at(&web)));
        rig.waxwing(&["status"]).expect(1).says("old, ");

        // A server that is gone.
        let gone = at(&mail);
        drop(mail);
        let places = [places[1].clone()];
        configure(rig, judge, &places, "install = []");
        rig.waxwing(&["renew"])
            .expect(6)
            .says("not served")
            .says(&format!("{gone} shows no certificate: "));
        rig.waxwing(&["status"]).expect(1).says("no answer");
        let json = rig.waxwing(&["status", "--json"]).expect(1).stdout;
        assert!(json.contains("\"no-answer\""), "{json}");
    });
}
