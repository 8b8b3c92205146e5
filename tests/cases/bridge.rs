//! The script for IIS, as far as a machine without Windows can judge it.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).expect("a file of the repository")
}

#[test]
fn the_script_for_iis_takes_what_its_example_hands_over() {
    let script = read("examples/windows/set-iis.ps1");
    let code: Vec<&str> = script
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    let code = code.join("\n");
    let head = code.split("Set-StrictMode").next().expect("a head");
    let wanted = head.match_indices("[string] $").map(|(at, found)| {
        let name = &head[at + found.len()..];
        let end = name.find(|c: char| !c.is_ascii_alphanumeric());
        name[..end.unwrap_or(name.len())].to_ascii_lowercase()
    });
    let wanted: Vec<String> = wanted.collect();

    let example: toml::Table =
        toml::from_str(&read("examples/configs/windows-iis.toml")).expect("TOML");
    // A state folder has to be empty when it is begun, so nothing else of the example may be in it.
    let state = example["state"]["dir"].as_str().expect("a folder");
    let pfx = example["plugin"]["iis"]["grants"]["files"]["certs"]["dir"].as_str();
    let pfx = pfx.expect("a folder");
    assert!(
        !format!(r"{pfx}\").starts_with(&format!(r"{state}\")),
        "{pfx}"
    );
    let argv = example["plugin"]["iis"]["grants"]["exec"]["reload"]["argv"].as_array();
    let argv: Vec<&str> = argv
        .expect("a list")
        .iter()
        .filter_map(|one| one.as_str())
        .collect();
    let file = argv
        .iter()
        .position(|word| *word == "-File")
        .expect("-File");
    assert!(argv[file + 1].ends_with(r"\set-iis.ps1"), "{argv:?}");
    // Or it would ask for what is missing, and take the password for the answer.
    assert!(argv[..file].contains(&"-NonInteractive"), "{argv:?}");
    // PowerShell would read all input before the script could.
    assert!(!code.to_ascii_lowercase().contains("$input"), "{code}");
    let handed = argv[file + 2..].iter().map(|word| {
        let word = word.trim_matches(['{', '}']).trim_start_matches("path:");
        word.replace('-', "")
    });
    assert_eq!(handed.collect::<Vec<_>>(), wanted);

    // The password comes on the standard input, and goes nowhere else.
    assert!(code.contains("[Console]::In.ReadLine()"));
    for line in code
        .lines()
        .filter(|line| line.contains("$password") || line.contains("$line"))
    {
        let told = ["Write-", "Out-File", "Console]::Error", "-AsPlainText"];
        assert!(!told.iter().any(|word| line.contains(word)), "{line}");
    }
    for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
        let count = |wanted| code.chars().filter(|c| *c == wanted).count();
        assert_eq!(count(open), count(close), "{open}{close}");
    }
}
