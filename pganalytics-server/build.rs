//! Says what the program depends on besides its source: the web UI, which may
//! have been built, and the commit.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=PGANALYTICS_GIT_HASH");
    for folder in ["plain", "../ui/dist"] {
        // A folder that is not there would make every build a new one.
        if Path::new(folder).exists() {
            println!("cargo:rerun-if-changed={folder}");
        }
    }
}
