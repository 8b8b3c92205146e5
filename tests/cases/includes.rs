//! What patterns of `include` have lost is told until it is back, stands elsewhere or is given up: from outside, with
//! files that go and come.

use std::fs;
use std::time::Duration;

use waxwing_world::fault::{Fault, What};
use waxwing_world::traffic::Class;

use super::alerts::{Scene, says};
use super::rig::certificate;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A configuration whose own file has `own`, and that includes what is in `customers.d`.
struct Split {
    scene: Scene,
    on: &'static str,
}

impl Split {
    fn new(on: &'static str) -> Self {
        let scene = Scene::new();
        fs::create_dir(scene.rig.path("customers.d")).expect("a folder");
        let split = Self { scene, on };
        split.main("");
        split
    }

    /// The main file, with more certificates.
    fn main(&self, more: &str) {
        let own = certificate("own", &["own.example.com"]);
        self.scene.configure(self.on, "", &format!("{own}{more}"));
        self.scene.rig.edit(
            "[account]",
            "include = [\"customers.d/*.toml\"]\n\n[account]",
        );
    }

    /// A file of a customer.
    fn customer(&self, name: &str, domains: &[&str]) {
        let path = format!("customers.d/{name}.toml");
        fs::write(self.scene.rig.path(&path), certificate(name, domains)).expect("written");
    }

    /// Two of them are issued, and then their folder is not mounted.
    fn lose_customers(&self) {
        self.customer("shop", &["www.example.com"]);
        self.customer("blog", &["blog.example.com"]);
        self.scene.run(&["renew"], 0, &[]);
        self.mount(false);
    }

    /// The folder is there, or it is not mounted: an empty one is in its place.
    fn mount(&self, there: bool) {
        let path = |name: &str| self.scene.rig.path(name);
        if there {
            fs::remove_dir(path("customers.d")).expect("empty");
            fs::rename(path("away.d"), path("customers.d")).expect("moved");
        } else {
            fs::rename(path("customers.d"), path("away.d")).expect("moved");
            fs::create_dir(path("customers.d")).expect("a folder");
        }
    }
}

#[test]
fn files_that_are_gone_are_missed_until_they_are_back_or_forgotten() {
    let split = Split::new("failed");
    let scene = &split.scene;
    split.lose_customers();
    scene.rig.waxwing(&["renew"]);
    let [missed] = &*scene.subjects() else {
        panic!("{:?}", scene.subjects());
    };
    says(missed, &["customers.d/*.toml", "needs you"]);
    says(
        &scene.last_text(),
        &["no file matches it, and nothing configures blog, shop any more"],
    );
    let missed = missed.as_str();
    scene.rig.waxwing(&["renew"]);
    assert_eq!(scene.subjects(), [missed], "told once");
    let check = scene.rig.waxwing(&["check", "--offline"]);
    check
        .says("no file matches it, and nothing configures blog, shop any more")
        .says("put the files back, or give them names that match; or `waxwing forget blog`");
    // Whoever asks for one of them, or watches by figures alone, hears the same.
    let explained = scene.rig.waxwing(&["explain", "blog"]);
    explained
        .expect(1)
        .says("nothing configures blog, shop any more");
    let figures = scene.rig.waxwing(&["metrics"]);
    figures
        .says("waxwing_certificate_needs_person{certificate=\"blog\"} 1")
        .says("waxwing_certificate_in_use_not_after_timestamp_seconds{certificate=\"blog\"}");
    split.mount(true);
    scene.rig.waxwing(&["renew"]).expect(0);
    let told = scene.subjects();
    assert_eq!(told.len(), 2, "{told:?}");
    says(&told[1], &["customers.d/*.toml", "nothing to do"]);
    let figures = scene.rig.waxwing(&["metrics"]);
    figures.says("waxwing_certificate_needs_person{certificate=\"blog\"} 0");

    // One of them is given up, the other one stands elsewhere by now.
    split.mount(false);
    scene.rig.waxwing(&["renew"]);
    assert_eq!(scene.subjects().len(), 3);
    scene.rig.waxwing(&["forget", "blog"]).expect(0);
    scene.rig.waxwing(&["renew"]);
    says(&scene.subjects().concat(), &["customers.d/*.toml"]);
    split.main(&certificate("shop", &["www.example.com"]));
    scene.rig.waxwing(&["renew"]).expect(0);
    let told = scene.subjects();
    says(told.last().expect("a mail"), &["nothing to do"]);
    let before = told.len();
    scene.rig.waxwing(&["renew"]).expect(0);
    assert_eq!(scene.subjects().len(), before);
    let check = scene.rig.waxwing(&["check", "--offline"]);
    assert!(
        !check.stdout.contains("nothing configures"),
        "{}",
        check.stdout
    );
}

#[test]
fn what_has_an_heir_is_not_missed() {
    let split = Split::new("failed");
    let scene = &split.scene;
    split.lose_customers();
    // Renamed, and covered by a wildcard that is new.
    split.main(&format!(
        "{}{}",
        certificate("web", &["www.example.com"]),
        certificate("all", &["*.example.com"])
    ));
    scene.run(&["renew"], 0, &[]);
    scene.run(&["renew"], 0, &[]);
}

#[test]
fn what_is_missed_is_told_of_as_its_end_comes_near() {
    let split = Split::new("expiry-near");
    let scene = &split.scene;
    split.customer("shop", &["www.example.com"]);
    let loud = scene.mail("expiry-near");
    scene.rig.edit(&loud, "");
    scene.ca().turn_clock_back(DAY.mul_f64(80.5));
    scene.run(&["renew", "shop"], 0, &[]);
    scene.ca().turn_clock_back(Duration::ZERO);
    split.main("");
    split.mount(false);
    for class in [Class::Directory, Class::NewOrder] {
        scene.ca().fault(Fault::always(class, What::CloseBefore));
    }
    scene.rig.waxwing(&["renew"]);
    let told = scene.subjects();
    assert_eq!(told.len(), 1, "{told:?}");
    says(&told[0], &["shop ends in 9 days", "needs you"]);
    scene.rig.waxwing(&["renew"]);
    assert_eq!(scene.subjects().len(), 1, "told once");
}
