//! `user` and `token`.

use std::sync::Arc;

use pganalytics_server::{Admin, config::Config};

use super::{Failure, args::People, open_meta, say};

pub(crate) async fn run(config: &Config, command: People) -> Result<(), Failure> {
    let admin = Admin::new(Arc::new(open_meta(&config.data_dir)?));
    let secret = match command {
        People::AddUser { name, role } => admin.add_user(&name, role).await?,
        People::ResetPassword { name } => admin.reset_password(&name).await?,
        People::AddToken { user, name, scopes } => admin.add_token(&user, &name, scopes).await?,
    };
    // The secret alone, so that scripts can take it as it is.
    say(&format!("{}\n", secret.expose()));
    Ok(())
}
