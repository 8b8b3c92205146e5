//! What the webhook of a product wants to see: data in `engine/core/shapes`, embedded by the build
//! script, so that no product is named in source.
//!
//! A shape is a JSON value in whose texts `{subject}`, `{text}` and the like are filled in. It is
//! filled in as a value and then written, so nothing in a message can break out of its place.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::notify::event::Notice;

/// Name and text of every file, sorted by name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shapes.rs"));

/// Stands where a text was cut.
const CUT: &str = "\n…";

/// A shape.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Shape {
    /// The file's name: `slack`.
    #[serde(skip)]
    pub name: String,
    /// What it is for, for people.
    pub title: String,
    /// True: the body is the message itself as JSON.
    #[serde(default)]
    whole: bool,
    /// Most characters of `{text}`.
    #[serde(default)]
    longest: Option<usize>,
    /// Header fields, names in lower case.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What stands for characters of subject and text that mean something there.
    #[serde(default)]
    escape: BTreeMap<char, String>,
    /// What `{urgency}` is for a message that needs a person, and for one that does not.
    #[serde(default)]
    urgency: Option<Urgency>,
    /// The body as JSON.
    #[serde(default)]
    body: Option<Json>,
    /// The body as text.
    #[serde(default)]
    text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Urgency {
    person: String,
    nobody: String,
}

/// A message ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Header fields in order; names in lower case, values in ASCII.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The names of all shapes, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

impl Shape {
    /// The shape of that name. A test of this module keeps the files free of mistakes.
    pub fn named(name: &str) -> Option<Self> {
        let (name, text) = FILES.iter().find(|(known, _)| *known == name)?;
        let shape: Self = toml::from_str(text).ok()?;
        Some(Self {
            name: (*name).to_owned(),
            ..shape
        })
    }

    /// The message in this shape. `subject` is one line, `text` is as a mail has it.
    pub fn fill(&self, notice: &Notice, subject: &str, text: &str) -> Payload {
        let escaped = |text: &str| -> String {
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                match self.escape.get(&c) {
                    Some(instead) => out.push_str(instead),
                    None => out.push(c),
                }
            }
            out
        };
        let text = escaped(&self.cut(text));
        let urgency = self.urgency.as_ref().map(|urgency| {
            if notice.needs_person() {
                urgency.person.as_str()
            } else {
                urgency.nobody.as_str()
            }
        });
        let subject = escaped(subject);
        let values = [
            ("subject", subject.as_str()),
            ("text", text.trim_end()),
            ("host", notice.host.as_str()),
            ("urgency", urgency.unwrap_or_default()),
        ];
        let headers = self.headers.iter().map(|(name, value)| {
            // RFC 9110 section 5.5 leaves nothing but ASCII that everybody reads alike.
            let plain = |c: char| {
                if c.is_ascii() && !c.is_control() {
                    c
                } else {
                    '?'
                }
            };
            let value = filled(value, &values).chars().map(plain).collect();
            (name.clone(), value)
        });
        let body = if self.whole {
            // Texts, numbers and times always have a JSON form.
            serde_json::to_vec(notice).unwrap_or_default()
        } else if let Some(text) = &self.text {
            filled(text, &values).into_bytes()
        } else {
            let body = self.body.as_ref().map(|body| filled_json(body, &values));
            body.unwrap_or_default().to_string().into_bytes()
        };
        Payload {
            headers: headers.collect(),
            body,
        }
    }

    fn cut(&self, text: &str) -> String {
        match self.longest {
            Some(longest) if text.chars().count() > longest => {
                let kept: String = text.chars().take(longest).collect();
                // A line that is there is there whole.
                let end = kept.rfind('\n').unwrap_or(kept.len());
                format!("{}{CUT}", &kept[..end])
            }
            _ => text.to_owned(),
        }
    }
}

fn filled_json(template: &Json, values: &[(&str, &str)]) -> Json {
    match template {
        Json::String(text) => filled(text, values).into(),
        Json::Array(items) => items.iter().map(|item| filled_json(item, values)).collect(),
        Json::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), filled_json(value, values)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Each placeholder once; what was filled in is not looked at again.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let known = values.iter().find_map(|(name, value)| {
            let behind = rest[1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((*value, behind))
        });
        match known {
            Some((value, behind)) => {
                out.push_str(value);
                rest = behind;
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::event::{Change, Event, EventKind, SCHEMA};
    use crate::time::Timestamp;

    fn notice(needs_person: bool) -> Notice {
        Notice {
            schema: SCHEMA,
            host: "web01".to_owned(),
            version: "0.1.0".to_owned(),
            run: Some("1-1".to_owned()),
            at: Timestamp::from_unix(1_795_470_000),
            events: vec![Event {
                needs_person,
                ..Event::new(EventKind::Failed, Change::Began, "shop")
            }],
            certificates: 1,
            nearest: None,
        }
    }

    #[test]
    fn every_file_is_a_shape_and_no_placeholder_is_left() {
        let all: Vec<&str> = names().collect();
        assert_eq!(all, ["discord", "json", "ntfy", "slack", "teams"]);
        for (name, text) in FILES {
            toml::from_str::<Shape>(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let shape = Shape::named(name).expect("a shape");
            assert_eq!(shape.name, *name);
            let payload = shape.fill(&notice(true), "the subject", "the text\n");
            let body = String::from_utf8(payload.body).expect("text");
            assert!(
                !body.contains("{subject}") && !body.contains("{text}"),
                "{body}"
            );
            for (name, value) in &payload.headers {
                assert_eq!(*name, name.to_ascii_lowercase());
                assert!(!value.contains('{'), "{value}");
            }
            if !shape.whole {
                let everything = format!("{body}{:?}", payload.headers);
                assert!(everything.contains("the subject"), "{name}: {everything}");
                assert!(everything.contains("the text"), "{name}: {everything}");
            }
        }
    }

    #[test]
    fn nothing_in_a_message_breaks_out_of_its_place() {
        let evil = "\"}],{text}<!channel> @everyone ``` \u{1b}[2J ü";
        for name in names() {
            let shape = Shape::named(name).expect("a shape");
            let payload = shape.fill(&notice(false), evil, evil);
            if shape.text.is_none() {
                let json: Json = serde_json::from_slice(&payload.body).expect("JSON stays JSON");
                let text = json.to_string();
                assert_eq!(
                    text.matches("{text}").count() % 2,
                    0,
                    "filled in once: {text}"
                );
            }
            for (_, value) in payload.headers {
                assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{value}");
            }
        }
        let slack = Shape::named("slack").expect("a shape");
        let body = String::from_utf8(slack.fill(&notice(false), evil, evil).body).expect("text");
        assert!(!body.contains("<!channel>") && body.contains("&lt;!channel&gt;"));
    }

    #[test]
    fn a_long_text_is_cut_at_a_line() {
        let shape = Shape::named("discord").expect("a shape");
        let text = "a line of thirty-two characters\n".repeat(100);
        let payload = shape.fill(&notice(false), "s", &text);
        let json: Json = serde_json::from_slice(&payload.body).expect("JSON");
        let content = json["content"].as_str().expect("text");
        assert!(content.chars().count() < 2000, "{}", content.len());
        assert!(content.ends_with("characters\n…\n```"), "{content}");
    }

    #[test]
    fn urgency_is_a_word_of_the_product() {
        let shape = Shape::named("ntfy").expect("a shape");
        let urgency = |needs_person| {
            let payload = shape.fill(&notice(needs_person), "s", "t");
            let mut headers = payload.headers.into_iter();
            headers
                .find(|(name, _)| name == "priority")
                .map(|(_, value)| value)
        };
        assert_eq!(urgency(true).as_deref(), Some("4"));
        assert_eq!(urgency(false).as_deref(), Some("3"));
    }
}
