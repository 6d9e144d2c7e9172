//! `user`, `token` and `key`.

use std::sync::Arc;

use pganalytics_server::{Admin, auth::key_store::SigningKey, config::Config};

use super::{Failure, args::People, open_meta, say};

pub(crate) async fn run(config: &Config, command: People) -> Result<(), Failure> {
    let admin = Admin::new(Arc::new(open_meta(&config.data_dir)?));
    let secret = match command {
        People::AddUser { name, role } => admin.add_user(&name, role).await?,
        People::ResetPassword { name } => admin.reset_password(&name).await?,
        People::AddToken { user, name, scopes } => admin.add_token(&user, &name, scopes).await?,
        People::ListKeys => return list(&admin.signing_keys(&config.settings).await?),
        People::RotateKeys => return list(&admin.rotate_signing_keys(&config.settings).await?),
    };
    // The secret alone, so that scripts can take it as it is.
    say(&format!("{}\n", secret.expose()));
    Ok(())
}

fn list(keys: &[SigningKey]) -> Result<(), Failure> {
    for key in keys {
        let state = key.accepted_until.map_or_else(|| "signs".to_owned(), |until| format!("accepted until {until}"));
        say(&format!("{}  made {}  {state}\n", key.kid, key.created_at));
    }
    Ok(())
}
