//! Checks the catalog files with the rules of the crate itself and lists them
//! for it, so that a bad file does not compile.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "modules of the crate, of which this uses a part")]

#[path = "src/epoch.rs"]
mod epoch;
#[path = "src/error.rs"]
mod error;
#[path = "src/id.rs"]
mod id;
#[path = "src/schema.rs"]
mod schema;
#[path = "src/time.rs"]
mod time;

mod catalog {
    #[path = "../src/catalog/error.rs"]
    mod error;
    #[path = "../src/catalog/file.rs"]
    mod file;
    #[path = "../src/catalog/measurement.rs"]
    mod measurement;
    #[path = "../src/catalog/set.rs"]
    mod set;
    #[path = "../src/catalog/table.rs"]
    mod table;
    #[path = "../src/catalog/version.rs"]
    mod version;
    #[path = "../src/catalog/wants.rs"]
    mod wants;

    pub use set::Catalog;
}

use std::{env, error::Error, fmt::Write as _, fs, path::Path, process::ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    println!("cargo::rerun-if-changed=catalog");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("catalog");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            files.push((format!("catalog/{name}"), fs::read_to_string(folder.join(&name))?));
        }
    }
    files.sort();

    let mut list = String::from("pub(super) static FILES: &[(&str, &str)] = &[\n");
    for (file, _) in &files {
        writeln!(list, "    ({file:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{file}\"))),")?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("catalog_files.rs"), list)?;

    let (_, errors) = catalog::Catalog::default().with_files(files);
    for error in &errors {
        println!("cargo::error={error}");
    }
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
