//! Lists the page's files in `ui/`, which become part of the program.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let Some(root) = env::var_os("CARGO_MANIFEST_DIR") else { return Err(io::Error::other("cargo runs this")) };
    let Some(out) = env::var_os("OUT_DIR") else { return Err(io::Error::other("cargo runs this")) };
    let root = Path::new(&root);
    println!("cargo:rerun-if-changed=ui");
    println!("cargo:rerun-if-env-changed=PGANALYTICS_GIT_HASH");
    let mut files = Vec::new();
    list(&root.join("ui"), "", &mut files)?;
    files.sort();
    let mut code = String::from("[\n");
    for file in files {
        let path = format!("/ui/{file}");
        code += &format!("    ({file:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),\n");
    }
    code += "]\n";
    fs::write(Path::new(&out).join("ui_files.rs"), code)
}

fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
