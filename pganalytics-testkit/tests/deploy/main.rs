//! What is under `deploy/` keeps its rules, and the rules see what they are for: each
//! mistake planted into a copy of a file is found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod compose;
mod planted;
mod platform;
mod proxies;
mod rules;

use std::{collections::BTreeMap, fs, path::Path};

/// Text of each file by its path from the root of the project.
type Tree = BTreeMap<String, String>;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(folder: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, tree);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            tree.insert(name, text);
        }
    }
}

/// All of `deploy/`, and the compose files at the root.
fn tree() -> Tree {
    let mut tree = Tree::new();
    read(&root().join("deploy"), &mut tree);
    for name in ["docker-compose.yml", "collector-docker-compose.yml", ".env.example"] {
        if let Ok(text) = fs::read_to_string(root().join(name)) {
            tree.insert(name.to_owned(), text);
        }
    }
    tree
}

#[test]
fn compose_files_and_stacks_keep_their_rules() {
    let found = rules::check(&tree());
    assert!(found.is_empty(), "{}", found.join("\n"));
}
