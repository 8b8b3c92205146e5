//! Servers that read certificates from files: where people keep them, and how each takes up new ones.
//!
//! Only proposals come of it. Whoever answers otherwise is right.

use serde_json::{Value as Json, json};

/// What a server is called of which nothing is known.
pub const SOME: &str = "server";

/// A server that reads certificates from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Its name, and that of its section.
    pub name: &'static str,
    /// The program that shows that it is there.
    pub program: &'static str,
    /// A folder for certificates, of which its packages say nothing.
    pub folder: &'static str,
    /// Chain and key in one file.
    pub one_file: bool,
    /// What tries its configuration.
    pub test: Option<&'static str>,
    /// What makes it read its files again.
    pub reload: &'static str,
}

/// Those that are known, the likeliest first.
pub const ALL: [Server; 6] = [
    Server {
        name: "nginx",
        program: "nginx",
        folder: "/etc/nginx/tls",
        one_file: false,
        test: Some("nginx -t"),
        reload: "systemctl reload nginx",
    },
    Server {
        name: "haproxy",
        program: "haproxy",
        folder: "/etc/haproxy/certs",
        one_file: true,
        test: Some("haproxy -c -f /etc/haproxy/haproxy.cfg"),
        reload: "systemctl reload haproxy",
    },
    Server {
        name: "apache2",
        program: "apache2ctl",
        folder: "/etc/apache2/tls",
        one_file: false,
        test: Some("apache2ctl configtest"),
        reload: "systemctl reload apache2",
    },
    Server {
        name: "httpd",
        program: "httpd",
        folder: "/etc/httpd/tls",
        one_file: false,
        test: Some("apachectl configtest"),
        reload: "systemctl reload httpd",
    },
    Server {
        name: "postfix",
        program: "postfix",
        folder: "/etc/postfix/tls",
        one_file: false,
        test: Some("postfix check"),
        reload: "systemctl reload postfix",
    },
    Server {
        name: "dovecot",
        program: "dovecot",
        folder: "/etc/dovecot/tls",
        one_file: false,
        test: None,
        reload: "systemctl reload dovecot",
    },
];

impl Server {
    /// What a setting of an installer of files should be, if this server wants it otherwise than most.
    pub fn setting(&self, key: &str) -> Option<Json> {
        let files = json!({ "{name}.pem": ["fullchain.pem", "privkey.pem"] });
        (key == "files" && self.one_file).then_some(files)
    }

    /// The words of a command, by the purpose of a manifest.
    pub fn command(&self, purpose: &str) -> Option<Vec<String>> {
        let line = match purpose {
            "test" => self.test?,
            "reload" => self.reload,
            _ => return None,
        };
        Some(line.split(' ').map(str::to_owned).collect())
    }
}
