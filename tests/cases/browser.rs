//! The page of the daemon as a browser lays it out: wide and narrow, light and dark, with nothing from
//! elsewhere, and readable for who hears it.
//!
//! A headless Chromium reads it; `WAXWING_CHROMIUM` names one. Where there is none the test says SKIPPED,
//! unless `WAXWING_REQUIRE_BROWSER` is set.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::traffic::Class;

use crate::cases::rig::{CaSection, Judge, Rig, certificate, finish, skipped};
use crate::cases::story::{daemon, dismiss, get};

/// Measures a page and puts what it found into the title, which is read from the outside.
const MEASURE: &str = r#"<script>addEventListener("load", () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const root = document.documentElement;
  const tooWide = all("body *").filter((one) => {
    const box = one.getBoundingClientRect();
    const scrolls = one.closest("[tabindex], pre, .scroll, table, svg");
    return box.width > 0 && box.right > innerWidth + 1 && !scrolls;
  });
  const seen = (one) => one.getBoundingClientRect().height > 0;
  const level = (one) => Number(one.tagName[1]);
  const heads = all("h1, h2, h3, h4").map(level);
  // On a narrow page there is no room for every tick of the axis.
  const words = () => {
    all(".ticks").forEach((one) => one.remove());
    return document.body.innerText.replace(/\s+/g, "").length;
  };
  document.title = JSON.stringify({
    inner: innerWidth,
    scroll: root.scrollWidth,
    pushed: all(".scroll").filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText),
    tooWide: tooWide.map((one) => one.tagName + "." + one.className),
    back: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    lang: root.lang,
    h1: all("h1").length,
    jumps: heads.filter((one, nth) => nth > 0 && one > heads[nth - 1] + 1).length,
    drawings: all("svg").length,
    mute: all("svg").filter((one) => !one.getAttribute("aria-label") && !one.querySelector("title")
      && one.getAttribute("aria-hidden") !== "true" && !one.getAttribute("aria-labelledby")).length,
    cells: all("th:not([scope])").length,
    hidden: all("main, table, h1").filter((one) => !seen(one)).length,
    loaded: performance.getEntriesByType("resource").map((one) => one.name),
    text: words(),
  });
});</script>"#;

/// A browser, if there is one.
fn browser() -> Option<String> {
    let named = std::env::var("WAXWING_CHROMIUM").ok();
    let usual = ["chromium-headless-shell", "chromium", "google-chrome"];
    let mut all = named.into_iter().chain(usual.map(str::to_owned));
    all.find(|program| {
        let version = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    })
}

/// What a browser finds at `url`, in a window of this size.
fn measured(program: &str, rig: &Rig, url: &str, size: (u32, u32), dark: bool) -> Value {
    let profile = rig.path("chromium");
    let child = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--disable-background-networking", "--no-first-run"])
        // Nothing but this machine is to be found.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--window-size={},{}", size.0, size.1))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            if dark { 0 } else { 1 }
        ))
        .arg(url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the browser starts");
    let run = finish(child);
    let title = run.stdout.split("<title>").nth(1).unwrap_or_default();
    let title = title.split("</title>").next().unwrap_or_default();
    let title = title
        .replace("&amp;", "&")
        .replace("&gt;", ">")
        .replace("&lt;", "<");
    serde_json::from_str(&title).unwrap_or_else(|error| panic!("{error}: {title}\n{}", run.stdout))
}

/// Red, green and blue of a colour, together.
fn brightness(colour: &Value) -> u32 {
    let text = colour.as_str().unwrap_or_default();
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let numbers = numbers.filter_map(|number| number.parse::<u32>().ok());
    numbers.take(3).sum()
}

#[test]
fn the_page_can_be_read_wide_and_narrow_dark_and_light() {
    let Some(program) = browser() else {
        assert!(
            std::env::var_os("WAXWING_REQUIRE_BROWSER").is_none(),
            "no headless Chromium was found"
        );
        return skipped("the_page_can_be_read_wide_and_narrow_dark_and_light: no Chromium");
    };
    let rig = Rig::new();
    let judges = [
        rig.ca(ca::Options::default()),
        rig.ca(ca::Options::default()),
    ];
    let [Judge::World(first), Judge::World(second)] = &judges else {
        panic!("two CAs of the world");
    };
    let sections = [("first", first), ("second", second)].map(|(name, ca)| CaSection {
        name,
        directory: ca.directory(),
        more: "",
    });
    let long = "a-rather-long-name-as-large-companies-have-them.department.subsidiary";
    rig.write_config(&format!(
        "{}{}[metrics]\nlisten = \"127.0.0.1:0\"\n\n{}{}",
        rig.config_of(&sections),
        rig.installer(""),
        certificate("shop", &["www.example.com"]),
        certificate(
            &format!("{long}.of-another-one.example"),
            &[&format!("{long}.example.com")]
        ),
    ));
    // A cause chain to be read.
    first.fault(Fault::always(Class::Directory, What::CloseBefore));
    let (child, address) = daemon(&rig);
    let (_, page) = get(&address, "/");
    let live = Command::new(&program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!(
            "--user-data-dir={}",
            rig.path("chromium").display()
        ))
        .arg(format!("http://{address}/"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let live = finish(live.expect("the browser starts"));
    for word in ["shop", "long", "second", "down since", "connection"] {
        assert!(live.stdout.contains(word), "{word}:\n{}", live.stdout);
    }
    dismiss(child);

    // It needs nothing from elsewhere, and no script to be read.
    for foreign in ["<script", "<link", "<iframe", "src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let file = rig.path("page.html");
    // Its own policy lets no script run at all.
    let policy = page
        .split("<meta ")
        .find(|tag| tag.contains("Content-Security-Policy"));
    let policy = policy
        .expect("it has one")
        .split('>')
        .next()
        .unwrap_or_default();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let measured_page = page.replace(policy, "name=\"none\"");
    let measured_page = measured_page.replace("</head>", &format!("{MEASURE}</head>"));
    fs::write(&file, measured_page).expect("written");
    let url = format!("file://{}", file.display());
    let mut text = Vec::new();
    for (width, height) in [(1280, 900), (500, 800)] {
        let light = measured(&program, &rig, &url, (width, height), false);
        let dark = measured(&program, &rig, &url, (width, height), true);
        for found in [&light, &dark] {
            let scroll = found["scroll"].as_u64().unwrap_or(u64::MAX);
            let inner = found["inner"].as_u64().unwrap_or_default();
            assert!(scroll <= inner, "{width}: it is {scroll} wide: {found}");
            assert_eq!(found["tooWide"], serde_json::json!([]), "{width}: {found}");
            assert_eq!(
                found["pushed"],
                serde_json::json!([]),
                "{width}: a table is cut off: {found}"
            );
            assert_eq!(found["loaded"], serde_json::json!([]), "{found}");
            assert_eq!(found["lang"], "en", "{found}");
            assert_eq!(found["h1"], 1, "{found}");
            assert_eq!(found["jumps"], 0, "headings skip a level: {found}");
            assert_eq!(found["mute"], 0, "drawings without words: {found}");
            assert_eq!(found["cells"], 0, "headings of nothing: {found}");
            assert_eq!(found["hidden"], 0, "{found}");
            assert!(found["drawings"].as_u64() > Some(0), "{found}");
            text.push(found["text"].clone());
        }
        let (paper, ink) = (brightness(&light["back"]), brightness(&light["ink"]));
        assert!(paper > ink + 380, "light: {light}");
        let (paper, ink) = (brightness(&dark["back"]), brightness(&dark["ink"]));
        assert!(ink > paper + 380, "dark: {dark}");
    }
    // Narrow, nothing is left out.
    assert!(text.windows(2).all(|two| two[0] == two[1]), "{text:?}");
}
