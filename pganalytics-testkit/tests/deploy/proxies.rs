//! What the proxies before the servers must say, whichever they are.

use super::{Tree, tree};

/// Proxy, and the lines without which it does harm, each with what goes wrong.
const NEEDED: &[(&str, &[(&str, &str)])] = &[
    (
        "deploy/proxy/nginx.conf",
        &[
            ("ssl_protocols TLSv1.3;", "older TLS is spoken"),
            ("client_max_body_size 8m;", "bodies have no limit, or too small a one"),
            ("proxy_set_header X-Forwarded-For $remote_addr;", "clients say themselves who they are"),
            ("non_idempotent", "a push is lost with the server that it went to"),
            ("proxy_read_timeout 60s;", "long queries are cut off"),
        ],
    ),
    (
        "deploy/proxy/Caddyfile",
        &[
            ("protocols tls1.3", "older TLS is spoken"),
            ("max_size 8MiB", "bodies have no limit"),
            ("health_uri /api/v1/health/ready", "a server that drains is still asked"),
            ("lb_try_duration", "a server that is down is an error for the client"),
        ],
    ),
    (
        "deploy/proxy/haproxy.cfg",
        &[
            ("ssl-min-ver TLSv1.3", "older TLS is spoken"),
            ("8388608", "bodies have no limit"),
            ("set-header X-Forwarded-For %[src]", "clients say themselves who they are"),
            ("/api/v1/health/ready", "a server that drains is still asked"),
            ("option redispatch", "a push is lost with the server that it went to"),
        ],
    ),
    ("deploy/proxy/haproxy-tls.cfg", &[("mode tcp", "certificates of agents do not reach the server")]),
];

fn check(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, needed) in NEEDED {
        let text = tree.get(*path).map_or("", String::as_str);
        // What is commented out does nothing.
        let live: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        for (line, harm) in *needed {
            if !live.iter().any(|live| live.contains(line)) {
                found.push(format!("{path}: without {line:?}, {harm}"));
            }
        }
        if !text.contains("PGANALYTICS_TRUSTED_PROXIES") && !text.contains("mode tcp") {
            found.push(format!("{path}: does not say that the servers must trust it"));
        }
    }
    found
}

#[test]
fn proxies_say_what_they_must() {
    let found = check(&tree());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_line_that_is_missing_is_noticed() {
    for (path, needed) in NEEDED {
        for (line, harm) in *needed {
            let mut tree = tree();
            let text = tree.get_mut(*path).unwrap();
            *text = text.replace(line, "");
            assert!(check(&tree).iter().any(|message| message.contains(harm)), "{path}: {line}");
        }
    }
}
