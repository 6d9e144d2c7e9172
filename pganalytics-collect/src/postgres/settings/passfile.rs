//! libpq's password file: `host:port:database:user:password` lines.

use super::config::Host;

/// The password of the first line that fits.
pub(crate) fn password_from(text: &str, host: &Host, database: &str, user: &str) -> Option<String> {
    let port = host.port.to_string();
    // libpq looks up local sockets as `localhost` or by their folder.
    let name = if host.is_socket() { "localhost" } else { host.name.as_str() };
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [at, on, of, who, password] = fields.as_slice() else { return None };
        let fits = |field: &str, value: &str| field == "*" || field == value;
        let fits_host = fits(at, name) || (host.is_socket() && *at == host.name);
        (fits_host && fits(on, &port) && fits(of, database) && fits(who, user)).then(|| password.clone())
    })
}

/// Five fields; `\:` and `\\` stand for themselves, the password takes the rest.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let count = fields.len();
        match (c, fields.last_mut()) {
            ('\\', Some(field)) => field.extend(chars.next()),
            (':', _) if count < 5 => fields.push(String::new()),
            (c, Some(field)) => field.push(c),
            (_, None) => {}
        }
    }
    fields
}
