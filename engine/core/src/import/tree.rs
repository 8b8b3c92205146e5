//! Files by name, as they were found: what an import is read from.

use std::collections::BTreeMap;

/// What is in a file, or why that is not known.
type Content = Result<Vec<u8>, String>;

/// The files of a client, by their paths below its folder, and others by their whole paths. Slashes
/// are forward ones.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    root: String,
    files: BTreeMap<String, Content>,
}

impl Tree {
    /// A tree of the folder that is called `root`, without what is above it.
    pub fn of(root: &str) -> Self {
        Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
        }
    }

    /// The name of a folder of a path in here; of the client's folder itself for an empty one.
    pub fn name_of<'a>(&'a self, folder: &'a str) -> &'a str {
        if folder.is_empty() {
            &self.root
        } else {
            base(folder)
        }
    }

    /// Puts a file in.
    pub fn add(&mut self, path: &str, content: Content) {
        self.files.insert(path.replace('\\', "/"), content);
    }

    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// True if there is a file of that name, readable or not.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// A file as text without a byte order mark; none if it is not there.
    pub fn text(&self, path: &str) -> Option<Result<&str, String>> {
        let bytes = match self.files.get(path)? {
            Ok(bytes) => bytes,
            Err(cause) => return Some(Err(cause.clone())),
        };
        Some(match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(_other) => Err("it is not UTF-8 text".to_owned()),
        })
    }

    /// The bytes of a file; none if it is not there.
    pub fn bytes(&self, path: &str) -> Option<Result<&[u8], String>> {
        let content = self.files.get(path)?;
        Some(content.as_deref().map_err(Clone::clone))
    }

    /// The name here of a file that is called `path` where the client ran: the same path, or the
    /// longest end of it that is below the client's folder, which may be a copy.
    pub fn find(&self, path: &str) -> Option<&str> {
        let path = path.replace('\\', "/");
        let mut rest = path.as_str();
        loop {
            if let Some((name, _)) = self.files.get_key_value(rest) {
                return Some(name);
            }
            rest = rest.split_once('/')?.1;
        }
    }
}

/// The last part of a path with either kind of slashes.
pub fn base(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// What is before the last part, without the slash; empty if there is nothing.
pub fn folder(path: &str) -> &str {
    path.rfind(['/', '\\']).map_or("", |at| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_old_machine_is_found_in_a_copy_by_its_end() {
        let mut tree = Tree::default();
        tree.add("live/a/cert.pem", Ok(Vec::new()));
        tree.add("/root/secret.ini", Ok(Vec::new()));
        tree.add(r"D:\pem\x.pem", Ok(Vec::new()));
        let check = |path: &str, want: Option<&str>| assert_eq!(tree.find(path), want, "{path}");
        check("/etc/client/live/a/cert.pem", Some("live/a/cert.pem"));
        check(r"C:\client\live\a\cert.pem", Some("live/a/cert.pem"));
        check("/root/secret.ini", Some("/root/secret.ini"));
        check(r"D:\pem\x.pem", Some("D:/pem/x.pem"));
        check("/etc/client/live/b/cert.pem", None);
        assert_eq!(
            (folder("a/b/c"), base("a/b/c"), folder("c")),
            ("a/b", "c", "")
        );
    }

    #[test]
    fn text_loses_its_byte_order_mark_and_other_bytes_are_refused() {
        let mut tree = Tree::default();
        tree.add("a", Ok("\u{feff}{}".as_bytes().to_vec()));
        tree.add("b", Ok(vec![0xff]));
        assert_eq!(tree.text("a"), Some(Ok("{}")));
        assert_eq!(tree.text("b"), Some(Err("it is not UTF-8 text".to_owned())));
        assert_eq!(tree.text("c"), None);
    }
}
